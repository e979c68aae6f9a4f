"""Reading a token store in place: tokens, borders of documents and spans of responses, by position."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.writing import read_json

_BLOCK_DOCUMENTS = 1 << 16


class TokenStore:
    """A token store, memory-mapped; cheap to open, and safe to open in many processes.

    Raises DataError when the files do not fit the index.
    """

    def __init__(self, folder: Path) -> None:
        self._index: dict[str, Any] = read_json(folder / "index.json")
        self.folder = folder
        self.documents = int(self._index["documents"])
        self.tokens_total = int(self._index["tokens"])
        self.vocab_size = int(self._index["vocab_size"])
        self.dtype: np.dtype = np.dtype(self._index["dtype"]).newbyteorder("<")

    @property
    def response_tokens(self) -> int:
        """Tokens within spans of responses."""
        return int(self._index["response_tokens"])

    @property
    def excluded(self) -> int:
        """Records that were left out."""
        return int(self._index["excluded"])

    @property
    def end_token(self) -> int:
        """Id of the token that ends every document; raises DataError when there is no document."""
        if not self.documents:
            raise DataError(f"{self.folder}: no document")
        return int(self.ids[int(self._borders[1]) - 1])

    @cached_property
    def ids(self) -> np.ndarray:
        """Token ids [tokens], as a plain array: what is fastest to slice."""
        path = self.folder / "tokens.bin"
        size = path.stat().st_size
        if size != self.tokens_total * self.dtype.itemsize:
            raise DataError(f"{path}: {size} bytes, but {self.tokens_total} tokens of {self.dtype.name} are declared")
        # an empty file cannot be mapped
        return np.asarray(np.memmap(path, dtype=self.dtype, mode="r") if size else np.empty(0, self.dtype))

    @cached_property
    def _borders(self) -> np.ndarray:
        path = self.folder / "document_offsets.npy"
        borders: np.ndarray = np.load(path, mmap_mode="r")
        if len(borders) != self.documents + 1:
            raise DataError(f"{path}: {len(borders) - 1} documents, but {self.documents} are declared")
        return borders

    @cached_property
    def _spans(self) -> np.ndarray:
        spans: np.ndarray = np.load(self.folder / "response_spans.npy", mmap_mode="r")
        return spans

    def offsets(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """Borders of documents [first, last), int64 [last - first + 1]; all documents by default.

        Raises IndexError unless 0 <= first <= last <= documents.
        """
        last = self.documents if last is None else last
        if not 0 <= first <= last <= self.documents:
            raise IndexError(f"documents [{first}, {last}) of {self.documents}")
        return np.asarray(self._borders[first : last + 1])

    def read(self, start: int, length: int) -> np.ndarray:
        """A view of the ids at [start, start + length); raises IndexError outside of [0, tokens_total]."""
        if not 0 <= start <= start + length <= self.tokens_total:
            raise IndexError(f"tokens [{start}, {start + length}) of {self.tokens_total}")
        return self.ids[start : start + length]

    def response_spans(self, start: int = 0, end: int | None = None) -> np.ndarray:
        """Spans of responses that overlap [start, end), cut to it, int64 [S, 2], sorted."""
        end = self.tokens_total if end is None else end
        first = int(np.searchsorted(self._spans[:, 1], start, side="right"))
        last = int(np.searchsorted(self._spans[:, 0], end, side="left"))
        found: np.ndarray = np.clip(self._spans[first:last], start, end)
        return found

    def blocks(self, documents: int = _BLOCK_DOCUMENTS) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first document, borders int64 [n + 1]) of at most `documents` documents at a time."""
        for first in range(0, self.documents, documents):
            yield first, self.offsets(first, min(first + documents, self.documents))
