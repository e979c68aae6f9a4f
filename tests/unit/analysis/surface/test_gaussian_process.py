"""The Gaussian process: its gradient, its predictions beside scikit-learn's, and what errors do to it."""

import math

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern
from surface_fakes import draw_ratios, make_points, rise_to_a_peak

from mixlab.analysis.surface.gaussian_process import _Problem, fit_gaussian_process
from mixlab.analysis.surface.points import Measurement, build_points


def test_the_gradient_is_that_of_the_cost() -> None:
    ratios = draw_ratios(12)
    problem = _Problem(np.sqrt(ratios), rise_to_a_peak(ratios), np.full(12, 0.01))
    for seed in range(3):
        theta = problem.prior_means + 0.5 * np.random.default_rng(seed).standard_normal(7)
        size = np.abs(problem.cost(theta)[1]).max()
        assert check_grad(lambda one: problem.cost(one)[0], lambda one: problem.cost(one)[1], theta) < 1e-4 * size


def test_predictions_are_those_of_scikit_learn_with_the_same_kernel() -> None:
    points = make_points(draw_ratios(30), rise_to_a_peak, noise=0.05)
    ours = fit_gaussian_process(points)
    kernel = ConstantKernel(math.exp(ours.kernel.linear)) * DotProduct(0, "fixed") + ConstantKernel(
        math.exp(ours.kernel.curved)
    ) * Matern(np.exp(ours.kernel.lengths_D), nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=ours.noise_variance + 1e-8, optimizer=None)
    theirs.fit(np.sqrt(points.ratios_ND), (points.values_N - ours.scale.mean) / ours.scale.spread)
    new = draw_ratios(7, seed=9)
    mean, error = theirs.predict(np.sqrt(new), return_std=True)
    found = ours.predict(new)
    assert found[0] == pytest.approx(ours.scale.mean + ours.scale.spread * mean, abs=1e-6)
    assert found[1] == pytest.approx(ours.scale.spread * error, abs=1e-6)
    assert np.sqrt(ours.covariance(new).diagonal()) == pytest.approx(found[1], abs=1e-6)


def test_a_curved_surface_is_recovered_and_draws_have_its_mean_and_spread() -> None:
    process = fit_gaussian_process(make_points(draw_ratios(60), rise_to_a_peak, noise=0.02))
    new = draw_ratios(40, seed=5)
    mean, error = process.predict(new)
    # a corner that no mixture is near is missed by more
    assert float(np.quantile(np.abs(mean - rise_to_a_peak(new)), 0.9)) < 0.1
    assert 0.01 < process.noise < 0.04
    drawn = process.draw(new, 4000, np.random.default_rng(0))
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=6 * error.max() / math.sqrt(4000))
    assert drawn.std(axis=0) == pytest.approx(error, rel=0.15)


def test_a_point_with_a_large_error_is_believed_less() -> None:
    ratios = draw_ratios(20)
    values = ratios @ np.array([1.0, 2.0, 3.0, 4.0])
    values[0] += 3

    def predict(error: float) -> float:
        rows = [
            Measurement(f"m{at}", tuple(row), float(value), error if at == 0 else 0.01)
            for at, (row, value) in enumerate(zip(ratios.tolist(), values, strict=True))
        ]
        return float(fit_gaussian_process(build_points("abcd", rows)).predict(ratios[:1])[0][0])

    truth = values[0] - 3
    assert abs(predict(5.0) - truth) < 0.3 < abs(predict(0.01) - truth)


def test_one_point_leaves_the_prior() -> None:
    points = make_points(draw_ratios(1), rise_to_a_peak)
    mean, error = fit_gaussian_process(points).predict(draw_ratios(3, seed=4))
    assert np.isfinite(mean).all()
    assert (error > 0.1).all()
