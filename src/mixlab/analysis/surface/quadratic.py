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
from mixlab.analysis.surface.weighting import fit_weighted

PENALTIES = tuple(10.0 ** (step / 2) for step in range(-8, 7))
"""Candidates, by the number of points, on standardised terms."""


@dataclass(frozen=True)
class Quadratic:
    """A fitted polynomial; `root_KK` is a root of the coefficients' posterior covariance, in standardised values.

    `residual`: standard deviation of a point of mean weight. `excess`: that which no given error explains.
    """

    centre_K: Floats
    width_K: Floats
    level: float
    coefficients_K: Floats
    root_KK: Floats
    residual: float
    excess: float
    count: int
    scale: Scale

    @property
    def noise(self) -> float:
        """Standard deviation about the surface that no given error explains."""
        return self.excess * self.scale.spread

    def predict(self, ratios_MD: Floats) -> tuple[Floats, Floats]:
        """Return the polynomial and its standard deviation."""
        terms = self._terms(ratios_MD)
        variances = ((terms @ self.root_KK) ** 2).sum(axis=1) + self.residual**2 / self.count
        return (
            self.scale.mean + self.scale.spread * (self.level + terms @ self.coefficients_K),
            self.scale.spread * np.sqrt(variances),
        )

    def draw(self, ratios_MD: Floats, draws: int, rng: np.random.Generator) -> Floats:
        """Draw polynomials from the posterior of ridge regression."""
        moved = self.coefficients_K + rng.standard_normal((draws, self.root_KK.shape[1])) @ self.root_KK.T
        levels = self.residual / math.sqrt(self.count) * rng.standard_normal((draws, 1))
        return self.scale.mean + self.scale.spread * (self.level + moved @ self._terms(ratios_MD).T + levels)

    def _terms(self, ratios_MD: Floats) -> Floats:
        return (build_terms(ratios_MD) - self.centre_K) / self.width_K


def build_terms(ratios_MD: Floats) -> Floats:
    """Return the ratios and the products of each two of them."""
    first, second = np.triu_indices(ratios_MD.shape[1], k=1)
    return np.hstack([ratios_MD, ratios_MD[:, first] * ratios_MD[:, second]])


@dataclass(frozen=True)
class _Ridge:
    """A ridge regression in standardised values; `root_KK`: a root of the covariance for points of variance 1."""

    centre_K: Floats
    width_K: Floats
    level: float
    coefficients_K: Floats
    root_KK: Floats


def fit_quadratic(points: Points) -> Quadratic:
    """Fit the polynomial and its penalty to the points, each by the weight that its error leaves it."""
    scale = Scale.of(points.values_N)
    targets = (points.values_N - scale.mean) / scale.spread
    terms = build_terms(points.ratios_ND)
    known = (points.errors_N / scale.spread) ** 2
    ridge, found = fit_weighted(known, lambda weights: _fit_ridge(terms, targets, weights))
    spread = math.sqrt(found.variance)
    return Quadratic(
        ridge.centre_K,
        ridge.width_K,
        ridge.level,
        ridge.coefficients_K,
        spread * ridge.root_KK,
        spread,
        found.noise,
        len(targets),
        scale,
    )


def _fit_ridge(terms_NK: Floats, targets_N: Floats, weights_N: Floats) -> tuple[_Ridge, Floats, float]:
    """Return the regression with the best penalty, the residuals, and their degrees of freedom."""
    count, roots = len(targets_N), np.sqrt(weights_N)
    centre = np.average(terms_NK, axis=0, weights=weights_N)
    width = np.sqrt(np.average((terms_NK - centre) ** 2, axis=0, weights=weights_N))
    # a term that does not vary says nothing, and stays nothing
    width = np.where(width > 1e-12, width, np.inf)
    level = float(np.average(targets_N, weights=weights_N))
    weighted = roots * (targets_N - level)
    left, singular, right = np.linalg.svd(roots[:, None] * (terms_NK - centre) / width, full_matrices=False)
    turned = left.T @ weighted
    errors = []
    for penalty in PENALTIES:
        kept = singular**2 / (singular**2 + penalty * count)
        leverage = (left**2) @ kept + weights_N / count
        residuals = weighted - left @ (kept * turned)
        errors.append(float(np.mean((residuals / np.maximum(1 - leverage, 1e-6)) ** 2)))
    penalty = PENALTIES[int(np.argmin(errors))] * count
    kept = singular**2 / (singular**2 + penalty)
    coefficients = right.T @ (singular / (singular**2 + penalty) * turned)
    residuals = (weighted - left @ (kept * turned)) / roots
    # what no point says anything of is as uncertain as before
    outside = np.eye(terms_NK.shape[1]) - right.T @ right
    root = (right.T / np.sqrt(singular**2 + penalty)) @ right + outside / math.sqrt(penalty)
    return _Ridge(centre, width, level, coefficients, root), residuals, max(1.0, count - 1 - float(kept.sum()))
