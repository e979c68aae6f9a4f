"""The noise that a finished study shows, in the words in which another expects it."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from mixlab.analysis.cell_intervals import NESTED, VARIANCE
from mixlab.analysis.cells import read_csv
from mixlab.analysis.variance import ITEM

_ANSWER = "answer"


def measure_noise(aggregate: Path, stage: str) -> dict[str, dict[str, float]]:
    """Return the standard deviations of each measure from `variance.csv`, cells of one stage counting evenly.

    `ipt_seed` holds what mixture seeds vary by too, since each has an IPT run of its own. `answer` is what is left of
    one score: the residual, and the products of seeds with the item. A level that was not repeated is not there.
    """
    cells: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for row in read_csv(aggregate / VARIANCE):
        if row["stage"] == stage and row["variance"] and row["component"] != ITEM:
            found = cells.setdefault(row["measure"], {}).setdefault((row["variant_key"], row["benchmark"]), {})
            name = _name(row["component"])
            found[name] = found.get(name, 0.0) + float(row["variance"])
    return {measure: _average(list(found.values())) for measure, found in sorted(cells.items())}


def _name(component: str) -> str:
    if component == "mixture_seed":
        return "ipt_seed"
    return component if component in NESTED else _ANSWER


def _average(cells: list[Mapping[str, float]]) -> dict[str, float]:
    names: Iterable[str] = dict.fromkeys(name for one in cells for name in one)
    return {name: math.sqrt(sum(one.get(name, 0.0) for one in cells) / len(cells)) for name in names}
