"""Scores item by item: items of two points laid side by side, and what is left when each verdict counts once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixlab.config.analysis import Selection

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
MODEL = ["mixture_seed", "ipt_seed", "sft_seed"]
ABSENT = -1
Model = tuple[int | None, int | None, int | None]
"""Mixture, IPT and SFT seed."""
_ANSWER = ["variant_key", "stage", *MODEL, "benchmark", "measure", "item", "turn", "verdict_id"]


def count_once(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Drop rows of judged answers that repeat one verdict: the same answer of the same model, under one verdict_id.

    A verdict's name holds its judge run, so two runs never share one; equal answers of two generation seeds do, and
    are one verdict, not two that agree. Equal answers of two models keep a row each: the models said the same.
    For what is said of verdicts alone: a mean without them would favour the answers that a model gives seldom.
    """
    repeated = frame["verdict_id"].notna() & frame.duplicated(_ANSWER, keep="first")
    return frame[~repeated]


@dataclass(frozen=True)
class ItemScores:
    """The mean score of each item of one benchmark, by model of one point.

    `scores`: [M, I], NaN where an item of a model could not be scored. `repeats`: the most scores behind one of them.
    """

    benchmark: str
    models: tuple[Model, ...]
    items: tuple[str, ...]
    scores: Floats
    repeats: int


def build_item_scores(frame: "pd.DataFrame", variant_key: str, stage: str, selection: Selection) -> list[ItemScores]:
    """Return the item means of one point for each benchmark selected, in order of benchmark, models and items."""
    rows = _find_point(frame, variant_key, stage)
    found = []
    groups: Any = rows.groupby("benchmark", sort=True)
    for benchmark, part in groups:
        chosen = part[part["measure"] == selection.measure]
        if chosen.empty or not _selects(selection, chosen):
            continue
        grouped: Any = chosen.groupby([*MODEL, "item"], sort=True)["score"]
        table = grouped.mean().unstack("item").sort_index(axis=1)
        found.append(
            ItemScores(
                benchmark=str(benchmark),
                models=tuple(_seeds(index) for index in table.index),
                items=tuple(map(str, table.columns)),
                scores=table.to_numpy(dtype=float),
                repeats=int(grouped.size().max()),
            )
        )
    return found


def keep_models(scores: Sequence[ItemScores], models: Collection[Model]) -> list[ItemScores]:
    """Leave out models that lack a benchmark, so that each benchmark is of the same ones."""
    kept = []
    for one in scores:
        places = [place for place, model in enumerate(one.models) if model in models]
        chosen = tuple(one.models[place] for place in places)
        kept.append(ItemScores(one.benchmark, chosen, one.items, one.scores[places], one.repeats))
    return kept


def subtract_items(a: Sequence[ItemScores], b: Sequence[ItemScores]) -> list[Floats] | None:
    """Return, for each benchmark, the difference of the points' means on each item both could be scored on.

    None where they were not asked the same items of the same benchmarks. Models of a point count evenly; an item that
    one of its models has no score for is left out.
    """
    if [(one.benchmark, one.items) for one in a] != [(one.benchmark, one.items) for one in b]:
        return None
    differences = [first.scores.mean(axis=0) - second.scores.mean(axis=0) for first, second in zip(a, b, strict=True)]
    return [one[np.isfinite(one)] for one in differences]


def build_judgings(frame: "pd.DataFrame", variant_key: str, stage: str, selection: Selection) -> Floats:
    """Return the mean of each judging of each model of one point [N], benchmarks evenly, in order of the seeds.

    A judging is one generation seed and judge run, the same number of both whatever the benchmark; one that lacks a
    benchmark is left out, and so is one all of whose verdicts are an earlier one's. `frame` has every row: a judging
    that shares some verdicts is still of all items.
    """
    rows = _find_point(frame, variant_key, stage)
    judging = [*MODEL, "generation_seed", "judge_run"]
    own = count_once(rows).set_index(judging).index
    rows = rows[rows.set_index(judging).index.isin(own)]
    chosen = [part for _, part in rows.groupby(["benchmark", "measure"], sort=True) if _selects(selection, part)]
    tables = [
        part.groupby([*MODEL, "generation_seed", "judge_run", "item"], sort=True)["score"]
        .mean()
        .groupby(level=[*MODEL, "generation_seed", "judge_run"], sort=True)
        .mean()
        .rename(str(place))
        for place, part in enumerate(chosen)
    ]
    if not tables:
        return np.empty(0)
    joined: Any = tables[0].to_frame()
    for table in tables[1:]:
        joined[table.name] = table
    return np.asarray(joined.dropna().mean(axis=1).to_numpy(dtype=float))


def arrange(scores: ItemScores, unit: str) -> Floats | None:
    """Lay the models of one point out as [R, U, I], units of `unit` in blocks as `claim_levels` has them.

    None where blocks have different numbers of units.
    """
    runs: dict[tuple[int | None, int | None], list[int]] = {}
    for place, (mixture, ipt, _) in enumerate(scores.models):
        runs.setdefault((mixture, ipt), []).append(place)
    if unit == "sft_seed":
        if len({len(places) for places in runs.values()}) != 1:
            return None
        return np.asarray(scores.scores[np.array(list(runs.values()))])
    means: dict[int | None, list[Floats]] = {}
    for (mixture, ipt), places in runs.items():
        means.setdefault(mixture if unit == "mixture_seed" else ipt, []).append(scores.scores[places].mean(axis=0))
    return np.array([[np.mean(rows, axis=0) for rows in means.values()]])


def keep_known(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Leave out the items of a [..., I] and b [..., I] that some unit has no score for."""
    known = np.isfinite(a).reshape(-1, a.shape[-1]).all(axis=0) & np.isfinite(b).reshape(-1, b.shape[-1]).all(axis=0)
    return a[..., known], b[..., known]


def _selects(selection: Selection, rows: "pd.DataFrame") -> bool:
    first = rows.iloc[0]
    category = first["category"] if isinstance(first["category"], str) else None
    return selection.selects(first["measure"], first["benchmark"], category, first["language"])


def _find_point(frame: "pd.DataFrame", variant_key: str, stage: str) -> "pd.DataFrame":
    """The rows of one point, with ABSENT for seeds that it has not: an index may hold no gaps."""
    rows = frame[(frame["variant_key"] == variant_key) & (frame["stage"] == stage)]
    return rows.fillna(dict.fromkeys([*MODEL, "generation_seed", "judge_run"], ABSENT))


def _seeds(index: Any) -> Model:
    mixture, ipt, sft = (None if value == ABSENT else int(value) for value in index)
    return mixture, ipt, sft
