"""The shingles of documents, on disk: sets of 32-bit numbers, and their Jaccard similarity."""

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixlab.config.filters import NearDuplicates
from mixlab.data.overlap.units import Positions, cut_text, distinct, hash_runs, split_units

Shingles = npt.NDArray[np.uint32]
"""Sorted, without repetition."""


MOST_SHINGLES = 1 << 20
"""Of a longer document only the smallest so many are kept: a fair sample, for it is the same in a similar one."""


class ShingleFile:
    """The shingles of documents one after another in a file; only offsets are kept in memory, 8 bytes a document."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b", buffering=0)
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, shingles: Shingles, counts: Positions) -> None:
        """Append the sets of several documents, `counts` numbers each."""
        os.pwrite(self._file.fileno(), shingles.astype("<u4").tobytes(), 4 * self._ends[-1])
        self._ends.extend((self._ends[-1] + np.cumsum(counts)).tolist())

    def size(self, document: int) -> int:
        """Count the shingles of one document."""
        return self._ends[document + 1] - self._ends[document]

    def read(self, document: int) -> Shingles:
        """Read the set of one document."""
        start, end = self._ends[document], self._ends[document + 1]
        return np.frombuffer(os.pread(self._file.fileno(), 4 * (end - start), 4 * start), "<u4")

    def close(self) -> None:
        """Close the file and remove it."""
        self._file.close()
        self._path.unlink()


def count_common(one: Shingles, other: Shingles) -> tuple[int, int]:
    """Return how many shingles two sets have in common, and how many together."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common, len(one) + len(other) - common


def shingle_texts(settings: NearDuplicates, texts: Sequence[Sequence[str]]) -> tuple[Shingles, Positions]:
    """Return, for the documents of a block, the sorted distinct shingles of each, and how many each has.

    A shingle is a run of units of a document's texts, which are read as one; a document shorter than a run is one
    shingle as a whole, one without units has none.
    """
    pieces = [piece for document in texts for text in document for piece in cut_text(text)]
    owner = [number for number, document in enumerate(texts) for text in document for _ in cut_text(text)]
    units = split_units(pieces)
    document = np.array(owner, np.int64)[units.text] if len(units.text) else units.text
    sizes = np.bincount(document, minlength=len(texts))
    alone = np.bincount(document, weights=units.is_alone, minlength=len(texts))
    wanted = np.where(2 * alone > sizes, settings.shingle_characters, settings.shingle_words)
    lengths = np.minimum(wanted, sizes)
    keys = [np.zeros(0, np.uint64)]
    for length in np.unique(lengths[lengths > 0]).tolist():
        runs = hash_runs(units.hashes, length)
        start, end = document[: len(runs)], document[length - 1 :]
        chosen = (start == end) & (lengths[start] == length)
        keys.append((start[chosen].astype(np.uint64) << np.uint64(32)) | (runs[chosen] >> np.uint64(32)))
    sets = distinct(np.concatenate(keys))
    counts = np.bincount((sets >> np.uint64(32)).astype(np.int64), minlength=len(texts))
    return (sets & np.uint64(0xFFFFFFFF)).astype(np.uint32), counts.astype(np.int64)


def shingle_long(settings: NearDuplicates, texts: Sequence[str]) -> tuple[Shingles, Positions]:
    """Return what `shingle_texts` does for one document of any length, piece by piece, and a sample if it is huge."""
    kept = np.zeros(0, np.uint32)
    for text in texts:
        for piece in cut_text(text):
            kept = distinct(np.concatenate([kept, shingle_texts(settings, [[piece]])[0]]))[:MOST_SHINGLES]
    return kept.astype(np.uint32), np.array([len(kept)], np.int64)
