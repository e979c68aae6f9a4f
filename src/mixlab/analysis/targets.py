"""The numbers of a study's target tables: means, the error bars that the study defines, differences, gains, marks.

Turns and samples of an item are averaged first, then items, then benchmarks evenly; so each run (one combination of all
counters) has one value. Runs are averaged over the counters that the error bar is not over; the error bar is the
deviation of what is left. A run that lacks a benchmark, or an item that any run of the study has, counts as missing and
enters no mean; a verdict that could not be read is left out of its item and counted. Differences are over the runs that
both variants have. What is compared (a cell with the variant that it differs from, after SFT with before, a column
whose best is marked) is compared, base model by base model, on the items that each of these runs has a score for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import product
from operator import mul
from typing import Any

import pandas as pd

from mixlab.analysis.marks import choose_marks, compare_with_best
from mixlab.analysis.seed_tests import measure_moments
from mixlab.analysis.statistics import SEED_LEVELS
from mixlab.analysis.target_gains import Gain, estimate_gain
from mixlab.analysis.target_items import (
    COUNTERS,
    average_same_items,
    average_whole_runs,
    find_whole,
    select_rows,
)
from mixlab.analysis.target_lineage import KEYS, MadeOf, find_made_of, join_made_of
from mixlab.config.targets import NO_POINT, Counter, ScoreTarget, TargetMeasure, TargetSettings

COLUMNS = (
    *("variant_key", "stage", "benchmark", "measure", "language", "category", "item", "score", "parsed"),
    *COUNTERS,
    *KEYS,
)
"""What is read of the tidy scores."""
_GAIN_STAGES = ("before_sft", "after_sft")


@dataclass(frozen=True)
class Place:
    """One cell by what it shows; `base_model` is empty where the cell averages over all of them."""

    variant: str
    base_model: str
    stage: str
    measure: str

    def label(self, axis: str) -> str:
        """What an axis calls it."""
        return str(getattr(self, axis))


@dataclass(frozen=True)
class TargetCell:
    """One cell. `n` values stand behind `error` (None: fewer than two, or all-over missing); `n_wanted` were to.

    An error of 0 says that all values are equal but for rounding. `items` of `items_wanted` items of these runs have a
    score. `state` is empty, or says why there is no mean. `difference` is to the variant `against`, over the
    `difference_n` values that both have; `against_n` and `against_unparsed` are that variant's. `gain` in percent, from
    `gain_low` to `gain_high` with 95 % confidence over `gain_n` SFT seeds (None: `gain_obstacle` says why); `before_n`
    of `before_wanted` values stand behind what it starts from. `mark_level`: the seed whose means the marks of this
    column test, empty where no seed varies in all. Of the `items_asked` items that a run has (of each base model), the
    difference, the gain and the marks each leave out those that some run compared has no score for.
    `made_of`: what `mean` was computed from, without a mean what there is; `compared`: what the difference is to, or
    the gain starts from.
    """

    place: Place
    mean: float | None
    error: float | None
    n: int
    n_wanted: int
    unparsed: int
    items: int = 0
    items_wanted: int = 0
    items_asked: int = 0
    state: str = ""
    difference: float | None = None
    difference_n: int = 0
    difference_left_out: int = 0
    against_n: int = 0
    against_unparsed: int = 0
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    gain_n: int = 0
    gain_obstacle: str = ""
    gain_left_out: int = 0
    before_n: int = 0
    before_wanted: int = 0
    before_unparsed: int = 0
    mark: str = ""
    mark_level: str = ""
    mark_left_out: int = 0
    made_of: MadeOf = field(default_factory=MadeOf)
    compared: MadeOf = field(default_factory=MadeOf)


@dataclass(frozen=True)
class _Values:
    """One value for each combination of an error bar's counters, and what is behind them.

    `scores`: of one base model, by counters, benchmark and item of its whole runs; NaN for an item without a score.
    """

    values: "pd.Series[float]"
    runs: "pd.Series[float]"
    wanted: int
    unparsed: int
    items: int
    items_wanted: int
    state: str
    scores: "pd.Series[float]"

    @property
    def mean(self) -> float | None:
        return float(self.values.mean()) if len(self.values) else None


def build_target(settings: TargetSettings, scores: pd.DataFrame) -> list[TargetCell]:
    """Compute every cell of a target, rows first, in the order of its axes; `scores`: the study's tidy rows."""
    if not isinstance(settings.target, ScoreTarget):
        raise TypeError(f"target '{settings.name}' shows no scores")
    builder = _Builder(settings, settings.target, scores)
    cells = [builder.build(place) for place in list_places(settings, settings.target)]
    return builder.mark(cells)


def list_places(settings: TargetSettings, target: ScoreTarget) -> list[Place]:
    """List the cells in order: all rows, of each all columns."""
    axes = (*target.rows, *target.columns)
    models = settings.base_models()
    entries: dict[str, list[str]] = {
        "variant": settings.variants(),
        "base_model": models if "base_model" in axes or len(models) == 1 else [""],
        "stage": [str(stage) for stage in target.stages],
        "measure": [one.label for one in target.measures],
    }
    order = [*axes, *(axis for axis in entries if axis not in axes)]
    combinations = product(*(entries[axis] for axis in order))
    return [Place(**dict(zip(order, labels, strict=True))) for labels in combinations]


class _Builder:
    """Cells of one target; values of a point are computed once."""

    def __init__(self, settings: TargetSettings, target: ScoreTarget, scores: pd.DataFrame) -> None:
        self.settings, self.target = settings, target
        self.measures = {one.label: one for one in target.measures}
        keys = {point.variant_key for point in settings.points}
        chosen = scores[scores["variant_key"].isin(keys)]
        # a counter that a stage or measure does not have is one value like any other
        self.scores = chosen.assign(**{name: chosen[name].fillna(-1).astype(int) for name in COUNTERS})
        self.groups: Mapping[Any, pd.DataFrame] = dict(iter(self.scores.groupby(["variant_key", "stage"])))
        self.whole = {
            label: find_whole(scores, one, settings.benchmarks.get(label, ())) for label, one in self.measures.items()
        }
        self.known: dict[Place, _Values] = {}

    def build(self, place: Place) -> TargetCell:
        found = self._find(place)
        mean = found.mean
        error = None
        if len(found.values) > 1:
            moments = measure_moments(found.values.to_numpy()[None])
            deviation = math.sqrt(float(moments.squares / moments.df))
            error = deviation / math.sqrt(len(found.values)) if self.target.error.what == "se" else deviation
        cell = TargetCell(
            place=place,
            mean=mean,
            error=error,
            n=len(found.values),
            n_wanted=found.wanted,
            unparsed=found.unparsed,
            items=found.items,
            items_wanted=found.items_wanted,
            items_asked=self.whole[place.measure].pairs * (1 if place.base_model else len(self.settings.base_models())),
            state=found.state,
            # a gain takes each base model by itself, with all runs that it has
            made_of=self._trace(place, None if self.target.gain else found.runs.index),
        )
        if self.target.against is not None:
            cell = self._compare(cell, self.target.against)
        return self._add_gain(cell) if self.target.gain else cell

    def _compare(self, cell: TargetCell, against: str) -> TargetCell:
        """Add the difference to another variant, over the runs and items that both have."""
        place = cell.place
        other = replace(place, variant=against)
        found, base = self._find(place), self._find(other)
        common = found.runs.index.intersection(base.runs.index)
        (own, its), left_out = self._average_same([(place, common), (other, common)])
        apart = own - its
        values = apart.groupby(level=list(self.target.error.over)).mean() if len(apart) else _EMPTY
        return replace(
            cell,
            difference=float(values.mean()) if len(values) else None,
            difference_n=len(values),
            difference_left_out=left_out,
            against_n=len(base.values),
            against_unparsed=base.unparsed,
            compared=self._trace(replace(place, variant=against), common),
        )

    def mark(self, cells: Sequence[TargetCell]) -> list[TargetCell]:
        """Mark the best and second-best variant of each column of numbers where the seeds tell them apart."""
        columns: dict[tuple[str, ...], list[TargetCell]] = {}
        for cell in cells:
            place = cell.place
            columns.setdefault((place.base_model, place.stage, place.measure), []).append(cell)
        marked: dict[Place, tuple[str, str, int]] = {}
        for column in columns.values():
            level = self._choose_level(column)
            places = [cell.place for cell in column] if level else []
            runs, left_out = self._average_same([(place, self._find(place).runs.index) for place in places])
            units = {
                place.variant: [float(one) for one in own.groupby(level=level).mean()]
                for place, own in zip(places, runs, strict=True)
            }
            chosen = choose_marks(compare_with_best(units))
            marked |= {cell.place: (chosen.get(cell.place.variant, ""), level, left_out) for cell in column}
        return [
            replace(cell, mark=mark, mark_level=level, mark_left_out=left_out)
            for cell in cells
            for mark, level, left_out in [marked[cell.place]]
        ]

    def _choose_level(self, column: Sequence[TargetCell]) -> str:
        """The outermost seed that varies in every cell of a column: one kind of draw for all; empty where none does."""
        if len(column) < 2 or any(cell.state for cell in column):
            return ""
        for level in SEED_LEVELS:
            if all(self._find(cell.place).runs.index.get_level_values(level).nunique() > 1 for cell in column):
                return level
        return ""

    def _average_same(self, sides: "Sequence[tuple[Place, pd.Index[Any]]]") -> tuple[list["pd.Series[float]"], int]:
        """Average these runs of each place over the items that all of them have a score for, one base model at a time.

        The second is how many items that leaves out. A run for which a benchmark has no item left is none.
        """
        if not sides:
            return [], 0
        models = [sides[0][0].base_model] if sides[0][0].base_model else self.settings.base_models()
        averages: list[list[pd.Series[float]]] = [[] for _ in sides]
        left_out = 0
        for model in models:
            found = [self._find(replace(place, base_model=model)) for place, _ in sides]
            chosen = [one.runs.loc[one.runs.index.isin(index)] for one, (_, index) in zip(found, sides, strict=True)]
            if any(one.items < len(one.scores) for one in found):
                chosen, lost = average_same_items([one.scores for one in found], chosen)
                left_out += lost
            for own, runs in zip(averages, chosen, strict=True):
                own.append(runs)
        return [pd.concat(own, axis=1).dropna().mean(axis=1) for own in averages], left_out

    def _add_gain(self, cell: TargetCell) -> TargetCell:
        """Add the percent from before to after SFT; None where a base model is missing, or the first is 0."""
        place = cell.place
        models = self.settings.base_models() if not place.base_model else [place.base_model]
        stages = [[replace(place, base_model=model, stage=stage) for stage in _GAIN_STAGES] for model in models]
        found, left_out = Gain(None, None, None, 0), 0
        if all(len(self._find(one).runs) for pair in stages for one in pair):
            starts, means = list[float](), list[float]()
            seeds: list[pd.Series[float]] = []
            for pair in stages:
                (first, last), lost = self._average_same([(one, self._find(one).runs.index) for one in pair])
                starts, means = [*starts, self._average(first)], [*means, self._average(last)]
                seeds.append(last.groupby(level="sft_seed").mean())
                left_out += lost
            if not any(map(math.isnan, starts)):
                found = estimate_gain(starts, means, seeds, of_averages=self.target.gain == "of_averages")
        before = [self._find(pair[0]) for pair in stages]
        return replace(
            cell,
            gain=found.percent,
            gain_low=found.low,
            gain_high=found.high,
            gain_n=found.n,
            gain_obstacle=found.obstacle,
            gain_left_out=left_out,
            before_n=min(len(one.values) for one in before),
            before_wanted=before[0].wanted,
            before_unparsed=sum(one.unparsed for one in before),
            compared=self._trace(replace(place, stage="before_sft"), None),
        )

    def _average(self, runs: "pd.Series[float]") -> float:
        """The mean over what the error bar is over; NaN without runs."""
        return float(runs.groupby(level=list(self.target.error.over)).mean().mean()) if len(runs) else math.nan

    def _trace(self, place: Place, runs: pd.Index | None) -> MadeOf:
        """Find what the values of a place were computed from: all its whole runs, or those of `runs` where it has any.

        Without a whole run it is what there is of the place.
        """
        models = [place.base_model] if place.base_model else self.settings.base_models()
        return join_made_of(self._trace_model(replace(place, base_model=model), runs) for model in models)

    def _trace_model(self, place: Place, runs: pd.Index | None) -> MadeOf:
        point, own = self.settings.find(place.variant, place.base_model), self._find(place).runs.index
        if point is None or (point.variant_key, place.stage) not in self.groups:
            return MadeOf()
        rows = select_rows(self.groups[point.variant_key, place.stage], self.measures[place.measure])
        entered = own if runs is None or runs.empty else runs
        if not entered.empty:
            rows = rows[pd.MultiIndex.from_frame(rows[list(COUNTERS)]).isin(entered)]
        return find_made_of(rows)

    def _find(self, place: Place) -> _Values:
        if place not in self.known:
            self.known[place] = self._measure(place) if place.base_model else self._measure_all(place)
        return self.known[place]

    def _measure(self, place: Place) -> _Values:
        measure, over = self.measures[place.measure], list(self.target.error.over)
        point = self.settings.find(place.variant, place.base_model)
        wanted = self._count_wanted(place.stage, measure, over)
        if point is None:
            return _Values(_EMPTY, _EMPTY, wanted, 0, 0, 0, NO_POINT, _NO_SCORES)
        rows = select_rows(self.groups.get((point.variant_key, place.stage), self.scores.iloc[:0]), measure)
        unparsed = int((~rows["parsed"].astype(bool)).sum())
        if rows.empty:
            return _Values(_EMPTY, _EMPTY, wanted, 0, 0, 0, "not run", _NO_SCORES)
        whole = self.whole[place.measure]
        runs, scores = average_whole_runs(rows, whole)
        values = runs.groupby(level=over).mean() if len(runs) else _EMPTY
        state = "" if len(runs) else "no whole run" if rows["score"].notna().any() else "none parsed"
        items, items_wanted = int(scores.notna().sum()), len(runs) * (whole.pairs + whole.absent_items)
        return _Values(values, runs, wanted, unparsed, items, items_wanted, state, scores)

    def _measure_all(self, place: Place) -> _Values:
        """Average over base models, run by run; with one missing there is no mean."""
        models = self.settings.base_models()
        found = [self._find(Place(place.variant, model, place.stage, place.measure)) for model in models]
        wanted, unparsed = found[0].wanted, sum(one.unparsed for one in found)
        items, items_wanted = sum(one.items for one in found), sum(one.items_wanted for one in found)
        if missing := [one for one in found if one.state]:
            state = f"{len(found) - len(missing)} of {len(found)} base models"
            return _Values(_EMPTY, _EMPTY, wanted, unparsed, items, items_wanted, state, _NO_SCORES)
        values, runs = (
            pd.concat([getattr(one, name) for one in found], axis=1).dropna().mean(axis=1)
            for name in ("values", "runs")
        )
        state = "" if len(runs) else "no run of all base models"
        values = values if len(runs) else _EMPTY
        return _Values(values, runs, wanted, unparsed, items, items_wanted, state, _NO_SCORES)

    def _count_wanted(self, stage: str, measure: TargetMeasure, over: Sequence[Counter]) -> int:
        own = list_counters(over, stage, measure)
        return reduce(mul, (self.settings.seeds.get(name, 1) for name in own), 1)


def _build_empty(*names: str) -> "pd.Series[float]":
    return pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[] for _ in names], names=names), name="score")


_EMPTY, _NO_SCORES = _build_empty(*COUNTERS), _build_empty(*COUNTERS, "benchmark", "item")


def list_counters(over: Sequence[Counter], stage: str, measure: TargetMeasure) -> list[Counter]:
    """Those of these counters that a stage and a measure have."""
    absent = {"sft_seed"} if stage == "before_sft" else set()
    absent |= {"judge_run"} if measure.measure != "judge_score" else set()
    return [name for name in over if name not in absent]
