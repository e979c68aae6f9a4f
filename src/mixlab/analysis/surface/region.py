"""Where mixtures may lie: the convex hull of the measured ones, or stated bounds within the simplex."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixlab.analysis.surface.points import Floats

_SHARPNESS = (0.15, 0.5, 1.0)
_SWEEPS = 4


class Region(Protocol):
    """A convex set of mixtures."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """Draw mixtures from all of it, corners and edges among them."""

    def holds(self, ratios_MD: Floats, step: float) -> NDArray[np.bool_]:
        """Tell of mixtures near it, whose ratios were rounded by less than `step`, whether they lie in it."""


@dataclass(frozen=True)
class Hull:
    """All that lies between measured mixtures."""

    corners_ND: Floats

    @property
    def name(self) -> str:
        """What it is, for people."""
        return "the convex hull of the measured mixtures"

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """Draw mixtures of measured mixtures: some of these themselves, then few of them at a time, then many."""
        corners = self.corners_ND
        # many corners leave at least half to what lies between them
        some = corners if len(corners) <= count // 2 else corners[rng.permutation(len(corners))[: count // 2]]
        parts = [some]
        left = count - len(some)
        for number, sharpness in enumerate(_SHARPNESS):
            size = left // len(_SHARPNESS) + (number < left % len(_SHARPNESS))
            # of many corners a handful is mixed at a time: a mean of hundreds is always the middle
            few = min(len(corners), 6)
            chosen = np.argsort(rng.random((size, len(corners))), axis=1)[:, :few]
            weights = rng.dirichlet(np.full(few, sharpness), size)
            parts.append((weights[:, :, None] * corners[chosen]).sum(axis=1))
        return normalise(np.vstack(parts))

    def holds(self, ratios_MD: Floats, step: float) -> NDArray[np.bool_]:
        """Take every mixture: one beside the hull by less than a step of rounding is as good as one on it."""
        return np.ones(len(ratios_MD), dtype=bool)


@dataclass(frozen=True)
class Box:
    """All mixtures whose ratios lie between bounds; `stated` names those that somebody set."""

    lows_D: Floats
    highs_D: Floats
    components: tuple[str, ...]
    stated: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"the stated bounds ({', '.join(self.stated)}; other components as measured)"

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """Draw by moving mass between two components at a time, each time as far as the bounds allow, or less."""
        size = len(self.lows_D)
        room = self.highs_D - self.lows_D
        share = (1 - self.lows_D.sum()) / room.sum() if room.sum() > 0 else 0.0
        drawn = np.tile(self.lows_D + share * room, (count, 1))
        for _ in range(_SWEEPS * size if size > 1 else 0):
            first = rng.integers(size, size=count)
            second = (first + rng.integers(1, size, size=count)) % size
            rows = np.arange(count)
            give = np.minimum(drawn[rows, first] - self.lows_D[first], self.highs_D[second] - drawn[rows, second])
            take = np.minimum(drawn[rows, second] - self.lows_D[second], self.highs_D[first] - drawn[rows, first])
            # now and then all the way, so that edges and corners are among the draws
            along = np.where(rng.random(count) < 0.3, rng.integers(2, size=count), rng.random(count))
            moved = along * (give + take) - take
            drawn[rows, first] -= moved
            drawn[rows, second] += moved
        return normalise(np.clip(drawn, self.lows_D, self.highs_D))

    def holds(self, ratios_MD: Floats, step: float) -> NDArray[np.bool_]:
        """Keep to bounds that were stated, and to those that were only measured within a step of rounding."""
        slack = np.array([1e-9 if name in self.stated else step for name in self.components])
        within = (ratios_MD >= self.lows_D - slack) & (ratios_MD <= self.highs_D + slack)
        kept: NDArray[np.bool_] = within.all(axis=1)
        return kept


def build_region(ratios_ND: Floats, components: Sequence[str], bounds: Sequence[tuple[str, float, float]]) -> Region:
    """Return the region that bounds state, each a component with its lowest and highest ratio; without any the hull.

    Raises ValueError where no mixture lies within the bounds.
    """
    if not bounds:
        return Hull(ratios_ND)
    lows, highs = ratios_ND.min(axis=0), ratios_ND.max(axis=0)
    for name, low, high in bounds:
        lows[components.index(name)], highs[components.index(name)] = low, high
    if lows.sum() > 1 + 1e-9 or highs.sum() < 1 - 1e-9:
        raise ValueError(
            f"no mixture lies within the bounds: the lowest ratios sum to {lows.sum():g}, the highest to "
            f"{highs.sum():g}; components without a stated bound keep to what was measured, so widen some"
        )
    return Box(lows, highs, tuple(components), tuple(name for name, _, _ in bounds))


def normalise(ratios_ND: Floats) -> Floats:
    """Make ratios sum to 1, which rounding may have moved."""
    kept = np.maximum(ratios_ND, 0.0)
    ratios: Floats = kept / kept.sum(axis=1, keepdims=True)
    return ratios
