"""Writing a pack window after window; what the files hold is said in mixlab.data.packs.pack."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.data.npy import RowsFile
from mixlab.data.packs.rows import TokenRows
from mixlab.data.writing import write_json


@dataclass(frozen=True)
class Pieces:
    """Stretches of a token store: start, tokens, document, and response tokens to learn; int64 [N] each."""

    starts: np.ndarray
    lengths: np.ndarray
    documents: np.ndarray
    responses: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: slice | np.ndarray) -> "Pieces":
        return Pieces(self.starts[which], self.lengths[which], self.documents[which], self.responses[which])

    @staticmethod
    def join(several: list["Pieces"]) -> "Pieces":
        """One after the other."""
        columns = zip(*((one.starts, one.lengths, one.documents, one.responses) for one in several), strict=True)
        return Pieces(*(np.concatenate(column) for column in columns))


_NOTHING = Pieces(*(np.empty(0, dtype=np.int64) for _ in range(4)))


class PackWriter:
    """A context manager that writes the arrays of a pack; `write_index` comes after it.

    `rows` takes the tokens of the windows where those do not lie in a row in the token store.
    """

    def __init__(self, out: Path, rows: TokenRows | None = None) -> None:
        self._out = out
        self._stack = ExitStack()
        self._rows = None if rows is None else self._stack.enter_context(rows)
        self._digest = hashlib.sha256()
        self._held, self._held_window = _NOTHING, -1
        self._segments = self._open("segments", 2)
        self._offsets = self._open("window_offsets")
        self._tokens = self._open("window_tokens", dtype="<i4")
        self._responses = self._open("window_response_tokens", dtype="<i4")
        self._documents = self._open("window_documents", 2)
        self._offsets.append([0])
        self._sums = {"tokens": 0, "response_tokens": 0}
        self._ends: list[int] = []

    def _open(self, name: str, columns: int | None = None, dtype: str = "<i8") -> RowsFile:
        return self._stack.enter_context(RowsFile(self._out / f"{name}.npy", columns, dtype))

    @property
    def windows_begun(self) -> int:
        """Windows so far, the last of which may still grow; a new one gets this number."""
        return self._held_window + 1

    def __enter__(self) -> "PackWriter":
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None:
            self._stack.__exit__(kind, *rest)
            return
        with self._stack:
            self._write(self._held, np.full(len(self._held), self._held_window))

    def add(self, pieces: Pieces, windows_N: np.ndarray) -> None:
        """Put pieces into the windows of these numbers, none smaller than `windows_begun` - 1.

        All numbers up to the largest must occur. The last window is held back, for more may follow.
        """
        if not len(pieces):
            return
        order: np.ndarray = np.argsort(windows_N, kind="stable")
        joined = Pieces.join([self._held, pieces[order]])
        windows = np.concatenate([np.full(len(self._held), self._held_window), windows_N[order]])
        self._held_window = int(windows[-1])
        whole = int(np.searchsorted(windows, self._held_window))
        self._write(joined[:whole], windows[:whole])
        self._held = joined[whole:]

    def _write(self, pieces: Pieces, windows_N: np.ndarray) -> None:
        if not len(pieces):
            return
        firsts = np.concatenate([[0], np.flatnonzero(np.diff(windows_N)) + 1])
        tokens_W = np.add.reduceat(pieces.lengths, firsts)
        responses_W = np.add.reduceat(pieces.responses, firsts)
        if self._rows is not None:
            self._rows.gather(pieces.starts, pieces.lengths, firsts)
        before = self._segments.rows
        segments = np.stack([pieces.starts, pieces.lengths], axis=1).astype("<i8")
        self._segments.append(segments)
        self._digest.update(segments.tobytes())
        self._offsets.append(before + np.concatenate([firsts[1:], [len(pieces)]]))
        self._tokens.append(tokens_W)
        self._responses.append(responses_W)
        ends = (np.minimum.reduceat(pieces.documents, firsts), np.maximum.reduceat(pieces.documents, firsts))
        self._documents.append(np.stack(ends, axis=1))
        ordinals = [*self._ends, int(ends[0].min()), int(ends[1].max())]
        self._ends = [min(ordinals), max(ordinals)]
        self._sums["tokens"] += int(tokens_W.sum())
        self._sums["response_tokens"] += int(responses_W.sum())

    def totals(self) -> dict[str, int]:
        """Windows, segments, tokens and response tokens written; smallest and largest document in them (-1: none)."""
        first, last = self._ends or (-1, -1)
        counts = {"windows": self._tokens.rows, "segments": self._segments.rows, **self._sums}
        return counts | {"first_document": first, "last_document": last}

    def write_index(self, about: dict[str, Any]) -> None:
        """Write index.json."""
        write_json(self._out / "index.json", about | self.totals() | {"stream": self._digest.hexdigest()[:16]})
