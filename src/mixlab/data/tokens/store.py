"""Reading a token store in place: tokens, borders of documents and spans of responses, by absolute position.

A store is one part (`tokens.bin`, `document_offsets.npy`, `response_spans.npy`, `index.json`) or the join of several
(`shard-00000/…`, and an `index.json` whose `shards` count documents and tokens of each). Positions run through the
parts as if they were one; a document never crosses a border.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.writing import read_json

_BLOCK_DOCUMENTS = 1 << 16


def shard_name(number: int) -> str:
    """Name of a shard's folder within a joined store; sorted by name they are in order."""
    return f"shard-{number:05d}"


@dataclass(frozen=True)
class _Part:
    """Memory-mapped arrays of one shard, and where its documents and tokens begin in the whole store."""

    folder: Path
    dtype: np.dtype
    documents: int
    tokens: int
    first_document: int
    first_token: int

    @cached_property
    def ids(self) -> np.ndarray:
        """Token ids [tokens]."""
        path = self.folder / "tokens.bin"
        if path.stat().st_size != self.tokens * self.dtype.itemsize:
            size = path.stat().st_size
            raise DataError(f"{path}: {size} bytes, but {self.tokens} tokens of {self.dtype.name} are declared")
        # an empty file cannot be mapped
        return np.memmap(path, dtype=self.dtype, mode="r") if self.tokens else np.empty(0, self.dtype)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Borders of documents within this part, int64 [documents + 1]."""
        offsets: np.ndarray = np.load(self.folder / "document_offsets.npy", mmap_mode="r")
        if len(offsets) != self.documents + 1:
            path = self.folder / "document_offsets.npy"
            raise DataError(f"{path}: {len(offsets) - 1} documents, but {self.documents} are declared")
        return offsets

    @cached_property
    def spans(self) -> np.ndarray:
        """Spans of responses within this part, int64 [S, 2], sorted."""
        spans: np.ndarray = np.load(self.folder / "response_spans.npy", mmap_mode="r")
        return spans


class TokenStore:
    """A token store, memory-mapped; cheap to open, and safe to open in many processes.

    Raises DataError when the files do not fit the index.
    """

    def __init__(self, folder: Path) -> None:
        index: dict[str, Any] = read_json(folder / "index.json")
        self.folder = folder
        self.documents = int(index["documents"])
        self.tokens_total = int(index["tokens"])
        self._index = index
        self.vocab_size = int(index["vocab_size"])
        self.dtype: np.dtype = np.dtype(index["dtype"]).newbyteorder("<")
        shards = index.get("shards")
        cards = [(folder, index)] if shards is None else [(folder / shard_name(at), c) for at, c in enumerate(shards)]
        self._parts: list[_Part] = []
        documents = tokens = 0
        for place, card in cards:
            part = _Part(place, self.dtype, int(card["documents"]), int(card["tokens"]), documents, tokens)
            self._parts.append(part)
            documents, tokens = documents + part.documents, tokens + part.tokens
        if (documents, tokens) != (self.documents, self.tokens_total):
            raise DataError(f"{folder}: its shards hold {documents} documents, but {self.documents} are declared")
        self._first_documents = np.array([part.first_document for part in self._parts])
        self._first_tokens = np.array([part.first_token for part in self._parts])

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
        return int(self.read(int(self.offsets(0, 1)[1]) - 1, 1)[0])

    def offsets(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """Absolute borders of documents [first, last), int64 [last - first + 1]; all documents by default.

        Raises IndexError unless 0 <= first <= last <= documents.
        """
        last = self.documents if last is None else last
        if not 0 <= first <= last <= self.documents:
            raise IndexError(f"documents [{first}, {last}) of {self.documents}")
        if len(self._parts) == 1:
            return np.asarray(self._parts[0].offsets[first : last + 1])
        found = np.empty(last - first + 1, dtype=np.int64)
        found[0] = self._border(first)
        for part in self._parts:
            start, stop = max(first - part.first_document, 0), min(last - part.first_document, part.documents)
            if start < stop:
                at = part.first_document + start - first + 1
                found[at : at + stop - start] = part.offsets[start + 1 : stop + 1] + part.first_token
        return found

    def _border(self, document: int) -> int:
        if document == self.documents:
            return self.tokens_total
        part = self._parts[int(np.searchsorted(self._first_documents, document, side="right")) - 1]
        return part.first_token + int(part.offsets[document - part.first_document])

    def arrays(self) -> list[tuple[int, np.ndarray]]:
        """First position and ids of each part, as plain arrays: what is fastest to slice."""
        return [(part.first_token, np.asarray(part.ids)) for part in self._parts]

    def read(self, start: int, length: int) -> np.ndarray:
        """The ids at [start, start + length) in the store's dtype; a view where they lie in one shard.

        Raises IndexError outside of [0, tokens_total].
        """
        stop = start + length
        if not 0 <= start <= stop <= self.tokens_total:
            raise IndexError(f"tokens [{start}, {stop}) of {self.tokens_total}")
        cut = self._cut(start, stop)
        pieces = [part.ids[low - part.first_token : high - part.first_token] for part, low, high in cut]
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty(0, self.dtype)

    def response_spans(self, start: int = 0, end: int | None = None) -> np.ndarray:
        """Absolute spans of responses that overlap [start, end), cut to it, int64 [S, 2], sorted."""
        end = self.tokens_total if end is None else end
        found = []
        for part, low, high in self._cut(start, end):
            low, high = low - part.first_token, high - part.first_token
            first = int(np.searchsorted(part.spans[:, 1], low, side="right"))
            last = int(np.searchsorted(part.spans[:, 0], high, side="left"))
            found.append(np.clip(part.spans[first:last], low, high) + part.first_token)
        return found[0] if len(found) == 1 else np.concatenate([np.empty((0, 2), np.int64), *found])

    def blocks(self, documents: int = _BLOCK_DOCUMENTS) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first document, absolute borders int64 [n + 1]) of at most `documents` documents at a time."""
        for first in range(0, self.documents, documents):
            yield first, self.offsets(first, min(first + documents, self.documents))

    def _cut(self, start: int, stop: int) -> Iterator[tuple[_Part, int, int]]:
        """Yield the parts that hold [start, stop), with the stretch of it in each."""
        at = int(np.searchsorted(self._first_tokens, start, side="right")) - 1
        for part in self._parts[max(at, 0) :]:
            if part.first_token >= stop:
                return
            high = min(stop, part.first_token + part.tokens)
            if max(start, part.first_token) < high:
                yield part, max(start, part.first_token), high
