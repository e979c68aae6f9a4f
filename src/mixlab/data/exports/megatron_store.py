"""Token stores from and to Megatron-LM's indexed datasets."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError, Problem
from mixlab.data.exports.megatron import (
    Block,
    IndexWriter,
    bin_path,
    idx_path,
    narrow_dtype,
    write_megatron,
)
from mixlab.data.exports.megatron_files import MegatronFiles
from mixlab.data.tokens.store import TokenStore
from mixlab.data.writing import write_json, write_line

MASK_DTYPE = np.dtype("<u1")
_COPY_BYTES = 1 << 22
_BLOCK_DOCUMENTS = 4096

log = logging.getLogger(__name__)


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


def import_megatron(prefix: Path, vocab_size: int, out: Path, *, end_token: int | None = None) -> None:
    """Write the token store `out` from `prefix`.bin and .idx, which some other tool tokenized.

    The documents are taken for raw text: no token is a response. An empty one is excluded. Give `end_token`, the id
    that ends a document, to have that checked: without it, windows would run documents together. Raises DataError for
    an id outside of the vocabulary, a document that does not end, and a data set without a document.
    """
    files = MegatronFiles(prefix)
    dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
    number = documents = tokens = 0
    with (
        (out / "tokens.bin").open("wb") as store,
        (out / "exclusions.jsonl").open("w", encoding="utf-8", newline="\n") as exclusions,
        (out / "offsets.part").open("w+b") as offsets,
    ):
        offsets.write(np.zeros(1, "<i8").tobytes())
        for lengths, ids in files.blocks():
            _check_ids(files, number, lengths, ids, vocab_size, end_token)
            for empty in np.flatnonzero(lengths == 0):
                write_line(exclusions, {"record": number + int(empty), "reason": "no token"})
            kept = lengths[lengths > 0]
            store.write(ids.astype(dtype).data)
            offsets.write((tokens + np.cumsum(kept, dtype="<i8")).tobytes())
            number, documents, tokens = number + len(lengths), documents + len(kept), tokens + len(ids)
            log.info("%s: %d of %d documents, %d tokens", prefix, number, files.documents, tokens)
        if not documents:
            raise DataError(Problem("holds no document with a token", file=str(bin_path(files.prefix))))
        offsets.flush()
        _save_offsets(offsets.name, documents, out)
    (out / "offsets.part").unlink()
    np.save(out / "response_spans.npy", np.empty((0, 2), "<i8"), allow_pickle=False)
    index = {
        "documents": documents,
        "tokens": tokens,
        "response_tokens": 0,
        "dtype": dtype.name,
        "vocab_size": vocab_size,
        "excluded": number - documents,
    }
    write_json(out / "index.json", index)


def _check_ids(
    files: MegatronFiles, first: int, lengths: np.ndarray, ids: np.ndarray, vocab_size: int, end_token: int | None
) -> None:
    """Raise DataError naming the first document that holds an id of no vocabulary, or that does not end."""
    ends = np.cumsum(lengths, dtype="<i8")
    strange = np.flatnonzero((ids < 0) | (ids >= vocab_size))
    if len(strange):
        document = first + int(np.searchsorted(ends, strange[0], side="right"))
        message = f"document {document} holds the id {int(ids[strange[0]])}, the vocabulary has {vocab_size} entries"
        raise DataError(Problem(f"{message}; another tokenizer made it", file=str(bin_path(files.prefix))))
    if end_token is None:
        return
    last = ids[ends[lengths > 0] - 1]
    if (open_ones := np.flatnonzero(last != end_token)).size:
        document = first + int(np.flatnonzero(lengths > 0)[open_ones[0]])
        message = f"document {document} ends with the id {int(last[open_ones[0]])}, not with the end token {end_token}"
        raise DataError(Problem(f"{message}; tokenize with --append-eod", file=str(bin_path(files.prefix))))


def _save_offsets(part: str, documents: int, out: Path) -> None:
    array = np.lib.format.open_memmap(
        out / "document_offsets.npy", mode="w+", dtype=np.dtype("<i8"), shape=(documents + 1,)
    )
    array[:] = np.memmap(part, dtype="<i8", mode="r", shape=(documents + 1,))
