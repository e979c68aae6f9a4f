"""The log-linear mixing law: value = c ± exp(t · ratios), by Huber's loss.

Ye et al. 2024, Data Mixing Laws (arXiv:2403.16952): L = c + k exp(sum_j t_j r_j). Ratios sum to 1, so that log k is a
part of every t_j, and the sign of k is all that is left of it; both signs are fitted, since scores rise where losses
fall, and the better one is kept. Errors beyond HUBER count linearly; the authors' code (github.com/yegcjs/mixinglaws,
law.py, commit c58d349) has 0.01 of a loss there. A weak normal prior keeps exponents of components that hardly vary
from running away.
"""

import math
from dataclasses import dataclass

import numpy as np

from mixlab.analysis.surface.fitted import Scale
from mixlab.analysis.surface.points import Floats, Points
from mixlab.analysis.surface.weighting import fit_weighted

HUBER = 0.1
"""Where the loss turns from squares to lines, in standard deviations of the values."""
_PRIOR = 2e-3
"""Weight of the squares of exponents about their mean, beside the sum over points."""
_LARGEST = 20.0
_BEYOND = 0.7
"""How far beyond the values the offset begins, in their standard deviations; where it ends, the fit says."""
_STEPS, _STILL, _STIFFEST = 80, 1e-9, 1e10


@dataclass(frozen=True)
class MixingLaw:
    """A fitted law in standardised values: offset c, then the exponents t; `lower` is a root of their covariance."""

    sign: float
    parameters_P: Floats
    root_PP: Floats
    residual: float
    scale: Scale

    @property
    def noise(self) -> float:
        """Standard deviation about the law that no given error explains."""
        return self.residual * self.scale.spread

    def predict(self, ratios_MD: Floats) -> tuple[Floats, Floats]:
        """Return the law, and its standard deviation to first order in the parameters."""
        values, slopes = _evaluate(self.sign, self.parameters_P, ratios_MD)
        errors = np.linalg.norm(slopes @ self.root_PP, axis=1)
        return self.scale.mean + self.scale.spread * values, self.scale.spread * errors

    def draw(self, ratios_MD: Floats, draws: int, rng: np.random.Generator) -> Floats:
        """Draw surfaces from the normal approximation of what the data say, to first order, as `predict` tells errors.

        Where the data are nearly flat or straight, offset and exponents are known by what they do together alone:
        exponentials of parameters drawn from their covariance would be a hundred times the values.
        """
        values, slopes = _evaluate(self.sign, self.parameters_P, ratios_MD)
        moved = rng.standard_normal((draws, len(self.root_PP))) @ self.root_PP.T
        return self.scale.mean + self.scale.spread * (values + moved @ slopes.T)


def fit_mixing_law(points: Points) -> MixingLaw:
    """Fit the law to the points, with both signs, each point by the weight that its error leaves it."""
    scale = Scale.of(points.values_N)
    targets = (points.values_N - scale.mean) / scale.spread
    known = (points.errors_N / scale.spread) ** 2

    def fit(weights: Floats) -> tuple[tuple[float, Floats, Floats], Floats, float]:
        return _fit_weighted(points.ratios_ND, targets, np.sqrt(weights))

    (sign, parameters, root), found = fit_weighted(known, fit)
    return MixingLaw(sign, parameters, math.sqrt(found.variance) * root, found.noise, scale)


def _fit_weighted(
    ratios_ND: Floats, targets_N: Floats, roots_N: Floats
) -> tuple[tuple[float, Floats, Floats], Floats, float]:
    """Return sign, parameters and a root of their covariance, the residuals, and their degrees of freedom.

    `roots_N`: roots of the points' weights; Huber's loss is of residuals times these.
    """
    reached = []
    for sign in (1.0, -1.0):
        start = _start(sign, ratios_ND, targets_N)
        reached.append((*_descend(start, sign, ratios_ND, targets_N, roots_N), sign))
    _, parameters, sign = min(reached, key=lambda one: one[0])
    values, slopes = _evaluate(sign, parameters, ratios_ND)
    slopes = roots_N[:, None] * slopes
    size, count = len(parameters), len(targets_N)
    residuals = targets_N - values
    kept = np.minimum(1.0, HUBER / np.maximum(np.abs(roots_N * residuals), 1e-12))
    information = (slopes * kept[:, None]).T @ slopes + _prior_matrix(size)
    inverse = np.linalg.pinv(information, hermitian=True)
    used = float(np.trace(inverse @ ((slopes * kept[:, None]).T @ slopes)))
    # errors of a Huber estimate: information with its weights, noise without them
    middle = (slopes * kept[:, None] ** 2).T @ slopes
    covariance = inverse @ middle @ inverse + inverse @ _prior_matrix(size) @ inverse
    values_P, vectors_PP = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors_PP * np.sqrt(np.maximum(values_P, 0.0))
    return (sign, parameters, root), residuals, max(1.0, count - used)


def _start(sign: float, ratios_ND: Floats, targets_N: Floats) -> Floats:
    """Linear regression of the logarithm, with the offset put beyond the values."""
    edge = targets_N.min() - _BEYOND if sign > 0 else targets_N.max() + _BEYOND
    logs = np.log(sign * (targets_N - edge))
    size = ratios_ND.shape[1]
    exponents = np.linalg.solve(ratios_ND.T @ ratios_ND + 0.1 * np.eye(size), ratios_ND.T @ logs)
    return np.concatenate([[edge], exponents])


def _evaluate(sign: float, parameters_P: Floats, ratios_MD: Floats) -> tuple[Floats, Floats]:
    """Return the law and its derivatives by the parameters."""
    risen = sign * np.exp(np.minimum(ratios_MD @ parameters_P[1:], _LARGEST))
    return parameters_P[0] + risen, np.column_stack([np.ones(len(risen)), risen[:, None] * ratios_MD])


def _descend(
    start_P: Floats, sign: float, ratios_ND: Floats, targets_N: Floats, roots_N: Floats
) -> tuple[float, Floats]:
    """Return the smallest cost and where it is, by Levenberg and Marquardt's method with Huber's weights."""
    prior, parameters, damping = _prior_matrix(len(start_P)), start_P, 1e-2
    cost = _cost(parameters, sign, ratios_ND, targets_N, roots_N, prior)
    for _ in range(_STEPS):
        values, slopes = _evaluate(sign, parameters, ratios_ND)
        residuals, slopes = roots_N * (values - targets_N), roots_N[:, None] * slopes
        weighted = slopes * np.minimum(1.0, HUBER / np.maximum(np.abs(residuals), 1e-12))[:, None]
        gradient = weighted.T @ residuals + prior @ parameters
        curvature = weighted.T @ slopes + prior
        before = cost
        while damping < _STIFFEST:
            stiff = curvature + damping * np.diag(curvature.diagonal() + _STILL)
            tried = parameters - np.linalg.solve(stiff, gradient)
            reached = _cost(tried, sign, ratios_ND, targets_N, roots_N, prior)
            if reached < cost:
                parameters, cost, damping = tried, reached, damping / 4
                break
            damping *= 4
        if before - cost <= _STILL * (1 + cost):
            break
    return cost, parameters


def _cost(
    parameters_P: Floats, sign: float, ratios_ND: Floats, targets_N: Floats, roots_N: Floats, prior_PP: Floats
) -> float:
    """Huber's loss, and half the squares of exponents by their prior."""
    far = roots_N * np.abs(_evaluate(sign, parameters_P, ratios_ND)[0] - targets_N)
    losses = np.where(far > HUBER, HUBER * (far - HUBER / 2), far**2 / 2)
    return float(losses.sum() + parameters_P @ prior_PP @ parameters_P / 2)


def _prior_matrix(size: int) -> Floats:
    """Squares of exponents about their mean; the offset is free."""
    matrix = np.zeros((size, size))
    matrix[1:, 1:] = _PRIOR * (np.eye(size - 1) - 1 / (size - 1))
    return matrix
