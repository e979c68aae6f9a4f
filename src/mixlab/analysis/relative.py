"""Relative improvement from before to after SFT, as in Kodama-Oda's Table 5: after / before - 1, with an interval.

Averages can be taken before or after dividing, and the two differ: "of averages" divides the average over benchmarks
(and IPT runs) after SFT by that before it; "average of" averages the improvements of each.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixlab.analysis.cells import Cell, write_csv
from mixlab.analysis.claim_levels import CLAIM_LEVELS, ClaimLevel, build_sample
from mixlab.analysis.same_items import describe_left_out
from mixlab.analysis.seed_tests import estimate_mean
from mixlab.analysis.study_tests import trim

Floats = NDArray[np.float64]
FILE = "relative.csv"
HEADER = (
    *("variant_key", "measure", "benchmarks", "averaging", "level", "unit", "n"),
    *("before", "after", "improvement", "low", "high", "note"),
)
OF_AVERAGES, AVERAGE_OF = "of averages", "average of"
_BEFORE, _AFTER = "before_sft", "after_sft"
_Laid = tuple[str, str, Floats, set[Any]]


@dataclass(frozen=True)
class Improvement:
    """One relative improvement with its 95 % limits; a number that there is not is None, and `note` says why."""

    variant_key: str
    measure: str
    benchmarks: tuple[str, ...]
    averaging: str
    level: ClaimLevel
    unit: str = ""
    n: int = 0
    before: float | None = None
    after: float | None = None
    improvement: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def build_improvements(cells: Iterable[Cell]) -> list[Improvement]:
    """Measure each point that was scored before and after SFT, on each benchmark and on all of one measure.

    Scores by several judges stand on different scales and are measured by benchmark alone. `cells` count the items that
    all models of a point have a score for, before SFT and after.
    """
    points: dict[tuple[str, str], dict[str, dict[str, Cell]]] = {}
    for cell in cells:
        if cell.stage in (_BEFORE, _AFTER):
            stages = points.setdefault((cell.variant_key, cell.measure), {_BEFORE: {}, _AFTER: {}})
            stages[cell.stage][cell.benchmark] = cell
    found = []
    for (variant_key, measure), stages in sorted(points.items()):
        if not stages[_BEFORE] or not stages[_AFTER]:
            continue
        names = sorted(set(stages[_BEFORE]) | set(stages[_AFTER]))
        judges = {cell.judge for of_stage in stages.values() for cell in of_stage.values()}
        together = [tuple(names)] if len(names) > 1 and len(judges) == 1 else []
        for chosen in [(name,) for name in names] + together:
            for averaging in (OF_AVERAGES, AVERAGE_OF) if len(chosen) > 1 else (OF_AVERAGES,):
                for level in CLAIM_LEVELS:
                    blank = Improvement(variant_key, measure, chosen, averaging, level)
                    one = _measure(blank, stages)
                    said = _describe_items([stages[_BEFORE][name] for name in chosen if name in stages[_BEFORE]])
                    found.append(replace(one, note="; ".join(filter(None, [one.note, said]))))
    return found


def _describe_items(cells: Sequence[Cell]) -> str:
    return describe_left_out(sum(cell.n_asked for cell in cells), sum(cell.estimate.n_items for cell in cells))


def write_improvements(improvements: Sequence[Improvement], out: Path) -> None:
    """Write `relative.csv`; a study with nothing before or after SFT has none."""
    rows = [
        [" ".join(one.benchmarks) if name == "benchmarks" else trim(getattr(one, name)) for name in HEADER]
        for one in improvements
    ]
    if rows:
        write_csv(out / FILE, HEADER, rows)


def _measure(blank: Improvement, stages: Mapping[str, Mapping[str, Cell]]) -> Improvement:
    def keep(**numbers: object) -> Improvement:
        return Improvement(**{**vars(blank), **numbers})

    if any(name not in stages[stage] for name in blank.benchmarks for stage in (_BEFORE, _AFTER)):
        return keep(note="missing: not every benchmark was run before and after SFT")
    before, after = (_lay_out([stages[stage][name] for name in blank.benchmarks], blank.level) for stage in stages)
    if before is None or after is None:
        return keep(note="missing: a benchmark lacks the scores of a model")
    unit, obstacle, befores, afters = after[0], after[1], before[2], after[2]
    if not _share_runs(before, after):
        return keep(unit=unit, note="missing: not the same IPT runs before and after SFT")
    means = float(befores.mean()), float(np.nanmean(afters, axis=-1).mean())
    known = {"unit": unit, "n": int(np.isfinite(afters[0]).sum()), "before": means[0], "after": means[1]}
    if (np.abs(befores) < 1e-12).any():
        return keep(**known, note="not estimable: 0 before SFT")
    values = _divide(befores, afters, blank)
    mean = float(np.nanmean(values, axis=1).mean())
    if obstacle:
        return keep(**known, improvement=mean, note=f"no interval: {obstacle}")
    found = estimate_mean(values)
    limits = [float(one) if math.isfinite(one) else None for one in (found.low, found.high)]
    note = "" if limits[0] is not None else "no interval: seeds do not differ"
    return keep(**known, improvement=mean, low=limits[0], high=limits[1], note=note)


def _divide(befores: Floats, afters: Floats, blank: Improvement) -> Floats:
    """Return values [R, U] whose mean is the improvement, from scores [benchmarks, R, U]; a before may be [.., 1].

    For a recipe, before and after vary together, and the ratio of their averages is taken as linear around itself.
    """
    if blank.averaging == AVERAGE_OF:
        return np.asarray((afters / befores).mean(axis=0) - 1)
    before, after = befores.mean(axis=0), afters.mean(axis=0)
    if blank.level == "these models":
        return np.asarray(after / before.mean() - 1)
    ratio = after.mean() / before.mean()
    return np.asarray(ratio - 1 + (after - ratio * before) / before.mean())


def _share_runs(before: _Laid, after: _Laid) -> bool:
    """Whether both stages have the same blocks, and for a recipe the same units."""
    return before[3] == after[3]


def _lay_out(cells: Sequence[Cell], level: ClaimLevel) -> _Laid | None:
    """Return unit, obstacle, scores [benchmarks, R, U] and IPT runs of a stage; None where models lack benchmarks."""
    samples = [build_sample(cell.replicates, level) for cell in cells]
    if any(not one.units or not one.matches(samples[0]) or one.lost for one in samples):
        return None
    units = samples[0].units
    runs = set(units) if level == "these models" else {seed for block in units.values() for seed in block}
    return samples[0].unit, samples[0].obstacle, np.stack([one.to_array() for one in samples]), runs
