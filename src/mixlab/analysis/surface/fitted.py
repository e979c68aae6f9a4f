"""What a fitted surface can say, whatever its family."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixlab.analysis.surface.points import Floats, Points


@dataclass(frozen=True)
class Scale:
    """Mean and spread of the values that a surface was fitted to: of those alone."""

    mean: float
    spread: float

    @classmethod
    def of(cls, values_N: Floats) -> "Scale":
        """Measure the values; equal ones, or a single one, have the spread 1."""
        spread = float(values_N.std(ddof=1)) if len(values_N) > 1 else 0.0
        return cls(float(values_N.mean()), spread if spread > 0 else 1.0)


class Fitted(Protocol):
    """A surface that was fitted to points."""

    @property
    def noise(self) -> float:
        """Standard deviation of values about the surface that no given error explains."""

    def predict(self, ratios_MD: Floats) -> tuple[Floats, Floats]:
        """Return the surface at mixtures, and the standard deviation of what is known of it."""

    def draw(self, ratios_MD: Floats, draws: int, rng: np.random.Generator) -> Floats:
        """Draw surfaces that the data allow, at mixtures: one a row."""


class Family(Protocol):
    """A way to fit a surface."""

    def __call__(self, points: Points) -> Fitted:
        """Fit to these points and nothing else."""
