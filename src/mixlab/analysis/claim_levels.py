"""What a claim is about, and so which seeds are its independent units.

* "these models": the IPT runs are what they are; SFT seeds of one run are the units, each run a block of its own.
* "this recipe": other models made in the same way; IPT runs are the units. SFT seeds of one IPT run do not contain the
  noise of IPT and of its data's order, so a claim about a recipe needs at least two IPT runs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixlab.analysis.statistics import Replicate

Floats = NDArray[np.float64]
ClaimLevel = Literal["these models", "this recipe"]
CLAIM_LEVELS: tuple[ClaimLevel, ...] = ("these models", "this recipe")
Seed = int | None
Block = tuple[Seed, ...]
"""Mixture seed and IPT seed: one IPT run; or () where everything is one block."""
Units = Mapping[Block, Mapping[Seed, float]]
"""Block -> unit -> mean score."""


@dataclass(frozen=True)
class Sample:
    """The units of one side of a claim; `obstacle` says why there can be no test, and is empty where there can.

    `unit`: mixture_seed, ipt_seed or sft_seed. `lost`: models that made no unit, since nothing of theirs was scored.
    """

    units: Units
    unit: str
    obstacle: str = ""
    lost: int = 0

    @property
    def count(self) -> int:
        """How many units there are."""
        return sum(len(block) for block in self.units.values())

    def to_array(self) -> Floats:
        """Return the units [R, U] in order of their seeds, NaN where a block has fewer than another."""
        width = max(len(block) for block in self.units.values())
        blocks = [self.units[block] for block in sorted(self.units, key=str)]
        rows = [[block[seed] for seed in sorted(block, key=_order)] for block in blocks]
        return np.array([row + [math.nan] * (width - len(row)) for row in rows])

    def matches(self, other: "Sample") -> bool:
        """Whether both sides have the same seeds in the same blocks."""
        mine, theirs = ({block: set(units) for block, units in one.units.items()} for one in (self, other))
        return mine == theirs


def share_seeds(a: Sample, b: Sample) -> tuple[Sample, Sample] | None:
    """Return both samples on the seeds that both have, in the runs that both have; None where those repeat nothing."""
    common = {block: set(a.units[block]) & set(b.units[block]) for block in a.units if block in b.units}
    common = {block: seeds for block, seeds in common.items() if seeds}
    if sum(map(len, common.values())) <= len(common):
        return None
    first, second = (
        replace(one, units={block: {seed: one.units[block][seed] for seed in seeds} for block, seeds in common.items()})
        for one in (a, b)
    )
    return first, second


def build_sample(replicates: Sequence[Replicate], level: ClaimLevel) -> Sample:
    """Turn the means of one point's models into the units of a claim."""
    known = [one for one in replicates if one.mean is not None and math.isfinite(one.mean)]
    lost = len(replicates) - len(known)
    if not known:
        return Sample({}, "", "no scores", lost)
    runs: dict[Block, dict[Seed, float]] = {}
    for one in known:
        runs.setdefault((one.mixture_seed, one.ipt_seed), {})[one.sft_seed] = float(one.mean or 0.0)
    return _build_models(runs, lost) if level == "these models" else _build_recipe(runs, lost)


def _build_models(runs: Units, lost: int) -> Sample:
    repeats = sum(len(seeds) for seeds in runs.values()) - len(runs)
    if not repeats:
        tuned = any(seed is not None for seeds in runs.values() for seed in seeds)
        obstacle = "one SFT seed" if tuned else "no SFT, so no SFT seeds"
        return Sample(runs, "sft_seed", f"{obstacle}: items alone vary", lost)
    return Sample(runs, "sft_seed", lost=lost)


def _build_recipe(runs: Units, lost: int) -> Sample:
    """One unit for each mixture seed where those vary, else for each IPT seed; what lies within counts evenly."""
    if all(seed is None for run in runs for seed in run):
        return Sample({(): {None: _mean(_means(runs))}}, "", "no IPT", lost)
    mixtures = {run[0] for run in runs}
    unit, place = ("mixture_seed", 0) if len(mixtures) > 1 else ("ipt_seed", 1)
    groups: dict[Seed, list[float]] = {}
    for run, seeds in runs.items():
        groups.setdefault(run[place], []).append(_mean(list(seeds.values())))
    obstacle = "" if len(groups) > 1 else "one IPT seed; SFT seeds do not contain the noise of IPT"
    return Sample({(): {seed: _mean(means) for seed, means in groups.items()}}, unit, obstacle, lost)


def _means(runs: Units) -> list[float]:
    return [_mean(list(seeds.values())) for seeds in runs.values()]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _order(seed: Seed) -> int:
    return -1 if seed is None else seed
