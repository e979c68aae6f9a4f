"""Runs of targets by item: their means, and the means of those that are compared, over the items that all have.

Legend: `scores` are by counters, benchmark and item, NaN where an item has no score; `runs` are by counters.
"""

from collections.abc import Sequence

import pandas as pd

from mixlab.analysis.same_items import keep_same_items

_ITEM = ["benchmark", "item"]


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
