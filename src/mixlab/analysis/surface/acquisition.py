"""Which mixtures to measure next: those that tell most about the surface where its best may lie.

For each target a Gaussian process is conditioned on what is measured. A new mixture's worth is by how much its
measurement is expected to lower the variance of the surface, summed over reference mixtures (active learning: Cohn
1996, Neural Networks 9): half of their weight is even, half goes by how often each is the best on surfaces drawn
(Thompson 1933, Biometrika 25). The variance that is left does not depend on the value that will be measured, so a batch
is chosen one by one, each after the variance that the former leave. Mixtures that are planned and not finished count as
measured in that sense. Worths of targets are shares of each one's own variance, and are averaged.

The process chooses what to measure, and nothing more: what is to be gained is by the family that was chosen (survey).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mixlab.analysis.surface.gaussian_process import GaussianProcess, fit_gaussian_process
from mixlab.analysis.surface.points import Floats, Points
from mixlab.analysis.surface.region import Region
from mixlab.analysis.surface.selection import SEED

_CANDIDATES = 600
_DRAWS = 400
_LEAST = 1e-12


@dataclass(frozen=True)
class Objective:
    """A target with its measured mixtures."""

    points: Points
    is_loss: bool


@dataclass(frozen=True)
class Proposal:
    """A mixture in exact ratios, and the share of the weighted variance that measuring it takes away, over targets."""

    ratios: tuple[Fraction, ...]
    reduction: float


def round_ratios(ratios_D: Floats, denominator: int) -> tuple[Fraction, ...]:
    """Round to multiples of 1/denominator that sum to exactly 1, by largest remainder (Hamilton's method)."""
    scaled = ratios_D / ratios_D.sum() * denominator
    whole = np.floor(scaled + 1e-9).astype(int)
    order = np.argsort(-(scaled - whole), kind="stable")
    whole[order[: denominator - whole.sum()]] += 1
    return tuple(Fraction(int(count), denominator) for count in whole)


def propose(
    objectives: Sequence[Objective], region: Region, pending_PD: Floats, count: int, denominator: int
) -> list[Proposal]:
    """Choose up to `count` mixtures on the grid of 1/denominator, none of them measured or pending, best first."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    known = np.vstack([*(one.points.ratios_ND for one in objectives), pending_PD])
    exact = _list_candidates(region, known, denominator, rng)
    if not exact:
        return []
    candidates = np.array([[float(ratio) for ratio in one] for one in exact])
    beliefs = [_believe(one, candidates, pending_PD, rng) for one in objectives]
    chosen: list[Proposal] = []
    open_places = np.ones(len(exact), dtype=bool)
    while len(chosen) < min(count, len(exact)):
        worth = np.mean([one.worth() for one in beliefs], axis=0)
        best = int(np.argmax(np.where(open_places, worth, -np.inf)))
        open_places[best] = False
        chosen.append(Proposal(exact[best], float(worth[best])))
        for one in beliefs:
            one.condition(best)
    return chosen


def _list_candidates(
    region: Region, known_ND: Floats, denominator: int, rng: np.random.Generator
) -> list[tuple[Fraction, ...]]:
    """Draw mixtures, put them on the grid, and leave out what rounding took out of the region.

    Left out as well is what is known: half a step away on every component.
    """
    rounded = list(dict.fromkeys(round_ratios(one, denominator) for one in region.sample(_CANDIDATES, rng)))
    ratios = np.array([[float(ratio) for ratio in one] for one in rounded])
    kept = region.holds(ratios, 1 / denominator)
    near = 0.5 / denominator + 1e-6
    return [
        one
        for one, values, is_kept in zip(rounded, ratios, kept, strict=True)
        if is_kept and np.abs(known_ND - values).max(axis=1, initial=0.0).min(initial=1.0) > near
    ]


@dataclass
class _Belief:
    """The covariance of a target's surface over the candidates, which shrinks as mixtures are chosen."""

    covariance_CC: Floats
    weights_C: Floats
    noise: float
    whole: float

    def worth(self) -> Floats:
        """By what share of the weighted variance at first each candidate's measurement would lower what is left."""
        return self.weights_C @ self.covariance_CC**2 / (self.covariance_CC.diagonal() + self.noise) / self.whole

    def condition(self, place: int) -> None:
        """Take the candidate at `place` for measured."""
        column = self.covariance_CC[:, place]
        self.covariance_CC = self.covariance_CC - np.outer(column, column) / (column[place] + self.noise)


def _believe(objective: Objective, candidates_CD: Floats, pending_PD: Floats, rng: np.random.Generator) -> _Belief:
    process = fit_gaussian_process(objective.points)
    noise = _noise_of_a_mean(process, objective.points)
    places = np.vstack([candidates_CD, pending_PD])
    size = len(candidates_CD)
    belief = _Belief(process.covariance(places), np.ones(len(places)), noise, 1.0)
    for place in range(size, len(places)):
        belief.condition(place)
    sign = -1.0 if objective.is_loss else 1.0
    drawn = sign * process.draw(candidates_CD, _DRAWS, rng)
    best = np.bincount(drawn.argmax(axis=1), minlength=size) / _DRAWS
    weights = 0.5 / size + 0.5 * best
    covariance = belief.covariance_CC[:size, :size]
    return _Belief(covariance, weights, noise, max(float(weights @ covariance.diagonal()), _LEAST))


def _noise_of_a_mean(process: GaussianProcess, points: Points) -> float:
    """Variance of the value of one more mixture about the surface, with as many runs as the median one."""
    return max(process.noise**2 + float(np.median(points.errors_N)) ** 2, _LEAST)
