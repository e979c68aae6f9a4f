"""The search of a training source for the items of benchmarks, by n-grams of normalised text.

An n-gram of an item counts as found when a record holds it with at most one unit changed. A record is contaminated by
an item when `least_share` of the countable n-grams of one of the item's fields are found in it.
"""

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from mixlab.config.filters import ContaminationSettings
from mixlab.data.overlap.benchmark_index import BenchmarkIndex, SeedTable, build_index
from mixlab.data.overlap.units import BLOCK_CHARACTERS, Positions, Units, cut_text, hash_runs, split_units
from mixlab.data.records import Record, texts_of
from mixlab.data.writing import write_json, write_line

_LOG = logging.getLogger(__name__)
_LOG_EVERY_CHARACTERS = 1 << 28
_PAIRS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Hit:
    """One item found in one record: the field it was found by, and the share of that field's n-grams."""

    record: int
    benchmark: int
    item: int
    field: str
    share: float


def write_contamination(
    settings: ContaminationSettings,
    records: Iterable[tuple[int, Record]],
    benchmarks: Sequence[Iterable[Record]],
    out: Path,
) -> None:
    """Write `hits.jsonl`, `records.npy` and `index.json` for the (ordinal, record) pairs of a training source.

    hits: {"record", "benchmark": position, "item": id, "field", "share"}, by record. records: sorted ordinals.
    index: {"records", "contaminated", "benchmarks": [{"items", "items_compared", why others are not: "items_short",
    "items_plain", "items_common"; "items_hit", "records_hit"}]}.
    """
    index = build_index(settings, benchmarks)
    contaminated = array("q")
    items_hit: list[set[int]] = [set() for _ in benchmarks]
    records_hit = [0] * len(benchmarks)
    counter = _Counter()
    with (out / "hits.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for hits in _by_record(find_hits(settings, index, counter.count(records))):
            contaminated.append(hits[0].record)
            for benchmark in {hit.benchmark for hit in hits}:
                records_hit[benchmark] += 1
            for hit in hits:
                items_hit[hit.benchmark].add(hit.item)
                _write_hit(file, index, hit)
    np.save(out / "records.npy", np.array(contaminated, np.int64), allow_pickle=False)
    told = [
        {
            **index.count_items(at),
            "items_hit": len(items_hit[at]),
            "records_hit": records_hit[at],
        }
        for at in range(len(benchmarks))
    ]
    write_json(out / "index.json", {"records": counter.seen, "contaminated": len(contaminated), "benchmarks": told})
    _LOG.info("%d of %d records hold benchmark items", len(contaminated), counter.seen)


def _write_hit(file: TextIO, index: BenchmarkIndex, hit: Hit) -> None:
    item = index.items[hit.benchmark][hit.item]
    row = {"record": hit.record, "benchmark": hit.benchmark, "item": item, "field": hit.field, "share": hit.share}
    write_line(file, row)


@dataclass
class _Counter:
    seen: int = 0

    def count(self, records: Iterable[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
        for pair in records:
            self.seen += 1
            yield pair


def _by_record(hits: Iterable[Hit]) -> Iterator[list[Hit]]:
    group: list[Hit] = []
    for hit in hits:
        if group and group[0].record != hit.record:
            yield group
            group = []
        group.append(hit)
    if group:
        yield group


def find_hits(
    settings: ContaminationSettings, index: BenchmarkIndex, records: Iterable[tuple[int, Record]]
) -> Iterator[Hit]:
    """Yield the hits of records in their order, within a record by benchmark and item."""
    block = _Block()
    found: list[npt.NDArray[np.int64]] = []
    characters = told = 0
    for ordinal, record in records:
        for text in texts_of(record):
            for piece in cut_text(text):
                block.add(ordinal, piece)
                if block.characters >= BLOCK_CHARACTERS:
                    characters += block.characters
                    found.append(_search(index, block))
                    block = _Block()
        if found:
            yield from _decide(settings, index, found, before=ordinal)
        if characters - told >= _LOG_EVERY_CHARACTERS:
            told = characters
            _LOG.info("searched %d million characters, to record %d", characters // 10**6, ordinal)
    if block.texts:
        found.append(_search(index, block))
    yield from _decide(settings, index, found, before=None)


@dataclass
class _Block:
    """Texts that are searched together, each with the ordinal of its record."""

    texts: list[str] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    characters: int = 0

    def add(self, ordinal: int, text: str) -> None:
        self.texts.append(text)
        self.ordinals.append(ordinal)
        self.characters += len(text) + 1


def _search(index: BenchmarkIndex, block: _Block) -> npt.NDArray[np.int64]:
    """Return distinct pairs [found, (ordinal, n-gram)], sorted."""
    units = split_units(block.texts)
    ordinals = np.array(block.ordinals, np.int64)
    found = [np.zeros((0, 2), np.int64)]
    for table in index.tables:
        positions, seeds = table.find(hash_runs(units.hashes, table.length))
        counts = table.first[seeds + 1] - table.first[seeds]
        ends = np.cumsum(counts)
        for low in range(0, int(ends[-1]) if len(ends) else 0, _PAIRS_AT_ONCE):
            chosen = np.arange(low, min(low + _PAIRS_AT_ONCE, int(ends[-1])))
            hit = np.searchsorted(ends, chosen, side="right")
            entry = table.first[seeds[hit]] + chosen - (ends[hit] - counts[hit])
            starts, grams = _verify(index, table, units, positions[hit], entry)
            pairs = np.stack([ordinals[units.text[starts]], grams], axis=1)
            found.append(np.unique(pairs, axis=0))
    return np.unique(np.concatenate(found), axis=0)


def _verify(
    index: BenchmarkIndex, table: SeedTable, units: Units, positions: Positions, entry: Positions
) -> tuple[Positions, Positions]:
    """Keep the seeds around which a whole n-gram stands, within one text, with at most one unit changed."""
    grams = table.gram[entry]
    starts = positions - table.place[entry]
    ends = starts + index.length[grams] - 1
    inside = (starts >= 0) & (ends < len(units.hashes))
    starts, ends, grams = starts[inside], ends[inside], grams[inside]
    same_text = units.text[starts] == units.text[ends]
    starts, grams = starts[same_text], grams[same_text]
    right = np.zeros(len(starts), np.bool_)
    for length in np.unique(index.length[grams]).tolist():
        chosen = np.flatnonzero(index.length[grams] == length)
        steps = np.arange(length)
        theirs = units.hashes[starts[chosen, None] + steps]
        ours = index.units[index.start[grams[chosen], None] + steps]
        right[chosen] = (theirs != ours).sum(axis=1) <= index.tolerant[grams[chosen]]
    return starts[right], grams[right]


def _decide(
    settings: ContaminationSettings, index: BenchmarkIndex, found: list[npt.NDArray[np.int64]], before: int | None
) -> Iterator[Hit]:
    """Yield the hits of records below `before`; keep in `found` what belongs to later ones."""
    pairs = np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 2), np.int64)
    found.clear()
    if before is not None and len(late := pairs[pairs[:, 0] >= before]):
        found.append(late)
        pairs = pairs[pairs[:, 0] < before]
    cells, counts = np.unique(np.stack([pairs[:, 0], index.part[pairs[:, 1]]], axis=1), axis=0, return_counts=True)
    best: dict[tuple[int, int, int], Hit] = {}
    for (record, part), count in zip(cells.tolist(), counts.tolist(), strict=True):
        total = int(index.grams_of_part[part])
        if count < settings.least_share * total:
            continue
        place = index.parts[part]
        hit = Hit(record, place.benchmark, place.item, place.field, round(count / total, 4))
        key = (record, place.benchmark, place.item)
        if key not in best or best[key].share < hit.share:
            best[key] = hit
    yield from (best[key] for key in sorted(best))
