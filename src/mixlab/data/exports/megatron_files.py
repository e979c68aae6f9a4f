"""Reading Megatron-LM's indexed datasets; the layout is told in `mixlab.data.exports.megatron`."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError, Problem
from mixlab.data.exports.megatron import CODES, HEAD, MAGIC, VERSION, Block, bin_path, idx_path

_OLD_MAGIC = b"TNTIDX\x00\x00"
_BLOCK = 1 << 20
"""Sequences, or about so many tokens, looked at together; bounds the memory, decides no byte."""


class MegatronFiles:
    """The documents of PREFIX.bin and PREFIX.idx, checked whole when opened; tokens are read in place.

    Raises DataError naming the file and what is wrong: missing, cut short, of another format, version or type, or
    with pointers that lead out of it. Modes of a multimodal file are not read.
    """

    def __init__(self, prefix: Path) -> None:
        if prefix.suffix in (".bin", ".idx"):
            prefix = prefix.with_suffix("")
        if not prefix.name:
            raise DataError(f"'{prefix}' names no file; a prefix stands for PREFIX.bin and PREFIX.idx")
        self.prefix = prefix
        for path in (idx_path(prefix), bin_path(prefix)):
            if not path.is_file():
                raise DataError(Problem("not there; a prefix stands for PREFIX.bin and PREFIX.idx", file=str(path)))
        self.dtype, self.sequences, borders = self._read_head()
        self.documents = borders - 1
        self.tokens_total = self._check_sequences()
        self._check_borders()

    def document(self, number: int) -> np.ndarray:
        """Tokens [T] of one document, its sequences joined."""
        first, last = self._borders(number, number + 2)
        return self._join(self._lengths(first, last), self._pointers(first, last))

    def blocks(self) -> Iterator[Block]:
        """Read all documents in order, about a million tokens or documents at a time."""
        first = 0
        while first < self.documents:
            borders = self._borders(first, min(first + _BLOCK, self.documents) + 1)
            lengths = self._lengths(int(borders[0]), int(borders[-1]))
            ends = np.concatenate([[0], np.cumsum(lengths, dtype="<i8")])[borders - borders[0]]
            count = max(1, int(np.searchsorted(ends, _BLOCK, side="right")) - 1)
            sequences = int(borders[count] - borders[0])
            pointers = self._pointers(int(borders[0]), int(borders[count]))
            yield np.diff(ends[: count + 1]), self._join(lengths[:sequences], pointers)
            first += count

    def _fail(self, message: str) -> DataError:
        return DataError(Problem(message, file=str(idx_path(self.prefix))))

    def _read_head(self) -> tuple[np.dtype, int, int]:
        path = idx_path(self.prefix)
        with path.open("rb") as stream:
            head = stream.read(HEAD.size)
        if head.startswith(_OLD_MAGIC):
            raise self._fail("an index of Megatron's older format (TNTIDX); write it anew as `mmap`")
        if head[: len(MAGIC)] != MAGIC:
            raise self._fail(f"begins with {head[:9]!r}, not with {MAGIC!r}: no index of Megatron's")
        if len(head) < HEAD.size:
            raise self._fail(f"cut short: {len(head)} bytes, its head alone has {HEAD.size}")
        _, version, code, sequences, borders = HEAD.unpack(head)
        if version != VERSION:
            raise self._fail(f"version {version}; only version {VERSION} is known")
        if code not in CODES:
            raise self._fail(
                f"type code {code}: tokens are one of {', '.join(f'{one} ({CODES[one]})' for one in CODES)}"
            )
        size, wanted = path.stat().st_size, HEAD.size + 12 * sequences + 8 * borders
        if size not in (wanted, wanted + sequences) or not borders:
            what = "cut short" if size < wanted else "not whole"
            raise self._fail(f"{what}: {size} bytes, its head asks for {wanted} ({sequences} sequences)")
        return np.dtype(f"<{CODES[code]}"), sequences, borders

    # plain reads, not a map: pages of a mapped index of gigabytes would count as this process's memory
    def _lengths(self, first: int, last: int) -> np.ndarray:
        return self._read("<i4", HEAD.size, first, last)

    def _pointers(self, first: int, last: int) -> np.ndarray:
        return self._read("<i8", HEAD.size + 4 * self.sequences, first, last)

    def _borders(self, first: int, last: int) -> np.ndarray:
        return self._read("<i8", HEAD.size + 12 * self.sequences, first, last)

    def _read(self, dtype: str, place: int, first: int, last: int) -> np.ndarray:
        offset = place + np.dtype(dtype).itemsize * int(first)
        return np.fromfile(idx_path(self.prefix), dtype=dtype, count=int(last - first), offset=offset)

    def _check_sequences(self) -> int:
        """Check that every sequence lies in the .bin; return the number of their tokens."""
        size, tokens = bin_path(self.prefix).stat().st_size, 0
        for first in range(0, self.sequences, _BLOCK):
            last = min(first + _BLOCK, self.sequences)
            lengths, pointers = self._lengths(first, last).astype("<i8"), self._pointers(first, last)
            ends = pointers + lengths * self.dtype.itemsize
            wrong = np.flatnonzero(
                (lengths < 0) | (pointers < 0) | (pointers % self.dtype.itemsize != 0) | (ends > size)
            )
            if len(wrong):
                at = int(wrong[0])
                raise self._fail(
                    f"sequence {first + at} has {lengths[at]} tokens of {self.dtype.name} from byte {pointers[at]}, "
                    f"but {bin_path(self.prefix).name} has {size}: one of the two is cut short or of other data; "
                    "copy or make both again"
                )
            tokens += int(lengths.sum())
        return tokens

    def _check_borders(self) -> None:
        """Check that documents begin at 0, never go back and end with the last sequence."""
        before = 0
        for first in range(0, self.documents + 1, _BLOCK):
            borders = self._borders(first, min(first + _BLOCK, self.documents + 1))
            if (first == 0 and borders[0] != 0) or borders[0] < before or (np.diff(borders) < 0).any():
                raise self._fail("its document borders do not rise from 0")
            before = int(borders[-1])
        if before != self.sequences:
            raise self._fail(f"its documents end at sequence {before} of {self.sequences}")

    def _join(self, lengths: np.ndarray, pointers: np.ndarray) -> np.ndarray:
        if not lengths.sum():
            return np.zeros(0, self.dtype)
        size = self.dtype.itemsize
        # most files hold their sequences in a row: runs of such are read in one go
        breaks = np.flatnonzero(pointers[1:] != pointers[:-1] + lengths[:-1].astype("<i8") * size) + 1
        runs = [0, *breaks.tolist(), len(lengths)]
        parts = []
        for first, last in pairwise(runs):
            count = int(lengths[first:last].sum())
            parts.append(np.fromfile(bin_path(self.prefix), dtype=self.dtype, count=count, offset=int(pointers[first])))
        return np.concatenate(parts)
