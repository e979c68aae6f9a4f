"""The n-grams of benchmark items, laid out so that a training source can be searched for them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mixlab.config.filters import ContaminationSettings
from mixlab.data.overlap.units import Flags, Hashes, Positions, Units, cut_text, hash_runs, split_units
from mixlab.data.records import Record

Lack = Literal["items_short", "items_plain", "items_common"]
"""Why an item is not compared: shorter than `shortest_*`; too few telling units in every n-gram; all boilerplate."""
LACKS: tuple[Lack, ...] = ("items_short", "items_plain", "items_common")

TELLING_UNITS = 6
"""An n-gram counts only with so many different telling units: fewer are idioms of code, or numbers."""


@dataclass(frozen=True)
class Part:
    """One field of one item, or one text of a field that is a list."""

    benchmark: int
    item: int
    field: str
    lacks: Lack
    """What keeps it from being compared, if it has no countable n-gram."""


@dataclass(frozen=True)
class SeedTable:
    """Runs of `length` units that begin or end n-grams: sorted hashes, and which n-grams hold each, where.

    Seed s belongs to entries first[s] to first[s + 1]; an entry is an n-gram and the seed's place in it.
    """

    length: int
    present: Flags
    shift: int
    hashes: Hashes
    first: Positions
    gram: Positions
    place: Positions

    def find(self, runs: Hashes) -> tuple[Positions, Positions]:
        """Return (positions in `runs`, seed numbers) of the runs that are seeds."""
        likely = np.flatnonzero(self.present[runs >> np.uint64(self.shift)])
        seeds = np.searchsorted(self.hashes, runs[likely])
        seeds[seeds == len(self.hashes)] = 0
        found = self.hashes[seeds] == runs[likely]
        return likely[found], seeds[found]


@dataclass(frozen=True)
class BenchmarkIndex:
    """All countable n-grams of all items: where each begins in `units`, its length, its part; arrays [grams]."""

    units: Hashes
    start: Positions
    length: Positions
    part: Positions
    tolerant: Flags
    """Whether one unit may differ: from three quarters of full length on; what is shorter is found only as it is."""
    parts: Sequence[Part]
    grams_of_part: Positions
    tables: Sequence[SeedTable]
    items: Sequence[Sequence[str]]
    """Ids of the items, by benchmark."""

    def count_items(self, benchmark: int) -> dict[str, int]:
        """Count the items, those with anything to compare, and the others by what they lack.

        An item lacks what that field of it does that came nearest to be compared.
        """
        reached = [0] * len(self.items[benchmark])
        for part, grams in zip(self.parts, self.grams_of_part.tolist(), strict=True):
            if part.benchmark == benchmark:
                reached[part.item] = max(reached[part.item], len(LACKS) if grams else LACKS.index(part.lacks))
        lacking: dict[str, int] = {lack: reached.count(place) for place, lack in enumerate(LACKS)}
        return {"items": len(reached), "items_compared": reached.count(len(LACKS)), **lacking}


@dataclass(frozen=True)
class _Gram:
    part: int
    start: int
    length: int
    tolerant: bool
    key: tuple[int, int, int]
    """Benchmark, hash and length: what is counted to find boilerplate."""
    item: int


def build_index(settings: ContaminationSettings, benchmarks: Sequence[Iterable[Record]]) -> BenchmarkIndex:
    """Cut the items of the benchmarks into n-grams and leave out boilerplate and what says too little."""
    parts: list[Part] = []
    items: list[list[str]] = []
    grams: list[_Gram] = []
    hashes: list[Hashes] = []
    at = 0
    for benchmark, records in enumerate(benchmarks):
        items.append([])
        for item, record in enumerate(records):
            items[benchmark].append(record["id"])
            for field, text in _texts(record):
                units = split_units([text])
                runs = _cut(settings, units)
                telling = [run for run in runs if run.is_telling]
                grams += [_build_gram(run, len(parts), at, benchmark, item) for run in telling]
                lacks: Lack = "items_common" if telling else "items_plain" if runs else "items_short"
                parts.append(Part(benchmark, item, field, lacks))
                hashes.append(units.hashes)
                at += len(units.hashes)
    kept = _without_boilerplate(settings, grams)
    column = {name: np.array([getattr(one, name) for one in kept], np.int64) for name in ("start", "length", "part")}
    units_all = np.concatenate([*hashes, np.zeros(1, np.uint64)])
    tolerant = np.array([one.tolerant for one in kept], np.bool_)
    return BenchmarkIndex(
        units=units_all,
        tolerant=tolerant,
        parts=parts,
        grams_of_part=np.bincount(column["part"], minlength=len(parts)).astype(np.int64),
        tables=_build_tables(units_all, column["start"], column["length"], tolerant),
        items=items,
        **column,
    )


def _texts(record: Record) -> Iterator[tuple[str, str]]:
    for field, value in record.items():
        if field != "id":
            for text in value if isinstance(value, list) else [value]:
                for piece in cut_text(text):
                    yield field, piece


@dataclass(frozen=True)
class _Run:
    """Units from `start` on that may become an n-gram."""

    start: int
    length: int
    hash: int
    tolerant: bool
    is_telling: bool


def _build_gram(run: _Run, part: int, at: int, benchmark: int, item: int) -> _Gram:
    return _Gram(part, at + run.start, run.length, run.tolerant, (benchmark, run.hash, run.length), item)


def _cut(settings: ContaminationSettings, units: Units) -> list[_Run]:
    """Cut a text into runs, one from each unit on: by characters where half of it or more is Japanese, else by words.

    So a Chinese character in an English text is one of its words, and Japanese is compared by characters whatever
    code stands beside it. A text shorter than n is one run as a whole, or none.
    """
    total = len(units.hashes)
    characters, words = min(settings.characters, total), min(settings.words, total)
    is_japanese, is_cut_by_words = _mostly_alone(units, characters), ~_mostly_alone(units, words)
    # near the end a run of characters may not fit where one of words does
    is_cut_by_words[: len(is_japanese)] = ~is_japanese[: len(is_cut_by_words)]
    runs: list[_Run] = []
    if characters >= max(1, settings.shortest_characters):
        runs += _build_runs(units, np.flatnonzero(is_japanese), characters, settings.characters)
    if words >= max(1, settings.shortest_words):
        runs += _build_runs(units, np.flatnonzero(is_cut_by_words), words, settings.words)
    return runs


def _mostly_alone(units: Units, length: int) -> Flags:
    """Whether at least half of the `length` units from each on are single characters."""
    alone = np.concatenate([[0], np.cumsum(units.is_alone)])
    flags: Flags = 2 * (alone[length:] - alone[: len(alone) - length]) >= length
    return flags


def _build_runs(units: Units, starts: Positions, length: int, full: int) -> Iterator[_Run]:
    needed = max(1, TELLING_UNITS * length // full)
    telling = [int(one) if says else None for one, says in zip(units.hashes, units.is_telling, strict=True)]
    hashes = hash_runs(units.hashes, length).tolist()
    for start in starts.tolist():
        is_telling = len(set(telling[start : start + length]) - {None}) >= needed
        yield _Run(start, length, hashes[start], 4 * length >= 3 * full, is_telling)


def _without_boilerplate(settings: ContaminationSettings, grams: Sequence[_Gram]) -> list[_Gram]:
    items: defaultdict[tuple[int, int, int], set[int]] = defaultdict(set)
    for gram in grams:
        items[gram.key].add(gram.item)
    return [gram for gram in grams if len(items[gram.key]) <= settings.common_items]


def _build_tables(units: Hashes, start: Positions, length: Positions, tolerant: Flags) -> list[SeedTable]:
    """Give each n-gram its seeds: both halves where one unit may differ (one half is then whole), else all of it."""
    seed_length = np.where(tolerant, length // 2, length)
    tables = []
    for size in np.unique(seed_length).tolist():
        heads = np.flatnonzero(seed_length == size)
        tails = heads[tolerant[heads]]
        gram = np.concatenate([heads, tails])
        place = np.concatenate([np.zeros(len(heads), np.int64), length[tails] - size])
        tables.append(_build_table(size, hash_runs(units, size)[start[gram] + place], gram, place))
    return tables


def _build_table(size: int, seeds: Hashes, gram: Positions, place: Positions) -> SeedTable:
    order = np.argsort(seeds, kind="stable")
    hashes, first = np.unique(seeds[order], return_index=True)
    bits = min(26, max(16, len(hashes).bit_length() + 4))
    present = np.zeros(1 << bits, np.bool_)
    present[hashes >> np.uint64(64 - bits)] = True
    ends: npt.NDArray[np.int64] = np.append(first, len(seeds)).astype(np.int64)
    return SeedTable(size, present, 64 - bits, hashes, ends, gram[order], place[order])
