"""The windows of a mixture, read in place.

Shape letters: T tokens of a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.writing import read_json


@dataclass(frozen=True)
class Window:
    """One window: its real tokens, the lengths of the segments that must not see each other, the responses."""

    tokens_T: np.ndarray
    segment_lengths: list[int]
    response_mask_T: np.ndarray


class _Source:
    """Memory-mapped arrays of one pack and its token store."""

    def __init__(self, pack: Path, store: Path) -> None:
        index = read_json(store / "index.json")
        self.vocab_size = int(index["vocab_size"])
        self.sequence_tokens = int(read_json(pack / "index.json")["sequence_tokens"])
        dtype = np.dtype(index["dtype"]).newbyteorder("<")
        self._tokens: np.ndarray = np.memmap(store / "tokens.bin", dtype=dtype, mode="r")
        self._spans = np.load(store / "response_spans.npy", mmap_mode="r")
        self._segments = np.load(pack / "segments.npy", mmap_mode="r")
        self._offsets = np.load(pack / "window_offsets.npy", mmap_mode="r")
        if read_json(pack / "index.json")["store_tokens"] != len(self._tokens):
            raise DataError(f"{pack}: was not packed from the token store {store}")

    def window(self, number: int) -> Window:
        segments = self._segments[self._offsets[number] : self._offsets[number + 1]]
        tokens, masks = [], []
        for start, length in segments.tolist():
            tokens.append(self._tokens[start : start + length].astype(np.int64))
            masks.append(self._mask(start, start + length))
        return Window(np.concatenate(tokens), segments[:, 1].tolist(), np.concatenate(masks))

    def _mask(self, start: int, end: int) -> np.ndarray:
        mask_T = np.zeros(end - start, dtype=bool)
        first = int(np.searchsorted(self._spans[:, 1], start, side="right"))
        for span_start, span_end in self._spans[first:]:
            if span_start >= end:
                break
            mask_T[max(int(span_start) - start, 0) : int(span_end) - start] = True
        return mask_T


class MixtureWindows:
    """The windows of a mixture in training order.

    `packs` and `stores` stand in the order of the mixture's sources. Raises DataError when they do not fit each
    other or the mixture.
    """

    def __init__(self, mixture: Path, packs: Sequence[Path], stores: Sequence[Path]) -> None:
        if len(packs) != len(stores):
            raise DataError(f"{mixture}: {len(packs)} packs, but {len(stores)} token stores")
        self._order = np.load(mixture / "windows.npy", mmap_mode="r")
        self._sources = [_Source(pack, store) for pack, store in zip(packs, stores, strict=True)]
        if len(self._order) and int(self._order[:, 0].max()) >= len(packs):
            raise DataError(f"{mixture}: names source {int(self._order[:, 0].max())} of {len(packs)}")
        vocabularies = {source.vocab_size for source in self._sources}
        if len(vocabularies) > 1:
            raise DataError(f"{mixture}: token stores of different vocabularies: {sorted(vocabularies)}")
        self.vocab_size = vocabularies.pop() if vocabularies else 0
        self.sequence_tokens = max((source.sequence_tokens for source in self._sources), default=0)

    def __len__(self) -> int:
        return len(self._order)

    def window(self, number: int) -> Window:
        """The window at position `number` of the training order."""
        source, index = int(self._order[number, 0]), int(self._order[number, 1])
        return self._sources[source].window(index)
