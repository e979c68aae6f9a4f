"""Megatron-LM's indexed dataset, a pair PREFIX.bin and PREFIX.idx of token ids: its layout, and writing it.

`.bin` holds the ids of all sequences, nothing between them. `.idx`, little-endian: the magic `MMIDIDX` and two zero
bytes, uint64 version 1, uint8 code of the ids' type, uint64 sequences S, uint64 entries of the last array; then int32
lengths [S] in ids, int64 pointers [S] in bytes, int64 document borders [D + 1] as numbers of sequences, from 0 to S;
a multimodal file has int8 modes [S] behind. Facts from
https://github.com/NVIDIA/Megatron-LM/blob/d98e8a64ddf34856e74b24714e3bedb2f5a39553/megatron/core/datasets/indexed_dataset.py
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from mixlab.config.problems import DataError

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
CODES = {1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 8: "u2"}
"""Code of each type of ids; 6 and 7 are floating point, which no token is."""
LONGEST = 2**31 - 1
"""Tokens of a sequence at most: lengths are int32."""

HEAD = struct.Struct("<9sQBQQ")
_BLOCK = 1 << 20
"""Borders written together; bounds the memory, decides no byte."""

Block = tuple[np.ndarray, np.ndarray]
"""Lengths [N] of documents in a row, and their tokens [sum of lengths]."""


def narrow_dtype(vocab_size: int) -> np.dtype:
    """The narrowest of Megatron's types that holds every id: uint16 or int32; raises DataError beyond 2^31 entries."""
    if vocab_size > LONGEST + 1:
        raise DataError(f"a vocabulary of {vocab_size} entries: Megatron's widest ids are int32")
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<i4")


def bin_path(prefix: Path) -> Path:
    """The file of tokens of a prefix."""
    return prefix.with_name(f"{prefix.name}.bin")


def idx_path(prefix: Path) -> Path:
    """The index of a prefix."""
    return prefix.with_name(f"{prefix.name}.idx")


class MegatronWriter:
    """Writes `prefix`.bin and .idx, one sequence a document; a context manager.

    Memory holds nothing of what was added. The files appear under their names when they are whole, the index last;
    after an exception there are none. Raises DataError for a document longer than int32 and when other than
    `documents` of them came.
    """

    def __init__(self, prefix: Path, dtype: np.dtype, documents: int) -> None:
        self._targets = (bin_path(prefix), idx_path(prefix))
        self._parts = tuple(path.with_name(f".{path.name}.part") for path in self._targets)
        self._dtype = dtype
        self._stream, index = (part.open("wb") for part in self._parts)
        self._index = IndexWriter(index, dtype, documents, prefix)

    @property
    def tokens(self) -> int:
        """Tokens added so far."""
        return self._index.tokens

    def add(self, lengths: np.ndarray, tokens: np.ndarray) -> None:
        """Add documents of these lengths [N], their tokens in a row [sum of lengths]."""
        self._index.add(lengths)
        self._stream.write(np.ascontiguousarray(tokens, dtype=self._dtype).data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._index.finish()
                self._stream.flush()
                for part, target in zip(self._parts, self._targets, strict=True):
                    part.replace(target)
        finally:
            self._stream.close()
            self._index.close()
            for part in self._parts:
                part.unlink(missing_ok=True)


def write_megatron(prefix: Path, dtype: np.dtype, documents: int, blocks: Iterable[Block]) -> int:
    """Write `documents` documents, which come in `blocks`, as `MegatronWriter` does; return their tokens."""
    with MegatronWriter(prefix, dtype, documents) as writer:
        for lengths, tokens in blocks:
            writer.add(lengths, tokens)
    return writer.tokens


class IndexWriter:
    """Fills the three arrays of an index side by side, since their places follow from the number of documents."""

    def __init__(self, stream: BinaryIO, dtype: np.dtype, documents: int, prefix: Path) -> None:
        self._stream, self._dtype, self._documents, self._prefix = stream, dtype, documents, prefix
        self._done = self.tokens = 0
        self._lengths = HEAD.size
        self._pointers = self._lengths + 4 * documents
        self._borders = self._pointers + 8 * documents
        (code,) = (code for code, name in CODES.items() if np.dtype(name) == dtype)
        stream.write(HEAD.pack(MAGIC, VERSION, code, documents, documents + 1))

    def add(self, lengths: np.ndarray) -> None:
        """Enter the next documents."""
        if not len(lengths):
            return
        if int(lengths.max()) > LONGEST:
            raise DataError(
                f"{self._prefix}: a document of {lengths.max()} tokens; Megatron's index counts to {LONGEST}"
            )
        ends = self.tokens + np.cumsum(lengths, dtype="<i8")
        self._put(self._lengths + 4 * self._done, lengths.astype("<i4"))
        self._put(self._pointers + 8 * self._done, (ends - lengths) * self._dtype.itemsize)
        self._done, self.tokens = self._done + len(lengths), int(ends[-1])

    def finish(self) -> None:
        """Enter the borders of the documents; raises DataError when not all of them came."""
        if self._done != self._documents:
            raise DataError(f"{self._prefix}: {self._done} documents came, {self._documents} were announced")
        for first in range(0, self._documents + 1, _BLOCK):
            last = min(first + _BLOCK, self._documents + 1)
            self._put(self._borders + 8 * first, np.arange(first, last, dtype="<i8"))
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _put(self, place: int, array: np.ndarray) -> None:
        self._stream.seek(place)
        self._stream.write(array.tobytes())
