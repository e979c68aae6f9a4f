"""The tokens of windows, a row each: gathered from a token store once, so that no reader gathers them again.

The store is read, not mapped: pages of random pieces would count as memory of this process until the whole store did.
"""

from io import FileIO
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.npy import RowsFile
from mixlab.data.tokens.store import TokenStore

_CHUNK_BYTES = 1 << 23
"""Rows gathered in memory before they are written."""
_PASSING_BYTES = 1 << 20


class TokenRows(RowsFile):
    """An array [windows, sequence_tokens] of the store's own type, 0 behind the end of each window."""

    def __init__(self, path: Path, store: TokenStore, sequence_tokens: int) -> None:
        super().__init__(path, sequence_tokens, store.dtype.str)
        self._store = store
        self._sequence_tokens = sequence_tokens
        self._passed_bytes = 0

    def gather(self, starts: np.ndarray, lengths: np.ndarray, firsts: np.ndarray) -> None:
        """Append the windows of these pieces of the store, each of which begins with one of the pieces `firsts`.

        Raises DataError when the store ends before a piece does.
        """
        borders = np.append(firsts, len(starts))
        item = self._store.dtype.itemsize
        windows = max(1, _CHUNK_BYTES // (self._sequence_tokens * item))
        with self._store_path.open("rb", buffering=0) as file:
            self._read_ahead(file, int((starts + lengths).max()) * item)
            for first in range(0, len(firsts), windows):
                edges = borders[first : first + windows + 1]
                pieces = slice(int(edges[0]), int(edges[-1]))
                self.append(self._read_rows(file, starts[pieces], lengths[pieces], np.diff(edges)))

    @property
    def _store_path(self) -> Path:
        return self._store.folder / "tokens.bin"

    def _read_ahead(self, file: FileIO, until: int) -> None:
        """Read what is new in order, for the system to keep: a disk is slow at pieces from random places."""
        passing = memoryview(bytearray(_PASSING_BYTES))
        file.seek(self._passed_bytes)
        while read := file.readinto(passing[: max(0, until - self._passed_bytes)]):
            self._passed_bytes += read

    def _read_rows(self, file: FileIO, starts: np.ndarray, lengths: np.ndarray, counts_W: np.ndarray) -> np.ndarray:
        rows_WT = np.zeros((len(counts_W), self._sequence_tokens), dtype=self._store.dtype)
        before = np.cumsum(lengths) - lengths
        rows = np.arange(len(counts_W)) * self._sequence_tokens
        places = before + np.repeat(rows - before[np.cumsum(counts_W) - counts_W], counts_W)
        into = rows_WT.data.cast("B")
        columns = (column * self._store.dtype.itemsize for column in (starts, lengths, places))
        for start, size, place in zip(*(column.tolist() for column in columns), strict=True):
            file.seek(start)
            if file.readinto(into[place : place + size]) != size:
                raise DataError(f"{self._store_path}: no {size} bytes at {start}; make this token store again")
        return rows_WT
