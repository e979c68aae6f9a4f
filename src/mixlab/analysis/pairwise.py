"""What came of pairwise judging: wins, ties and losses of one point against another, win rates, flips.

A comparison counts 1 for a win, 1/2 for a tie and 0 for a loss; one whose verdicts could not be read counts nowhere but
in `unparsed`. Within a pair of models an item counts once, however many of its turns, answers and judge runs were
compared; then pairs of models count evenly, nested by seeds as in `statistics`.

Three sources of error are kept apart. **Items**: `low` and `high` are 95 % limits, by the adjustment of Agresti & Coull
(1998, The American Statistician 52), carried over to items that are won in part and to several pairs of models: two
items that each pair wins and two that each loses are added, so that 5 wins of 5 are not taken for certainty. They say
nothing of other seeds. **Seeds**: `se_seeds`.
**Judge runs**: `spread`, the standard deviation of the runs' win rates.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import stdev
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from mixlab.analysis.cells import read_csv, write_csv
from mixlab.analysis.pair_limits import Pairs, Seeds, estimate_limits, replicate
from mixlab.analysis.statistics import SEED_LEVELS, estimate_seeds
from mixlab.config.analysis import PairEntry
from mixlab.config.problems import DataError, Problem
from mixlab.data.writing import list_lines

CELLS, ROWS = "pairwise.csv", "comparisons.csv"
_POINTS = {"win": 1.0, "tie": 0.5, "loss": 0.0}

Outcome = Literal["win", "tie", "loss"]
PairName = tuple[str, str, str, str, str]
"""Variant, the one it is compared with, stage, benchmark and judge: what one cell is of."""


@dataclass(frozen=True)
class _Compared:
    """What is needed of a line of `comparisons.jsonl`."""

    item: str
    turn: int
    category: str | None
    outcome: Literal["a", "b", "tie"] | None
    flipped: bool
    flipped_to: Literal["first", "second"] | None
    identical: bool


@dataclass(frozen=True)
class PairRow:
    """One turn of one item answered by two models, as one judge run saw it from the side of `variant`.

    `pair_key`: the artifact. Seeds are those of the models; where one has none, the other's.
    """

    variant_key: str
    against_key: str
    stage: str
    benchmark: str
    language: str
    category: str
    judge: str
    own: str
    item: str
    turn: int
    outcome: Outcome | None
    flipped: bool
    flipped_to: str
    identical: bool
    generation_seed: int
    judge_run: int
    mixture_seed: int | None
    ipt_seed: int | None
    sft_seed: int | None
    pair_key: str


@dataclass(frozen=True)
class PairCell:
    """One point against another on one benchmark, or on its items of one `category`; rates are None of no outcome.

    `comparisons` = wins + ties + losses + unparsed; `identical` are ties that nobody was asked about, `flipped` those
    in which the two orders disagreed, `flipped_to_first` those among them that favour the answer shown first. `own`
    says which of the two is the judge's own model, if one is.
    """

    variant_key: str
    against_key: str
    stage: str
    benchmark: str
    category: str
    judge: str
    own: str
    comparisons: int
    wins: int
    ties: int
    losses: int
    unparsed: int
    identical: int
    flipped: int
    flipped_to_first: int
    win_rate: float | None
    low: float | None
    high: float | None
    n_items: int
    se_seeds: float | None
    n_seeds: int
    n_pairs: int
    spread: float | None
    n_runs: int

    @property
    def asked(self) -> int:
        """Comparisons that the judge was asked about and whose two verdicts could be read: what can flip."""
        return self.comparisons - self.identical - self.unparsed

    @property
    def own_win_rate(self) -> float | None:
        """The win rate of the judge's own model, None where neither is."""
        if self.win_rate is None or not self.own:
            return None
        return self.win_rate if self.own == "variant" else 1 - self.win_rate


def write_pairwise(entries: Sequence[PairEntry], folders: Mapping[str, Path], out: Path) -> None:
    """Write `pairwise.csv` (a row per cell) and `comparisons.csv` (every row); none where nothing is compared.

    `folders`: artifacts of judge_pairs by key, by the entries' positions. Raises DataError for lines that cannot be
    read, with file and line, all at once.
    """
    if not entries:
        return
    rows = read_pair_rows(entries, folders)
    _write(out / ROWS, PairRow, rows)
    _write(out / CELLS, PairCell, build_pair_cells(rows))


def read_pair_rows(entries: Iterable[PairEntry], folders: Mapping[str, Path]) -> list[PairRow]:
    """Read every comparison, in the order of the entries; raises DataError as `write_pairwise` says."""
    keys = list(folders)
    problems: list[Problem] = []
    rows: list[PairRow] = []
    adapter = TypeAdapter(_Compared)
    for entry in entries:
        if entry.position >= len(keys):
            message = f"position {entry.position} has no folder; {len(keys)} were handed over"
            problems.append(Problem(message, key=entry.benchmark))
            continue
        key = keys[entry.position]
        shared = _describe(entry, key, _read_judge(folders[key] / "index.json"))
        path = folders[key] / "comparisons.jsonl"
        for number, line in enumerate(list_lines(path), start=1):
            try:
                one = adapter.validate_json(line)
            except ValidationError as error:
                message = f"not a comparison: {error.errors()[0]['msg']}; run `mixlab verify {key}`"
                problems.append(Problem(message, str(path), number))
                continue
            rows.append(
                PairRow(
                    **shared,
                    category=one.category or "",
                    item=one.item,
                    turn=one.turn,
                    outcome=_orient(one.outcome, entry),
                    flipped=one.flipped,
                    flipped_to=one.flipped_to or "",
                    identical=one.identical,
                )
            )
    if problems:
        raise DataError(problems)
    return rows


def build_pair_cells(rows: Iterable[PairRow]) -> list[PairCell]:
    """Count and average rows by pair of points, stage, benchmark and judge; then by category where there are several.

    Verdicts of several judges are never averaged: each judge has cells of its own.
    """
    groups: dict[PairName, list[PairRow]] = {}
    for row in rows:
        groups.setdefault(name_pair(row), []).append(row)
    cells = []
    for _, found in sorted(groups.items(), key=lambda group: group[0]):
        cells.append(_build_cell("", found))
        categories = sorted({row.category for row in found})
        if len(categories) > 1:
            parts = ([row for row in found if row.category == category] for category in categories if category)
            cells += [_build_cell(part[0].category, part) for part in parts]
    return cells


def read_pair_cells(aggregate: Path) -> list[PairCell]:
    """Read back what `write_pairwise` wrote; empty where nothing was compared."""
    path = aggregate / CELLS
    if not path.exists():
        return []
    adapter = TypeAdapter(PairCell)
    optional = [field.name for field in fields(PairCell) if field.type == (float | None)]
    cells = []
    for row in read_csv(path):
        card: dict[str, Any] = {name: None if name in optional and not value else value for name, value in row.items()}
        cells.append(adapter.validate_python(card))
    return cells


def name_pair(one: PairRow | PairCell) -> PairName:
    """Name what a row or a cell is of."""
    return one.variant_key, one.against_key, one.stage, one.benchmark, one.judge


def read_pair_keys(aggregate: Path) -> dict[PairName, tuple[str, ...]]:
    """Read the keys of the artifacts behind each cell, sorted; empty where nothing was compared."""
    path = aggregate / ROWS
    if not path.exists():
        return {}
    found: dict[PairName, set[str]] = {}
    for row in read_csv(path):
        name = row["variant_key"], row["against_key"], row["stage"], row["benchmark"], row["judge"]
        found.setdefault(name, set()).add(row["pair_key"])
    return {name: tuple(sorted(keys)) for name, keys in found.items()}


def _build_cell(category: str, rows: Sequence[PairRow]) -> PairCell:
    first = rows[0]
    outcomes = [row.outcome for row in rows]
    pairs = _split_pairs(rows)
    limits = estimate_limits(pairs)
    win_rate, se_seeds, _, n_seeds = estimate_seeds(replicate(pairs))
    runs = sorted({row.judge_run for row in rows})
    by_run = (_split_pairs(row for row in rows if row.judge_run == run) for run in runs)
    rates = [estimate_seeds(replicate(found))[0] for found in by_run]
    known = [rate for rate in rates if rate is not None]
    return PairCell(
        variant_key=first.variant_key,
        against_key=first.against_key,
        stage=first.stage,
        benchmark=first.benchmark,
        category=category,
        judge=first.judge,
        own=first.own,
        comparisons=len(rows),
        wins=outcomes.count("win"),
        ties=outcomes.count("tie"),
        losses=outcomes.count("loss"),
        unparsed=outcomes.count(None),
        identical=sum(row.identical for row in rows),
        flipped=sum(row.flipped for row in rows),
        flipped_to_first=sum(row.flipped_to == "first" for row in rows),
        win_rate=win_rate,
        low=limits[0] if limits else None,
        high=limits[1] if limits else None,
        n_items=len(set().union(*pairs.values())),
        se_seeds=se_seeds,
        n_seeds=n_seeds,
        n_pairs=len(pairs),
        spread=stdev(known) if len(known) == len(rates) >= 2 else None,
        n_runs=len(runs),
    )


def _split_pairs(rows: Iterable[PairRow]) -> Pairs:
    """The points of each item in each pair of models; a pair of which nothing could be read has none."""
    pairs: dict[Seeds, list[PairRow]] = {}
    for row in rows:
        pairs.setdefault((row.mixture_seed, row.ipt_seed, row.sft_seed), []).append(row)
    return {seeds: _average_items(found) for seeds, found in pairs.items()}


def _average_items(rows: Iterable[PairRow]) -> dict[str, float]:
    """The points of each item, the mean over all its comparisons that have an outcome."""
    points: dict[str, list[float]] = {}
    for row in rows:
        if row.outcome is not None:
            points.setdefault(row.item, []).append(_POINTS[row.outcome])
    return {item: math.fsum(values) / len(values) for item, values in points.items()}


def _describe(entry: PairEntry, key: str, judge: str) -> dict[str, Any]:
    """What the rows of one artifact have in common."""
    variant, against = entry.variant, entry.against
    seeds = {level: getattr(variant, level) for level in SEED_LEVELS}
    return {
        "variant_key": variant.variant_key,
        "against_key": against.variant_key,
        "stage": against.stage if variant.stage == "served" else variant.stage,
        "benchmark": entry.benchmark,
        "language": entry.language,
        "judge": judge,
        "own": entry.own or "",
        "generation_seed": entry.generation_seed,
        "judge_run": entry.judge_run,
        **{level: getattr(against, level) if seed is None else seed for level, seed in seeds.items()},
        "pair_key": key,
    }


def _orient(outcome: str | None, entry: PairEntry) -> Outcome | None:
    """Turn a verdict by the artifact's order of models into one from the side of the variant."""
    if outcome is None or outcome == "tie":
        return "tie" if outcome else None
    return "win" if (outcome == "a") != entry.is_swapped else "loss"


def _read_judge(path: Path) -> str:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        return str(card["judge"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(Problem(f"names no judge ({error!r}); run `mixlab verify`", file=str(path))) from error


def _write(path: Path, kind: type[Any], rows: Iterable[Any]) -> None:
    names = [field.name for field in fields(kind)]
    write_csv(path, names, ([getattr(row, name) for name in names] for row in rows))
