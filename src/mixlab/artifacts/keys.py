"""Keys and digests: what to do has a key, what came of it has a digest."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

KEY_LENGTH = 16
BLOCK_BYTES = 64 * 2**20

Parents = Mapping[str, Sequence[str]]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Render `value` as the one JSON text it has: sorted keys, no spaces, no NaN.

    Raises ValueError for NaN and infinities, TypeError for what JSON has no word for.
    """
    return _ENCODER.encode(value)


def build_key(stage: str, spec_json: str, parents: Parents) -> str:
    """Return the key of a stage's work: 16 hex digits over stage, canonical spec and the parents' references.

    `parents` maps a role to references (`key` or `key:member`) in an order that the spec gives meaning to; an optional
    parent that is not there has no role, so that a role added later leaves older keys alone.
    """
    text = f'{{"parents":{canonical_json(parents)},"spec":{spec_json},"stage":{_ENCODER.encode(stage)}}}'
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def build_digest(data: bytes) -> str:
    """Return the digest of `data`: sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def split_reference(reference: str) -> tuple[str, str]:
    """Split `key` or `key:member` into key and member (empty for the whole artifact)."""
    key, _, member = reference.partition(":")
    return key, member


def read_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield a file in blocks, at least one, so that an empty file has a digest as well."""
    with path.open("rb") as file:
        block = file.read(block_bytes)
        yield block
        while block := file.read(block_bytes):
            yield block


def digest_file(path: Path, block_bytes: int = BLOCK_BYTES) -> tuple[str, tuple[str, ...]]:
    """Return a file's digest and, when it has more than one block, each block's.

    The digest of a file of one block is its sha256; of a larger one, the sha256 over its blocks' digests, so that a
    reader of one block can check it without reading the rest.
    """
    blocks = tuple(build_digest(block) for block in read_blocks(path, block_bytes))
    if len(blocks) == 1:
        return blocks[0], ()
    return build_digest("".join(blocks).encode()), blocks


def name_file(path: Path) -> str:
    """Name a file as DVC does: the md5 of its bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in read_blocks(path):
        digest.update(block)
    return digest.hexdigest()
