"""Filters that carry out what another stage found: contamination and labels."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.config.categories import CATEGORIES
from mixlab.config.filters import ContaminationFilter, LabelFilter
from mixlab.config.problems import DataError, Problem
from mixlab.data.filters.exclusion import Exclusion
from mixlab.data.sources.selection import Ordinals

UNPARSABLE, NOT_ASKED = 254, 255
"""In `labels.npy`: an answer without a category; a record that was excluded before."""
_WORST_SHOWN = 10


def find_contaminated(
    settings: ContaminationFilter, folder: Path, before: Ordinals | None, benchmarks: Sequence[str] = ()
) -> Iterator[Exclusion]:
    """Yield the contaminated records that are not excluded yet, each with the item found most of.

    Raises DataError, with the worst items and the counts, when contamination is to fail and there is such a record;
    `benchmarks` names them there, by position.
    """
    gone = frozenset() if before is None else _those_in(folder, before)
    found = (worst for worst in _worst_hits(folder) if worst["record"] not in gone)
    if settings.on_found == "fail":
        _fail(list(found), benchmarks)
        return
    for hit in found:
        yield Exclusion(hit["record"], "contaminated", {name: hit[name] for name in hit if name != "record"})


def _those_in(folder: Path, before: Ordinals) -> frozenset[int]:
    records = np.load(folder / "records.npy", allow_pickle=False)
    return frozenset(np.intersect1d(records, before).tolist())


def _worst_hits(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield, of each record, the hit with the largest share; the first of equals."""
    worst: dict[str, Any] = {}
    with (folder / "hits.jsonl").open(encoding="utf-8") as file:
        for line in file:
            hit = json.loads(line)
            if worst and worst["record"] != hit["record"]:
                yield worst
                worst = {}
            if not worst or hit["share"] > worst["share"]:
                worst = hit
    if worst:
        yield worst


def _fail(found: list[dict[str, Any]], benchmarks: Sequence[str]) -> None:
    if not found:
        return
    items = Counter((hit["benchmark"], hit["item"]) for hit in found)
    shares: dict[tuple[int, str], float] = {}
    for hit in found:
        place = (hit["benchmark"], hit["item"])
        shares[place] = max(hit["share"], shares.get(place, 0.0))
    problems = [
        Problem(
            f"{len(found)} records hold {len(items)} benchmark items; state `contamination: {{on_found: drop}}` to "
            "leave these records out, or `warn` to keep and report them"
        )
    ]
    worst = sorted(shares, key=lambda place: (-shares[place], place))
    for place in worst[:_WORST_SHOWN]:
        benchmark, item = place
        told = f"{shares[place]:.0%} of its n-grams found, in {items[place]} records"
        name = benchmarks[benchmark] if benchmarks else benchmark + 1
        problems.append(Problem(told, key=f"benchmark {name}, item {item}"))
    if len(worst) > _WORST_SHOWN:
        problems.append(Problem(f"and {len(worst) - _WORST_SHOWN} more items"))
    raise DataError(problems)


def find_other_labels(settings: LabelFilter, folder: Path, before: Ordinals | None) -> Iterator[Exclusion]:
    """Yield the records of another category, and those whose label could not be read.

    Raises DataError when a record was not asked about.
    """
    labels = np.load(folder / "labels.npy", mmap_mode="r", allow_pickle=False)
    wanted = CATEGORIES.index(settings.category)
    reasons = {number: f"labelled {category}" for number, category in enumerate(CATEGORIES)}
    reasons[UNPARSABLE] = "label unparsable"
    at, earlier = 0, np.zeros(0, np.int64) if before is None else before
    for start in range(0, len(labels), 1 << 20):
        block = labels[start : start + (1 << 20)]
        for record in (start + np.flatnonzero(block != wanted)).tolist():
            while at < len(earlier) and earlier[at] < record:
                at += 1
            if at < len(earlier) and earlier[at] == record:
                continue
            label = int(labels[record])
            if label not in reasons:
                raise DataError(f"record {record} has no label ({label}); run `mixlab verify`, or label again")
            yield Exclusion(record, reasons[label])
