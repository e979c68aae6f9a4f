"""The numbers of a study's target tables: means, the error bars that the study defines, differences, gains, marks.

Turns and samples of an item are averaged first, then items, then benchmarks evenly; so each run (one combination of all
counters) has one value. Runs are averaged over the counters that the error bar is not over; the error bar is the
deviation of what is left. A run that lacks a benchmark counts as missing and enters no mean; a verdict that could not
be read is left out of its item and counted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import mul
from typing import Any

import pandas as pd

from mixlab.analysis.marks import choose_marks, compare_with_best
from mixlab.analysis.statistics import SEED_LEVELS
from mixlab.config.targets import NO_POINT, Counter, ScoreTarget, TargetMeasure, TargetSettings

COUNTERS: tuple[Counter, ...] = ("mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run")
COLUMNS = ("variant_key", "stage", "benchmark", "measure", "language", "category", "item", "score", "parsed", *COUNTERS)
"""What is read of the tidy scores."""


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

    `state` is empty, or says why there is no mean. `difference` is to the variant `against`, `gain` in percent.
    """

    place: Place
    mean: float | None
    error: float | None
    n: int
    n_wanted: int
    unparsed: int
    state: str = ""
    difference: float | None = None
    gain: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class _Values:
    """One value for each combination of an error bar's counters, and what is behind them."""

    values: "pd.Series[float]"
    runs: "pd.Series[float]"
    wanted: int
    unparsed: int
    state: str

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
        self.benchmarks = {label: self._count_benchmarks(one) for label, one in self.measures.items()}
        self.known: dict[Place, _Values] = {}

    def build(self, place: Place) -> TargetCell:
        found = self._find(place)
        mean = found.mean
        error = None
        if len(found.values) > 1:
            deviation = float(found.values.std(ddof=1))
            error = deviation / math.sqrt(len(found.values)) if self.target.error.what == "se" else deviation
        against = self.target.against
        base = self._find(Place(against, place.base_model, place.stage, place.measure)).mean if against else None
        return TargetCell(
            place=place,
            mean=mean,
            error=error,
            n=len(found.values),
            n_wanted=found.wanted,
            unparsed=found.unparsed,
            state=found.state,
            difference=None if mean is None or base is None else mean - base,
            gain=self._gain(place) if self.target.gain else None,
        )

    def mark(self, cells: Sequence[TargetCell]) -> list[TargetCell]:
        """Mark the best and second-best variant of each column of numbers where the seeds tell them apart."""
        columns: dict[tuple[str, ...], list[TargetCell]] = {}
        for cell in cells:
            place = cell.place
            columns.setdefault((place.base_model, place.stage, place.measure), []).append(cell)
        marks: dict[Place, str] = {}
        for column in columns.values():
            units = {cell.place.variant: self._units(cell.place) for cell in column if not cell.state}
            chosen = choose_marks(compare_with_best(units)) if len(units) == len(column) > 1 else {}
            marks |= {cell.place: chosen.get(cell.place.variant, "") for cell in column}
        return [TargetCell(**{**vars(cell), "mark": marks[cell.place]}) for cell in cells]

    def _units(self, place: Place) -> list[float]:
        """Means of the outermost seed that was varied: the draws that a test may count."""
        runs = self._find(place).runs
        for level in SEED_LEVELS:
            means = runs.groupby(level=level).mean()
            if len(means) > 1:
                return [float(one) for one in means]
        return [float(runs.mean())] if len(runs) else []

    def _gain(self, place: Place) -> float | None:
        """Percent from before to after SFT; None where one is missing, or the first is 0."""
        models = self.settings.base_models() if not place.base_model else [place.base_model]
        pairs = []
        for model in models:
            stages = (Place(place.variant, model, stage, place.measure) for stage in ("before_sft", "after_sft"))
            pairs.append(tuple(self._find(one).mean for one in stages))
        known = [(before, after) for before, after in pairs if before is not None and after is not None]
        if len(known) < len(pairs) or not known:
            return None
        if self.target.gain == "of_averages":
            known = [(math.fsum(before for before, _ in known), math.fsum(after for _, after in known))]
        if any(before == 0 for before, _ in known):
            return None
        return 100 * math.fsum(after / before - 1 for before, after in known) / len(known)

    def _find(self, place: Place) -> _Values:
        if place not in self.known:
            self.known[place] = self._measure(place) if place.base_model else self._measure_all(place)
        return self.known[place]

    def _measure(self, place: Place) -> _Values:
        measure, over = self.measures[place.measure], list(self.target.error.over)
        point = self.settings.find(place.variant, place.base_model)
        wanted = self._count_wanted(place.stage, measure, over)
        if point is None:
            return _Values(_EMPTY, _EMPTY, wanted, 0, NO_POINT)
        rows = select_rows(self.groups.get((point.variant_key, place.stage), self.scores.iloc[:0]), measure)
        unparsed = int((~rows["parsed"].astype(bool)).sum())
        if rows.empty:
            return _Values(_EMPTY, _EMPTY, wanted, 0, "not run")
        runs = self._average_runs(rows, place.measure)
        values = runs.groupby(level=over).mean() if len(runs) else _EMPTY
        state = "" if len(runs) else "no whole run" if rows["score"].notna().any() else "none parsed"
        return _Values(values, runs, wanted, unparsed, state)

    def _average_runs(self, rows: pd.DataFrame, label: str) -> "pd.Series[float]":
        items = rows.groupby([*COUNTERS, "benchmark", "item"])["score"].mean().dropna()
        benchmarks = items.groupby(level=[*COUNTERS, "benchmark"]).mean()
        runs = benchmarks.groupby(level=list(COUNTERS))
        means, counts = runs.mean(), runs.size()
        whole: pd.Series[float] = means[counts == self.benchmarks[label]]
        return whole

    def _measure_all(self, place: Place) -> _Values:
        """Average over base models, run by run; with one missing there is no mean."""
        models = self.settings.base_models()
        found = [self._find(Place(place.variant, model, place.stage, place.measure)) for model in models]
        wanted, unparsed = found[0].wanted, sum(one.unparsed for one in found)
        if missing := [one for one in found if one.state]:
            state = f"{len(found) - len(missing)} of {len(found)} base models"
            return _Values(_EMPTY, _EMPTY, wanted, unparsed, state)
        values, runs = (
            pd.concat([getattr(one, name) for one in found], axis=1).dropna().mean(axis=1)
            for name in ("values", "runs")
        )
        return _Values(values, runs, wanted, unparsed, "" if len(values) else "no run of all base models")

    def _count_benchmarks(self, measure: TargetMeasure) -> int:
        return int(select_rows(self.scores, measure)["benchmark"].nunique())

    def _count_wanted(self, stage: str, measure: TargetMeasure, over: Sequence[Counter]) -> int:
        absent = {"sft_seed"} if stage == "before_sft" else set()
        absent |= {"judge_run"} if measure.measure != "judge_score" else set()
        return reduce(mul, (self.settings.seeds.get(name, 1) for name in over if name not in absent), 1)


_EMPTY: "pd.Series[float]" = pd.Series(dtype=float)


def select_rows(frame: pd.DataFrame, measure: TargetMeasure) -> pd.DataFrame:
    """The rows that a measure averages."""
    chosen = frame["measure"] == measure.measure
    for column, allowed in (
        ("benchmark", measure.benchmarks),
        ("category", measure.categories),
        ("language", measure.languages),
    ):
        if allowed:
            chosen &= frame[column].isin(allowed)
    ids = measure.item_ids()
    if ids is not None:
        chosen &= frame["item"].isin(ids)
    return frame[chosen]
