"""Runs of targets by item: their means, and the means of those that are compared, over the items that all have.

Legend: `scores` are by counters, benchmark and item, NaN where an item has no score; `runs` are by counters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mixlab.analysis.same_items import keep_same_items
from mixlab.config.targets import Counter, TargetMeasure

COUNTERS: tuple[Counter, ...] = ("mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run")
_ITEM = ["benchmark", "item"]


@dataclass(frozen=True)
class Whole:
    """What a whole run of a measure holds: `pairs` of benchmark and item, and what is named and in no run at all."""

    pairs: int
    benchmarks: int
    absent_benchmarks: int
    absent_items: int


def find_whole(scores: pd.DataFrame, measure: TargetMeasure, declared: Sequence[str]) -> Whole:
    """Find what a measure averages in any run of the study, and what it names, or the study declares, beside that."""
    rows = select_rows(scores, measure)
    # a named benchmark that a filter leaves out is there
    run = set(scores.loc[scores["measure"] == measure.measure, "benchmark"])
    named = measure.item_ids() or frozenset()
    return Whole(
        pairs=len(rows[["benchmark", "item"]].drop_duplicates()),
        benchmarks=int(rows["benchmark"].nunique()),
        absent_benchmarks=len({*measure.benchmarks, *declared} - run),
        absent_items=len(named - set(rows["item"])),
    )


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


def average_whole_runs(rows: pd.DataFrame, whole: Whole) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """Average each whole run; the second is their scores by item."""
    counters = list(COUNTERS)
    scores: pd.Series[float] = rows.groupby([*counters, "benchmark", "item"])["score"].mean()
    present = scores.groupby(level=counters).size()
    means = average_runs(scores)
    scored = scores.dropna().reset_index().groupby(counters)["benchmark"].nunique()
    is_whole = (scored == whole.benchmarks) & (present.loc[means.index] == whole.pairs)
    chosen: pd.Series[float] = means[is_whole & (whole.absent_benchmarks == 0)]
    return chosen, select_runs(scores, chosen)


def average_runs(scores: "pd.Series[float]") -> "pd.Series[float]":
    """Average each run: its items that have a score, then its benchmarks evenly; one without any score is none."""
    counters = scores.index.names[: -len(_ITEM)]
    return scores.dropna().groupby(level=[*counters, "benchmark"]).mean().groupby(level=counters).mean()


def select_runs(scores: "pd.Series[float]", runs: "pd.Series[float]") -> "pd.Series[float]":
    """The scores of these runs."""
    return scores[scores.index.droplevel(_ITEM).isin(runs.index)]


def average_same_items(
    scores: Sequence["pd.Series[float]"], runs: Sequence["pd.Series[float]"]
) -> tuple[list["pd.Series[float]"], int]:
    """Average the runs of several sides over the items that every one of them has a score for.

    The second is how many items that leaves out. A benchmark of which no item is left leaves no run.
    """
    counters = scores[0].index.names[: -len(_ITEM)]
    chosen = [select_runs(one, own).reset_index() for one, own in zip(scores, runs, strict=True)]
    frame = pd.concat([part.assign(side=side) for side, part in enumerate(chosen)], ignore_index=True)
    kept = keep_same_items(frame, ("benchmark",), ("side", *counters)).set_index([*counters, *_ITEM])
    asked, left = (len(one[_ITEM].drop_duplicates()) for one in (frame, kept.dropna(subset="score").reset_index()))
    is_whole = kept.dropna(subset="score").index.unique("benchmark").size == frame["benchmark"].nunique()
    sides = [kept.loc[kept["side"] == side, "score"] for side in range(len(chosen))]
    return [average_runs(one if is_whole else one[:0]) for one in sides], asked - left
