"""Mean and interval of every cell at both claim levels, and the variance components behind it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixlab.analysis.cells import CELL, Cell, write_csv
from mixlab.analysis.claim_levels import CLAIM_LEVELS, ClaimLevel, build_sample
from mixlab.analysis.seed_tests import estimate_mean
from mixlab.analysis.study_tests import trim
from mixlab.analysis.variance import decompose

if TYPE_CHECKING:
    import pandas as pd

INTERVALS, VARIANCE = "intervals.csv", "variance.csv"
INTERVAL_HEADER = (*CELL, "level", "unit", "n", "models", "mean", "low", "high", "df", "note")
VARIANCE_HEADER = (*CELL, "component", "deviation", "variance", "units", "df", "upper", "note")
NESTED = ["mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run"]


@dataclass(frozen=True)
class Interval:
    """A cell's mean with its 95 % interval at one claim level; without one, `note` says why.

    `n` units, of `models` models that the point has at this stage.
    """

    cell: Cell
    level: ClaimLevel
    unit: str
    n: int
    models: int
    mean: float | None
    low: float | None
    high: float | None
    df: float | None
    note: str


def build_intervals(cells: Sequence[Cell]) -> list[Interval]:
    """Return two intervals for each cell, in the cells' order."""
    models: dict[tuple[str, str], set[Any]] = {}
    for cell in cells:
        found = {(one.mixture_seed, one.ipt_seed, one.sft_seed) for one in cell.replicates}
        models.setdefault((cell.variant_key, cell.stage), set()).update(found)
    return [
        _build_interval(cell, level, len(models[cell.variant_key, cell.stage]))
        for cell in cells
        for level in CLAIM_LEVELS
    ]


def _build_interval(cell: Cell, level: ClaimLevel, models: int) -> Interval:
    sample = build_sample(cell.replicates, level)
    scored = len(cell.replicates) - sample.lost
    notes = [f"{scored} of {models} models have scores"] if scored < models else []
    if cell.n_unparsed:
        notes.append(f"{cell.n_unparsed} of {cell.n_answers} unparsed")
    mean, low, high, df = cell.estimate.mean, None, None, None
    if sample.obstacle:
        notes.insert(0, f"not estimable: {sample.obstacle}")
    else:
        found = estimate_mean(sample.to_array())
        mean, low, high, df = (_known(one) for one in (found.difference, found.low, found.high, found.df))
        if low is None:
            notes.insert(0, "not estimable: seeds do not differ")
    return Interval(cell, level, sample.unit, sample.count, models, mean, low, high, df, "; ".join(notes))


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def write_intervals(intervals: Sequence[Interval], out: Path) -> None:
    """Write `intervals.csv`, a row per cell and claim level."""
    names = INTERVAL_HEADER[len(CELL) :]
    rows = [
        [*(getattr(one.cell, name) for name in CELL), *(trim(getattr(one, name)) for name in names)]
        for one in intervals
    ]
    write_csv(out / INTERVALS, INTERVAL_HEADER, rows)


def write_variance(frame: "pd.DataFrame", out: Path) -> None:
    """Write `variance.csv`: the components of every cell whose seeds, judgings and items are all there.

    `upper`: the standard deviation at the one-sided 80 % limit.
    Turns and samples of an item are averaged first. Items that some judging has no score for are left out, and said.
    """
    rows: list[list[object]] = []
    groups: Any = frame.groupby(CELL, sort=True)
    for names, part in groups:
        rows += [[*names, *row] for row in _decompose_cell(part)]
    write_csv(out / VARIANCE, VARIANCE_HEADER, rows)


def _decompose_cell(rows: "pd.DataFrame") -> list[list[object]]:
    # a judge run of none is one judging
    keyed: Any = rows[[*NESTED, "item", "score"]].fillna(dict.fromkeys(NESTED, -1))
    table = keyed.groupby([*NESTED, "item"], sort=True)["score"].mean().unstack("item")
    known = table.loc[:, table.notna().all(axis=0)]
    sizes = [known.index.get_level_values(name).nunique() for name in NESTED]
    if int(np.prod(sizes)) != len(known):
        return [["", None, None, len(known), None, None, "not estimable: not every seed has every judging"]]
    if known.shape[1] < 2:
        note = f"not estimable: {known.shape[1]} of {table.shape[1]} items scored"
        return [["", None, None, known.shape[1], None, None, note]]
    lost = table.shape[1] - known.shape[1]
    left_out = [f"{lost} of {table.shape[1]} items left out, some judging has no score"] if lost else []
    found = decompose(known.to_numpy(dtype=float).reshape([*sizes, known.shape[1]]), NESTED)
    return [
        [
            one.name,
            trim(one.deviation),
            trim(one.variance),
            one.units,
            one.df,
            trim(math.sqrt(one.upper)),
            "; ".join([*filter(None, [one.note]), *left_out]),
        ]
        for one in found
    ]
