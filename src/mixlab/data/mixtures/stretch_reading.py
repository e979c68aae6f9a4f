"""Many windows at once: the stretches of a block of places looked up together, then joined at C speed.

Window by window, Python would spend longer on finding the stretches than on copying them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.packs.pack import Pack
from mixlab.data.tokens.store import TokenStore


class SourceTokens:
    """Where the windows of one pack lie, each in one stretch: in the pack's rows, or else in its token store.

    Raises DataError when the pack was not made of that store.
    """

    def __init__(self, pack: Pack, store: TokenStore) -> None:
        self.pack = pack
        self.store = store
        self._in_rows = pack.layout == "packed"
        self.ids = pack.rows_WT.reshape(-1) if self._in_rows else store.ids
        if pack.index["store_tokens"] != store.tokens_total or self.ids.dtype != store.dtype:
            raise DataError(f"{pack.folder}: was not packed from the token store {store.folder}")

    def find(self, windows_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Begin and end of the stretches of some windows in `ids`, and how many tokens each window has.

        A row is taken with the padding behind its tokens.
        """
        tokens_N = self.pack.tokens_W[windows_N]
        if self._in_rows:
            begins_N = windows_N * self.pack.sequence_tokens
            return begins_N, begins_N + self.pack.sequence_tokens, tokens_N
        begins_N = self.pack.segments[self.pack.offsets_W[windows_N], 0]
        return begins_N, begins_N + tokens_N, tokens_N


@dataclass(frozen=True)
class Stretches:
    """Where the tokens of some windows lie, padding included: stretch by stretch, window after window.

    Each is [begin, end) of one of the reader's views; `firsts` [P + 1] says where the stretches of each place begin.
    """

    views: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    firsts: np.ndarray
    tokens: np.ndarray


class StretchReader:
    """Reads windows of several packs; all token stores have one type of token."""

    def __init__(self, sources: Sequence[SourceTokens], sequence_tokens: int) -> None:
        self._sources = sources
        self._width = sequence_tokens
        self._dtype = sources[0].ids.dtype
        padding = np.zeros(sequence_tokens, dtype=self._dtype)
        self._views: list[memoryview] = [padding.data, *(source.ids.data for source in sources)]

    def find(self, sources: np.ndarray, windows: np.ndarray) -> Stretches:
        """Look up the stretches of some places."""
        # 16 bits are sorted by radix, which is eight times as fast
        order = np.argsort(sources.astype(np.uint16) if len(self._sources) < 1 << 16 else sources, kind="stable")
        used, borders = np.unique(sources[order], return_index=True)
        found = np.empty((3, len(sources)), dtype=np.int64)
        for source, places in zip(used.tolist(), np.split(order, borders[1:]), strict=True):
            found[:, places] = self._sources[source].find(windows[places])
        missing = self._width - (found[1] - found[0])
        firsts = np.concatenate([[0], np.cumsum(1 + (missing > 0))])
        views, begins, ends = np.zeros((3, firsts[-1]), dtype=np.int64)
        padding = firsts[1:][missing > 0] - 1
        ends[padding] = missing[missing > 0]
        views[firsts[:-1]], begins[firsts[:-1]], ends[firsts[:-1]] = sources + 1, found[0], found[1]
        return Stretches(views, begins, ends, firsts, found[2])

    def read(self, stretches: Stretches, first: int, last: int) -> np.ndarray:
        """Tokens [last - first, T] of the places [first, last) of `stretches`, read-only, in the stores' type."""
        which = slice(int(stretches.firsts[first]), int(stretches.firsts[last]))
        columns = (stretches.views[which].tolist(), stretches.begins[which].tolist(), stretches.ends[which].tolist())
        views = self._views
        joined = b"".join([views[view][begin:end] for view, begin, end in zip(*columns, strict=True)])
        return np.frombuffer(joined, dtype=self._dtype).reshape(last - first, self._width)
