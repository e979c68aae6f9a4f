"""The noise that a finished study shows, in the words in which another expects it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.analysis.cell_intervals import NESTED, VARIANCE
from mixlab.analysis.cells import read_csv
from mixlab.analysis.variance import ITEM, RESIDUAL

_BY_ITEM = " x item"


@dataclass(frozen=True)
class Noise:
    """A standard deviation, its one-sided 80 % upper limit, and the fewest degrees of freedom behind it."""

    estimate: float
    upper: float
    df: int


def measure_noise(aggregate: Path, stage: str) -> dict[str, dict[str, Noise]]:
    """Return the standard deviations of each measure from `variance.csv`, cells of one stage counting evenly.

    `ipt_seed` holds what mixture seeds vary by too, since each has an IPT run of its own. What a level does to single
    items is `LEVEL_item`, and `answer` is left of one judging. A level that was not repeated is not there: what it does
    is in the level outside it, and the residual of a study without several judgings in the product of its innermost
    level with the item, where no number of judge runs divides it.
    """
    cells: dict[str, dict[tuple[str, str], list[Mapping[str, str]]]] = {}
    for row in read_csv(aggregate / VARIANCE):
        if row["stage"] == stage and row["variance"] and row["component"] != ITEM:
            cells.setdefault(row["measure"], {}).setdefault((row["variant_key"], row["benchmark"]), []).append(row)
    return {measure: _average([_gather(rows) for rows in found.values()]) for measure, found in sorted(cells.items())}


def count_scored_items(aggregate: Path, stage: str) -> dict[str, int]:
    """Return how many items of each benchmark the components were estimated from."""
    rows = (row for row in read_csv(aggregate / VARIANCE) if row["stage"] == stage and row["component"] == ITEM)
    return {row["benchmark"]: int(row["units"]) for row in rows}


def list_unknown(aggregate: Path, stage: str) -> list[str]:
    """Say which cells have no components and so no part in the noise, and why: a model or a judging may be missing."""
    rows = (row for row in read_csv(aggregate / VARIANCE) if row["stage"] == stage and not row["variance"])
    return [f"{row['measure']} of {row['benchmark']} has no part in it: {row['note']}" for row in rows]


def _gather(rows: Sequence[Mapping[str, str]]) -> dict[str, tuple[float, float, int]]:
    """Return variance, upper limit of it and degrees of freedom of one cell, by the names of a study's noise."""
    innermost = next((row["component"] for row in reversed(rows) if row["component"] in NESTED), NESTED[-1])
    found: dict[str, tuple[float, float, int]] = {}
    for row in rows:
        name = _name(row["component"], innermost)
        variance, upper, df = found.get(name, (0.0, 0.0, int(row["df"])))
        found[name] = (
            variance + float(row["variance"]),
            upper + float(row["upper"]) ** 2,
            min(df, int(row["df"])),
        )
    return found


def _name(component: str, innermost: str) -> str:
    level, product, _ = component.partition(_BY_ITEM)
    if level == RESIDUAL:
        level, product = innermost, _BY_ITEM
    if level == "mixture_seed":
        level = "ipt_seed"
    if not product:
        return level
    return "answer" if level == "judge_run" else f"{level}_item"


def _average(cells: Sequence[Mapping[str, tuple[float, float, int]]]) -> dict[str, Noise]:
    """Average variances, and upper limits too: seeds move all benchmarks together, so these do not average out."""
    found = {}
    for name in dict.fromkeys(name for one in cells for name in one):
        variances, uppers, dfs = zip(*(one[name] for one in cells if name in one), strict=True)
        count = len(cells)
        found[name] = Noise(math.sqrt(sum(variances) / count), math.sqrt(sum(uppers) / count), min(dfs))
    return found
