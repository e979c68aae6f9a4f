"""Weights of points by what is known of their errors: 1 / (noise² + error²).

The noise is what given errors leave to explain (Paule & Mandel 1982, J. Res. Natl. Bur. Stand. 87): with it, weighted
squares of residuals sum to their degrees of freedom.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.optimize import brentq

from mixlab.analysis.surface.points import Floats

_ROUNDS = 8
_STILL = 1e-3
_LEAST = 1e-8
"""Share of the values' variance: an error of exactly 0 would outweigh all others."""


@dataclass(frozen=True)
class Weights:
    """Weights with the mean 1, the variance of a point of weight 1, and the noise that no given error explains."""

    weights_N: Floats
    variance: float
    noise: float


Fit = TypeVar("Fit")


def find_weights(residuals_N: Floats, known_N: Floats, freedom: float) -> Weights:
    """Return weights by given variances and by the noise that explains the residuals beside them.

    `freedom`: degrees of freedom of the residuals. Values and variances are standardised.
    """
    squares = residuals_N**2
    if not known_N.any():
        variance = float(squares.sum()) / freedom
        return Weights(np.ones(len(known_N)), variance, float(np.sqrt(variance)))

    def miss(noise: float) -> float:
        return float((squares / (noise + known_N)).sum()) - freedom

    most = max(float(squares.sum()) / freedom, _LEAST)
    variance = float(brentq(miss, _LEAST, most)) if most > _LEAST and miss(_LEAST) > 0 > miss(most) else _LEAST
    weights = 1 / (variance + known_N)
    mean = float(weights.mean())
    return Weights(weights / mean, 1 / mean, float(np.sqrt(variance)) if variance > _LEAST else 0.0)


def fit_weighted(known_N: Floats, fit: Callable[[Floats], tuple[Fit, Floats, float]]) -> tuple[Fit, Weights]:
    """Fit and weigh by turns until weights stand still; `fit` returns what it fitted, residuals and their freedom."""
    weights = np.ones(len(known_N))
    fitted, residuals, freedom = fit(weights)
    found = find_weights(residuals, known_N, freedom)
    for _ in range(_ROUNDS):
        if np.abs(found.weights_N - weights).max() <= _STILL:
            break
        weights = found.weights_N
        fitted, residuals, freedom = fit(weights)
        found = find_weights(residuals, known_N, freedom)
    return fitted, Weights(weights, found.variance, found.noise)
