"""Many windows at once: the stretches of a block of places looked up together, then joined at C speed.

Window by window, Python would spend longer on finding the stretches than on copying them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlab.data.packs.pack import Pack
from mixlab.data.tokens.store import TokenStore


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

    def __init__(self, packs: Sequence[Pack], stores: Sequence[TokenStore], sequence_tokens: int) -> None:
        self._packs = packs
        self._width = sequence_tokens
        self._dtype = stores[0].dtype
        self._views: list[memoryview] = [_view(np.zeros(sequence_tokens, dtype=self._dtype))]
        self._parts: list[tuple[int, np.ndarray]] = []
        """Of each source: the view of its store's first part, and the first position of every part."""
        for store in stores:
            arrays = store.arrays()
            self._parts.append((len(self._views), np.array([first for first, _ in arrays])))
            self._views += [_view(ids) for _, ids in arrays]

    def find(self, sources: np.ndarray, windows: np.ndarray) -> Stretches:
        """Look up the stretches of some places."""
        order: np.ndarray = np.argsort(sources, kind="stable")
        used, firsts = np.unique(sources[order], return_index=True)
        tokens = np.empty(len(sources), dtype=np.int64)
        found = []
        for source, places in zip(used.tolist(), np.split(order, firsts[1:]), strict=True):
            tokens[places] = self._packs[source].tokens_W[windows[places]]
            found.append(self._find_of(source, places, windows[places], tokens[places]))
        padded = np.flatnonzero(tokens < self._width)
        nothing = np.zeros(len(padded), dtype=np.int64)
        found.append((padded, nothing, nothing, self._width - tokens[padded]))
        places, views, begins, ends = (np.concatenate(column) for column in zip(*found, strict=True))
        # stable: padding was put last
        order = np.argsort(places, kind="stable")
        counts = np.bincount(places, minlength=len(sources))
        return Stretches(views[order], begins[order], ends[order], np.concatenate([[0], np.cumsum(counts)]), tokens)

    def _find_of(
        self, source: int, places: np.ndarray, windows: np.ndarray, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Places, views, begins and ends of the stretches of one source."""
        pack, (view, parts) = self._packs[source], self._parts[source]
        offsets = pack.offsets_W[windows]
        if pack.layout != "packed" and len(parts) == 1:
            # all segments of such a window lie in a row
            begins, lengths = pack.segments[offsets, 0], tokens
        else:
            counts = pack.offsets_W[windows + 1] - offsets
            sums = np.cumsum(counts)
            segments = pack.segments[np.repeat(offsets - sums + counts, counts) + np.arange(sums[-1])]
            begins, lengths = segments[:, 0], segments[:, 1]
            places = np.repeat(places, counts)
        views = np.full(len(begins), view)
        if len(parts) > 1:
            within = np.searchsorted(parts, begins, side="right") - 1
            views, begins = view + within, begins - parts[within]
        return places, views, begins, begins + lengths

    def read(self, stretches: Stretches, first: int, last: int) -> np.ndarray:
        """Tokens [last - first, T] of the places [first, last) of `stretches`, read-only, in the stores' type."""
        which = slice(int(stretches.firsts[first]), int(stretches.firsts[last]))
        columns = (stretches.views[which].tolist(), stretches.begins[which].tolist(), stretches.ends[which].tolist())
        views = self._views
        joined = b"".join([views[view][begin:end] for view, begin, end in zip(*columns, strict=True)])
        return np.frombuffer(joined, dtype=self._dtype).reshape(last - first, self._width)


def _view(tokens: np.ndarray) -> memoryview:
    data: memoryview = tokens.data
    return data
