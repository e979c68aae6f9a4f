"""A Gaussian process on the square roots of ratios, where Euclidean distance is Hellinger's up to a constant.

Covariance: linear in the roots, plus Matérn 5/2 with a length scale for each component (Rasmussen & Williams 2006,
Gaussian Processes for Machine Learning, sections 4.2 and 5.1). Values are standardised by the training points alone;
given standard errors enter the diagonal, beside one noise that is fitted. Hyper-parameters are the mode of the marginal
likelihood times log-normal priors: as many length scales as components would else fit a few dozen points by chance.
Since roots of ratios lie on the unit sphere, no distance exceeds sqrt 2 however many components there are, so that one
prior about length 1 serves all.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from mixlab.analysis.surface.fitted import Scale
from mixlab.analysis.surface.points import Floats, Points

_PRIOR_LINEAR = (0.0, 1.5)
_PRIOR_CURVED = (0.0, 1.0)
_PRIOR_NOISE = (math.log(0.01), 1.5)
_PRIOR_LENGTH = (0.0, 1.0)
"""Mean and standard deviation of the logarithms: of variances in units of the values' variance, and of lengths."""
_JITTER = 1e-8
_FEWEST = 3
"""With fewer points the prior's mode is taken as it is."""
_OPTIONS = {"maxiter": 60, "maxcor": 15, "ftol": 1e-5}


@dataclass(frozen=True)
class Kernel:
    """Hyper-parameters: logarithms of both variances and of the length of each component."""

    linear: float
    curved: float
    lengths_D: Floats

    def between(self, roots_AD: Floats, roots_BD: Floats) -> Floats:
        """Return the prior covariance of two sets of mixtures, given by their roots."""
        a = math.sqrt(5) * np.sqrt(_squared_distances(roots_AD, roots_BD, np.exp(self.lengths_D)))
        matern = (1 + a + a**2 / 3) * np.exp(-a)
        return math.exp(self.linear) * (roots_AD @ roots_BD.T) + math.exp(self.curved) * matern


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process."""

    roots_ND: Floats
    kernel: Kernel
    noise_variance: float
    scale: Scale
    lower_NN: Floats
    alpha_N: Floats

    @property
    def noise(self) -> float:
        """Standard deviation about the surface that no given error explains."""
        return math.sqrt(self.noise_variance) * self.scale.spread

    def predict(self, ratios_MD: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the surface."""
        roots = np.sqrt(ratios_MD)
        across = self.kernel.between(roots, self.roots_ND)
        solved = solve_triangular(self.lower_NN, across.T, lower=True)
        prior = math.exp(self.kernel.linear) * (roots**2).sum(axis=1) + math.exp(self.kernel.curved)
        variance = np.maximum(prior - (solved**2).sum(axis=0), 0.0)
        return self.scale.mean + self.scale.spread * (across @ self.alpha_N), self.scale.spread * np.sqrt(variance)

    def covariance(self, ratios_MD: Floats) -> Floats:
        """Return the posterior covariance of the surface at mixtures, in units of the values squared."""
        roots = np.sqrt(ratios_MD)
        solved = solve_triangular(self.lower_NN, self.kernel.between(self.roots_ND, roots), lower=True)
        covariance: Floats = self.scale.spread**2 * (self.kernel.between(roots, roots) - solved.T @ solved)
        return covariance

    def draw(self, ratios_MD: Floats, draws: int, rng: np.random.Generator) -> Floats:
        """Draw surfaces from the posterior."""
        mean, _ = self.predict(ratios_MD)
        size = len(mean)
        covariance = self.covariance(ratios_MD)
        # rounding makes eigenvalues slightly negative: a millionth of the largest variance covers that
        lower = cholesky(covariance + 1e-6 * covariance.diagonal().max() * np.eye(size), lower=True)
        surfaces: Floats = mean + rng.standard_normal((draws, size)) @ lower.T
        return surfaces


def fit_gaussian_process(points: Points) -> GaussianProcess:
    """Fit hyper-parameters to the points, and condition on them."""
    scale = Scale.of(points.values_N)
    problem = _Problem(
        np.sqrt(points.ratios_ND), (points.values_N - scale.mean) / scale.spread, (points.errors_N / scale.spread) ** 2
    )
    start = problem.prior_means
    best = start
    if len(points) >= _FEWEST:
        bounds = [(mean - 5 * spread, mean + 5 * spread) for mean, spread in problem.priors]
        best = minimize(problem.cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options=_OPTIONS).x
    kernel, noise = Kernel(best[0], best[1], best[3:]), math.exp(best[2])
    lower = problem.factor(kernel, noise)
    alpha = cho_solve((lower, True), problem.targets_N)
    return GaussianProcess(problem.roots_ND, kernel, noise, scale, lower, alpha)


@dataclass(frozen=True)
class _Problem:
    """The negative logarithm of the posterior of hyper-parameters, with its gradient."""

    roots_ND: Floats
    targets_N: Floats
    known_N: Floats

    @cached_property
    def priors(self) -> list[tuple[float, float]]:
        """Mean and spread of every logarithm: linear, curved, noise, then the lengths."""
        return [_PRIOR_LINEAR, _PRIOR_CURVED, _PRIOR_NOISE, *[_PRIOR_LENGTH] * self.roots_ND.shape[1]]

    @cached_property
    def prior_means(self) -> Floats:
        """Where the search starts."""
        return np.array([mean for mean, _ in self.priors])

    @cached_property
    def products_NN(self) -> Floats:
        return self.roots_ND @ self.roots_ND.T

    def factor(self, kernel: Kernel, noise: float) -> Floats:
        """Return the Cholesky factor of the covariance of the values."""
        covariance = kernel.between(self.roots_ND, self.roots_ND)
        covariance[np.diag_indices_from(covariance)] += noise + self.known_N + _JITTER
        lower: Floats = cholesky(covariance, lower=True)
        return lower

    def cost(self, theta: Floats) -> tuple[float, Floats]:
        """Return the cost and its gradient.

        The gradients of all lengths come from one matrix product: for symmetric P, the sum over pairs of P times
        squared differences of x is 2 (x² · row sums of P - x' P x). An array of N x N x D is never made.
        """
        lengths_D = np.exp(theta[3:])
        a = math.sqrt(5) * np.sqrt(_squared_distances(self.roots_ND, self.roots_ND, lengths_D))
        decay = np.exp(-a)
        linear, curved, noise = (math.exp(one) for one in theta[:3])
        matern = curved * (1 + a + a**2 / 3) * decay
        covariance = linear * self.products_NN + matern
        covariance[np.diag_indices_from(covariance)] += noise + self.known_N + _JITTER
        lower = cholesky(covariance, lower=True, check_finite=False)
        alpha = cho_solve((lower, True), self.targets_N, check_finite=False)
        # the inverse from its factor, of which LAPACK fills the lower half: a third of the work of solving for it
        half = np.tril(dpotri(lower, lower=1)[0])
        weights = np.outer(alpha, alpha) - half - np.tril(half, -1).T
        slopes = weights * (curved * 5 / 3 * (1 + a) * decay)
        roots = self.roots_ND
        by_length = (slopes.sum(axis=1) @ roots**2 - ((slopes @ roots) * roots).sum(axis=0)) / lengths_D**2
        gradient = np.concatenate(
            [
                [0.5 * linear * (weights * self.products_NN).sum(), 0.5 * (weights * matern).sum()],
                [0.5 * noise * np.trace(weights)],
                by_length,
            ]
        )
        means, spreads = np.array(self.priors).T
        off = (theta - means) / spreads
        likelihood = -0.5 * self.targets_N @ alpha - np.log(lower.diagonal()).sum()
        return float(0.5 * off @ off - likelihood), off / spreads - gradient


def _squared_distances(roots_AD: Floats, roots_BD: Floats, lengths_D: Floats) -> Floats:
    one, other = roots_AD / lengths_D, roots_BD / lengths_D
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * one @ other.T
    # the root has no slope at 0, and rounding goes below it
    floored: Floats = np.maximum(squares, 1e-18)
    return floored
