"""Token stores as Megatron-LM's indexed datasets."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.exports.megatron import Block, IndexWriter, bin_path, idx_path, narrow_dtype, write_megatron
from mixlab.data.tokens.store import TokenStore

MASK_DTYPE = np.dtype("<u1")
_COPY_BYTES = 1 << 22
_BLOCK_DOCUMENTS = 4096


def export_store(store: Path, prefix: Path, *, link: bool = False) -> int:
    """Write a token store as `prefix`.bin and .idx, one sequence a document; return its tokens.

    The ids of a store are those of the .bin, byte for byte, so that its file is copied, or, with `link`, hard-linked
    where it lies on the same file system. Raises DataError for ids that Megatron has no type for.
    """
    opened = TokenStore(store)
    dtype = narrow_dtype(opened.vocab_size)
    if dtype.itemsize != opened.dtype.itemsize:
        raise DataError(f"{store}: ids of {opened.dtype.name}, Megatron's would be {dtype.name}")
    source, target = store / "tokens.bin", bin_path(prefix)
    target.unlink(missing_ok=True)
    if not (link and _link(source, target)):
        with source.open("rb") as tokens, target.open("wb") as stream:
            shutil.copyfileobj(tokens, stream, _COPY_BYTES)
    return _write_index(opened, prefix, dtype)


def _write_index(store: TokenStore, prefix: Path, dtype: np.dtype) -> int:
    part = prefix.with_name(f".{prefix.name}.idx.part")
    with part.open("wb") as stream:
        index = IndexWriter(stream, dtype, store.documents, prefix)
        for _, borders in store.blocks():
            index.add(np.diff(borders))
        index.finish()
    part.replace(idx_path(prefix))
    return index.tokens


def export_responses(store: Path, prefix: Path) -> int:
    """Write as `prefix`.bin and .idx which tokens of a store belong to responses: uint8, 1 for those; return their sum.

    Documents and tokens stand as in the files of `export_store`.
    """
    opened = TokenStore(store)
    write_megatron(prefix, MASK_DTYPE, opened.documents, _masks(opened))
    return opened.response_tokens


def _masks(store: TokenStore) -> Iterator[Block]:
    for _, borders in store.blocks(_BLOCK_DOCUMENTS):
        # a span's first token counts up, the one behind its last counts down
        steps = np.zeros(int(borders[-1] - borders[0]) + 1, np.int8)
        spans = store.response_spans(int(borders[0]), int(borders[-1])) - borders[0]
        np.add.at(steps, spans[:, 0], 1)
        np.add.at(steps, spans[:, 1], -1)
        yield np.diff(borders), np.cumsum(steps[:-1], dtype=np.int8).view(MASK_DTYPE)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True
