"""Texts as sequences of units, hashed: what n-grams and shingles are made of.

A unit is a word (a run of letters and digits), or a single Chinese character or kana. Text is normalised first:
invisible characters are dropped, then NFKC, lower case; punctuation and symbols separate words and are dropped, but for
an apostrophe inside a word and a comma before three digits, which join. Hashes depend on the characters alone: not on
the process, machine or library.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mixlab.data.overlap.invisible import INVISIBLE, drop_invisible

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]

BLOCK_CHARACTERS = 1 << 20
"""Texts are worked on in blocks of about this many characters, so that memory does not grow with a record."""
OVERLAP_CHARACTERS = 1 << 10
"""Pieces of a longer text overlap by so much, so that an n-gram at a cut is seen whole."""

_SEPARATOR = "\x1e"
_LAST = 0x323B0  # no letter is assigned above
_CHINESE = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_KANA = ((0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF))
_DROPPED, _IN_WORD, _ALONE = 0, 1, 2
_BASE = 0x9E3779B97F4A7C15 | 1
_HARD = 0xFFFFFFFF
"""A character that combines with others or expands: its text is normalised by unicodedata."""
_UNSEEN = 0xFFFFFFFE
"""A character that may be invisible, or lies beyond the tables."""


@dataclass(frozen=True)
class Units:
    """Hashes of the units of several texts, and for each unit its text and what it is; all arrays [units]."""

    hashes: Hashes
    text: Positions
    is_alone: Flags
    """Whether the unit is a single Chinese character or kana."""
    is_telling: Flags
    """Whether it is that, or a word of two characters or more that is no number."""


def split_units(texts: Sequence[str]) -> Units:
    """Split texts into units; text numbers count from 0 in the order given."""
    codes = _normalised_codes(texts)
    kinds = _tables().kinds[np.minimum(codes, _LAST)]
    if len(joins := _find_joins(codes, kinds)):
        codes, kinds = np.delete(codes, joins), np.delete(kinds, joins)
    places = np.flatnonzero(kinds)
    if not len(places):
        nothing = np.zeros(0, np.bool_)
        return Units(np.zeros(0, np.uint64), np.zeros(0, np.int64), nothing, nothing)
    before = np.concatenate([[_DROPPED], kinds[:-1]])
    starts = np.flatnonzero(((kinds == _ALONE) | ((kinds == _IN_WORD) & (before != _IN_WORD)))[places])
    lengths = np.diff(starts, append=len(places))
    values = _tables().hashes[np.minimum(codes[places], _LAST)]
    values *= _powers()[(np.arange(len(places)) - np.repeat(starts, lengths)) & 0xFFFF]
    first = places[starts]
    is_alone = kinds[first] == _ALONE
    is_number = np.logical_and.reduceat(_is_digit(codes[places]), starts)
    texts_before = np.cumsum(codes == ord(_SEPARATOR))
    return Units(
        mix(np.add.reduceat(values, starts)),
        texts_before[first].astype(np.int64),
        is_alone,
        is_alone | ((lengths > 1) & ~is_number),
    )


def hash_runs(hashes: Hashes, length: int) -> Hashes:
    """Hash every run of `length` units: [units] -> [max(0, units - length + 1)].

    Runs are built by doubling: a run of a+b is run a times base^b plus run b.
    """
    count = max(0, len(hashes) - length + 1)
    runs: Hashes | None = None
    done, size, power = 0, 1, hashes
    while done < length:
        if length & size:
            runs = power if runs is None else _join(runs, power[done:], size)
            done += size
        if done < length:
            power = _join(power, power[size:], size)
            size *= 2
    return np.zeros(0, np.uint64) if runs is None else runs[:count]


def _join(left: Hashes, right: Hashes, right_length: int) -> Hashes:
    count = max(0, min(len(left), len(right)))
    joined = left[:count] * np.uint64(pow(_BASE, right_length, 1 << 64))
    joined += right[:count]
    return joined


def mix(values: Hashes) -> Hashes:
    """Spread values over 64 bits (the finaliser of splitmix64, https://prng.di.unimi.it/splitmix64.c)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sort a column of values and leave out repetitions; several times as fast as np.unique for large integers."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def cut_text(text: str) -> Iterator[str]:
    """Yield a text in overlapping pieces of at most BLOCK_CHARACTERS; nearly always the text itself."""
    if len(text) <= BLOCK_CHARACTERS:
        yield text
        return
    for start in range(0, len(text) - OVERLAP_CHARACTERS, BLOCK_CHARACTERS - OVERLAP_CHARACTERS):
        yield text[start : start + BLOCK_CHARACTERS]


def _normalised_codes(texts: Sequence[str]) -> Codes:
    """Code points after NFKC and lower case: by table, but for texts with characters that combine or expand."""
    joined = _SEPARATOR.join(texts)
    if joined.count(_SEPARATOR) >= len(texts):
        joined = _SEPARATOR.join(text.replace(_SEPARATOR, " ") for text in texts)
    folds = _tables().folds[np.minimum(_codes(joined), _LAST)]
    if joined.isascii() or not (folds >= _UNSEEN).any():
        return folds
    ends = np.flatnonzero(folds == ord(_SEPARATOR))
    pieces = joined.split(_SEPARATOR)
    for text in np.unique(np.searchsorted(ends, np.flatnonzero(folds == _UNSEEN))):
        pieces[text] = drop_invisible(pieces[text])
    for text in np.unique(np.searchsorted(ends, np.flatnonzero(folds == _HARD))):
        pieces[text] = unicodedata.normalize("NFKC", pieces[text]).lower().replace("ς", "σ")
    codes = _codes(_SEPARATOR.join(pieces))
    folds = _tables().folds[np.minimum(codes, _LAST)]
    return np.where(folds == _HARD, codes, np.where(folds == _UNSEEN, np.uint32(ord(" ")), folds))


def _codes(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32, copy=False)


def _is_digit(codes: Codes) -> Flags:
    digits: Flags = (codes >= ord("0")) & (codes <= ord("9"))
    return digits


def _find_joins(codes: Codes, kinds: npt.NDArray[np.uint8]) -> Positions:
    """Find the apostrophes inside words, and the commas that group digits by three."""
    found = np.flatnonzero((codes == 0x27) | (codes == 0x2019) | (codes == 0x2C))
    found = found[(found > 0) & (found < len(codes) - 1)]
    commas = codes[found] == 0x2C
    apostrophes = found[~commas]
    apostrophes = apostrophes[(kinds[apostrophes - 1] == _IN_WORD) & (kinds[apostrophes + 1] == _IN_WORD)]
    commas_at = found[commas]
    padded = np.concatenate([_is_digit(codes), np.zeros(5, np.bool_)]) if len(commas_at) else np.zeros(0, np.bool_)
    for step, wanted in ((-1, True), (1, True), (2, True), (3, True), (4, False)):
        commas_at = commas_at[padded[commas_at + step] == wanted]
    return np.concatenate([apostrophes, commas_at])


@dataclass(frozen=True)
class _Tables:
    """For each code point [_LAST + 1]: what it is folded to, what kind it is of, and its hash."""

    folds: Codes
    kinds: npt.NDArray[np.uint8]
    hashes: Hashes


@cache
def _tables() -> _Tables:
    folds, kinds = np.arange(_LAST + 1, dtype=np.uint32), np.zeros(_LAST + 1, np.uint8)
    for code in range(_LAST):
        if unicodedata.category(chr(code))[0] in "LMN":
            kinds[code] = _IN_WORD
    for first, last in _CHINESE + _KANA:
        kinds[first : last + 1] = _ALONE
    for code in range(_LAST):
        folds[code] = _fold(code, kinds)
    for first, last in INVISIBLE:
        folds[first : last + 1] = _UNSEEN
    folds[_LAST] = _UNSEEN
    return _Tables(folds, kinds, mix(np.arange(1, _LAST + 2, dtype=np.uint64) * np.uint64(_BASE)))


def _fold(code: int, kinds: npt.NDArray[np.uint8]) -> int:
    character = chr(code)
    if character == "ς":
        return ord("σ")
    folded = unicodedata.normalize("NFKC", character).lower()
    if any(unicodedata.category(one)[0] == "M" or 0x1100 <= ord(one) < 0x1200 for one in folded):
        return _HARD  # a mark, or a part of a Korean syllable
    if len(folded) == 1:
        return ord(folded)
    return _HARD if any(kinds[ord(one)] for one in folded) else ord(" ")


@cache
def _powers() -> Hashes:
    powers = np.full(1 << 16, _BASE, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)
