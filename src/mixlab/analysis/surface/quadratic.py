"""Scheffé's quadratic mixture polynomial by ridge regression.

Terms r_i and r_i r_j, no squares and no constant, which ratios that sum to 1 make redundant (Scheffé 1958, Experiments
with mixtures, J. R. Stat. Soc. B 20). Terms are centred and scaled by the training points alone; the penalty is the one
with the smallest leave-one-out error, in closed form (Hastie et al. 2009, The Elements of Statistical Learning, 7.10).
"""

import math
from dataclasses import dataclass

import numpy as np

from mixlab.analysis.surface.fitted import Scale
from mixlab.analysis.surface.points import Floats, Points

PENALTIES = tuple(10.0 ** (step / 2) for step in range(-8, 7))
"""Candidates, by the number of points, on standardised terms."""


@dataclass(frozen=True)
class Quadratic:
    """A fitted polynomial; `root_KK` is a root of the coefficients' posterior covariance, in standardised values."""

    centre_K: Floats
    width_K: Floats
    coefficients_K: Floats
    root_KK: Floats
    residual: float
    count: int
    scale: Scale

    @property
    def noise(self) -> float:
        """Standard deviation of residuals."""
        return self.residual * self.scale.spread

    def predict(self, ratios_MD: Floats) -> tuple[Floats, Floats]:
        """Return the polynomial and its standard deviation."""
        terms = self._terms(ratios_MD)
        variances = ((terms @ self.root_KK) ** 2).sum(axis=1) + self.residual**2 / self.count
        return (
            self.scale.mean + self.scale.spread * (terms @ self.coefficients_K),
            self.scale.spread * np.sqrt(variances),
        )

    def draw(self, ratios_MD: Floats, draws: int, rng: np.random.Generator) -> Floats:
        """Draw polynomials from the posterior of ridge regression."""
        moved = self.coefficients_K + rng.standard_normal((draws, self.root_KK.shape[1])) @ self.root_KK.T
        levels = self.residual / math.sqrt(self.count) * rng.standard_normal((draws, 1))
        return self.scale.mean + self.scale.spread * (moved @ self._terms(ratios_MD).T + levels)

    def _terms(self, ratios_MD: Floats) -> Floats:
        return (build_terms(ratios_MD) - self.centre_K) / self.width_K


def build_terms(ratios_MD: Floats) -> Floats:
    """Return the ratios and the products of each two of them."""
    first, second = np.triu_indices(ratios_MD.shape[1], k=1)
    return np.hstack([ratios_MD, ratios_MD[:, first] * ratios_MD[:, second]])


def fit_quadratic(points: Points) -> Quadratic:
    """Fit the polynomial and its penalty to the points."""
    scale = Scale.of(points.values_N)
    targets = (points.values_N - scale.mean) / scale.spread
    terms = build_terms(points.ratios_ND)
    centre, width = terms.mean(axis=0), terms.std(axis=0)
    # a term that does not vary says nothing, and stays nothing
    width = np.where(width > 1e-12, width, np.inf)
    left, singular, right = np.linalg.svd((terms - centre) / width, full_matrices=False)
    count = len(targets)
    turned = left.T @ targets
    errors = []
    for penalty in PENALTIES:
        kept = singular**2 / (singular**2 + penalty * count)
        leverage = (left**2) @ kept + 1 / count
        residuals = targets - left @ (kept * turned)
        errors.append(float(np.mean((residuals / np.maximum(1 - leverage, 1e-6)) ** 2)))
    penalty = PENALTIES[int(np.argmin(errors))] * count
    kept = singular**2 / (singular**2 + penalty)
    coefficients = right.T @ (singular / (singular**2 + penalty) * turned)
    residuals = targets - left @ (kept * turned)
    residual = math.sqrt(float(residuals @ residuals) / max(1.0, count - 1 - float(kept.sum())))
    # what no point says anything of is as uncertain as before
    outside = np.eye(terms.shape[1]) - right.T @ right
    root = residual * ((right.T / np.sqrt(singular**2 + penalty)) @ right + outside / math.sqrt(penalty))
    return Quadratic(centre, width, coefficients, root, residual, count, scale)
