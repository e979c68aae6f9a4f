"""The windows of a mixture, read in place.

Shape letters: B windows, T tokens of a window.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.mixtures.order import MixtureOrder
from mixlab.data.mixtures.stretch_reading import SourceTokens, Stretches, StretchReader
from mixlab.data.packs.pack import Pack
from mixlab.data.tokens.store import TokenStore

_BLOCK_WINDOWS = 1 << 14
"""Windows whose places in the token stores are looked up together by `read_windows`."""


class Window:
    """One window: its real tokens, the lengths of the segments in it, and which tokens are responses."""

    def __init__(self, source: SourceTokens, number: int) -> None:
        begin, _, tokens = source.find(np.array(number))
        self.tokens_T = source.ids[begin : begin + tokens].astype(np.int64)
        self._source = source
        self._number = number

    @cached_property
    def _segments(self) -> np.ndarray:
        first, last = self._source.pack.offsets_W[self._number : self._number + 2].tolist()
        return self._source.pack.segments[first:last]

    @property
    def segment_lengths(self) -> list[int]:
        """Tokens of each segment, in a row."""
        lengths: list[int] = self._segments[:, 1].tolist()
        return lengths

    @cached_property
    def response_mask_T(self) -> np.ndarray:
        """True where the token belongs to an answer; looked up when first asked for."""
        mask_T = np.zeros(len(self.tokens_T), dtype=bool)
        at = 0
        for start, length in self._segments.tolist():
            spans = self._source.store.response_spans(start, start + length) - start + at
            for begin, end in spans.tolist():
                mask_T[begin:end] = True
            at += length
        return mask_T


class PackWindows:
    """The windows of one pack, in its own order; raises DataError when it was not packed from `store`."""

    def __init__(self, pack: Path, store: Path) -> None:
        self._source = SourceTokens(Pack(pack), TokenStore(store))
        self.sequence_tokens = self._source.pack.sequence_tokens

    def __len__(self) -> int:
        return self._source.pack.windows

    def window(self, number: int) -> Window:
        """The window at place `number` of the pack."""
        return Window(self._source, number)


class MixtureWindows:
    """The windows of a mixture in training order.

    `packs` and `stores` stand in the order of the mixture's sources. Raises DataError when they do not fit each
    other or the mixture.
    """

    def __init__(self, mixture: Path, packs: Sequence[Path], stores: Sequence[Path]) -> None:
        if len(packs) != len(stores):
            raise DataError(f"{mixture}: {len(packs)} packs, but {len(stores)} token stores")
        self._sources = [SourceTokens(Pack(pack), TokenStore(store)) for pack, store in zip(packs, stores, strict=True)]
        self.order = MixtureOrder(mixture, [source.pack for source in self._sources])
        vocabularies = {source.store.vocab_size for source in self._sources}
        if len(vocabularies) > 1:
            raise DataError(f"{mixture}: token stores of different vocabularies: {sorted(vocabularies)}")
        self.vocab_size = vocabularies.pop() if vocabularies else 0
        self.sequence_tokens = max((source.pack.sequence_tokens for source in self._sources), default=0)
        self._found: tuple[int, Stretches] | None = None

    def __len__(self) -> int:
        return len(self.order)

    def window(self, number: int) -> Window:
        """The window at position `number` of the training order."""
        place = self.order[number]
        return Window(self._sources[place.source], place.window)

    def origin(self, number: int) -> tuple[str, int, int, int]:
        """Key of the pack, window in it, smallest and largest document in its store of the window at `number`."""
        place = self.order[number]
        pack = self._sources[place.source].pack
        first, last = pack.documents_W2[place.window].tolist()
        return pack.folder.name, place.window, first, last

    def read_windows(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens int64 [B, T] of the positions [first, last), 0 behind the end of each, and how many each has [B].

        T is `sequence_tokens`; no response is looked up. Made for reading in order: blocks of windows are prepared.
        """
        if not 0 <= first <= last <= len(self):
            raise IndexError(f"windows [{first}, {last}) of {len(self)}")
        tokens_BT = np.empty((last - first, self.sequence_tokens), dtype=np.int64)
        lengths_B = np.empty(last - first, dtype=np.int64)
        at = first
        while at < last:
            block, within = divmod(at, _BLOCK_WINDOWS)
            until = min(last - block * _BLOCK_WINDOWS, _BLOCK_WINDOWS)
            stretches = self._find(block)
            rows = slice(at - first, at - first + until - within)
            tokens_BT[rows] = self._reader.read(stretches, within, until)
            lengths_B[rows] = stretches.tokens[within:until]
            at += until - within
        return tokens_BT, lengths_B

    @cached_property
    def _reader(self) -> StretchReader:
        return StretchReader(self._sources, self.sequence_tokens)

    def _find(self, block: int) -> Stretches:
        if self._found is None or self._found[0] != block:
            begin = block * _BLOCK_WINDOWS
            places = self.order.slice(begin, min(begin + _BLOCK_WINDOWS, len(self)))
            self._found = block, self._reader.find(*places)
        return self._found[1]
