"""The mixture that a surface says is best, how sure that is, and when to say nothing."""

from dataclasses import dataclass

import numpy as np

from mixlab.analysis.surface.points import Floats, Points, count_dimensions
from mixlab.analysis.surface.region import Region, normalise
from mixlab.analysis.surface.selection import LEVEL, Chosen, Validated

FEWEST = 10
PER_DIMENSION = 2
"""A surface is fitted to at least FEWEST mixtures, and to PER_DIMENSION for each coefficient of a plane."""
_CANDIDATES = 3000
_DRAWN = 600
_DRAWS = 400
_ROUNDS = 8


@dataclass(frozen=True)
class Abstention:
    """Why no optimum is told, and about how many more mixtures it would take."""

    reason: str
    more: int


@dataclass(frozen=True)
class Optimum:
    """The best mixture within a region.

    `value` with `low` and `high`: the surface there, and its interval of LEVEL. `lows_D`, `highs_D`: between which
    ratios the optimum of surfaces that the data allow lies, in LEVEL of them, component by component. `gain`: by how
    much the best mixture is expected to be better than the best measured one, on surfaces drawn (below 0 where bounds
    leave that one out); `gain_low`, `gain_high` its interval; `gains_S`: that of each surface. All gains count upwards,
    of losses too.
    """

    ratios_D: Floats
    lows_D: Floats
    highs_D: Floats
    value: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    gains_S: Floats

    def find_chance(self, effect: float) -> float:
        """Return the share of surfaces on which the gain is larger than an effect."""
        return float(np.mean(self.gains_S > effect))


def need_mixtures(ratios_ND: Floats) -> int:
    """Return how many distinct mixtures it takes before a surface is fitted at all."""
    return max(FEWEST, PER_DIMENSION * (count_dimensions(ratios_ND) + 1))


def find_abstention(points: Points, validated: Validated | None) -> Abstention | None:
    """Say why there is no optimum: too few mixtures, or a surface that predicts unseen ones no better than their mean.

    None where there is one. `validated` is None before anything was fitted.
    """
    count, needed = len(points), need_mixtures(points.ratios_ND)
    if count < needed:
        varied = count_dimensions(points.ratios_ND)
        directions = f"{varied} direction{'' if varied == 1 else 's'}"
        return Abstention(
            f"{count} distinct mixtures that differ in {directions}; a surface takes {needed} of them: {PER_DIMENSION} "
            f"for each coefficient of a plane, and no fewer than {FEWEST}",
            needed - count,
        )
    if np.ptp(points.values_N) == 0:
        return Abstention("all mixtures have the same value", count)
    # a number that there is not, nan, is no reason to tell an optimum
    if validated is not None and not (validated.explained > 0 and (validated.spearman or 0.0) > 0):
        rank = "none" if validated.spearman is None else f"{validated.spearman:.2f}"
        return Abstention(
            f"the surface predicts mixtures it has not seen no better than their mean does (Spearman {rank}, explained "
            f"variance {validated.explained:.2f}); twice as many mixtures would be the next try",
            count,
        )
    return None


def find_optimum(points: Points, chosen: Chosen, region: Region, is_loss: bool, seed: int) -> Optimum:
    """Find the best mixture of a region, and what surfaces drawn from what is known say of it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    sign = -1.0 if is_loss else 1.0
    fitted = chosen.fitted
    candidates = region.sample(_CANDIDATES, rng)
    best = _refine(chosen, candidates, sign)
    value, error = (float(one[0]) for one in fitted.predict(best[None, :]))
    near = np.argsort(-sign * fitted.predict(candidates)[0])[: _DRAWN // 2]
    far = rng.choice(len(candidates), _DRAWN // 2, replace=False)
    drawn_at = np.vstack([best[None, :], points.ratios_ND, candidates[np.union1d(near, far)]])
    surfaces = sign * fitted.draw(drawn_at, _DRAWS, rng)
    # a measured mixture beyond stated bounds is what a gain is over, and no optimum
    inside = np.ones(len(drawn_at), dtype=bool)
    inside[1 : 1 + len(points)] = region.holds(points.ratios_ND, 1e-9)
    allowed = np.where(inside, surfaces, -np.inf)
    winners = drawn_at[allowed.argmax(axis=1)]
    measured = np.argmax(sign * fitted.predict(points.ratios_ND)[0])
    gains = allowed.max(axis=1) - surfaces[:, 1 + measured]
    tail = (1 - LEVEL) / 2
    lows, highs = np.quantile(winners, [tail, 1 - tail], axis=0)
    low, high = np.quantile(gains, [tail, 1 - tail])
    reach = chosen.width * error
    return Optimum(
        best,
        np.minimum(lows, best),
        np.maximum(highs, best),
        value,
        value - reach,
        value + reach,
        float(gains.mean()),
        float(low),
        float(high),
        gains,
    )


def _refine(chosen: Chosen, candidates_MD: Floats, sign: float) -> Floats:
    """Climb from the best candidate towards others by ever shorter steps: a convex region holds all between two."""
    best: Floats = candidates_MD[np.argmax(sign * chosen.fitted.predict(candidates_MD)[0])]
    step = 0.5
    for _ in range(_ROUNDS):
        tried = normalise(np.vstack([best[None, :], (1 - step) * best + step * candidates_MD]))
        best = tried[np.argmax(sign * chosen.fitted.predict(tried)[0])]
        step /= 2
    return best
