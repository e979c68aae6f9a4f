"""The mixed model: statsmodels' fit against what REML is in a complete table."""

import numpy as np
import pytest
from scipy import stats

from mixlab.analysis.mixed_model import fit_mixed_model


@pytest.fixture
def sides():
    generator = np.random.default_rng(7)
    items = generator.standard_normal((1, 40))
    return [
        items + effect + generator.standard_normal((5, 1)) + 0.5 * generator.standard_normal((5, 40))
        for effect in (1.0, 0.0)
    ]


def test_the_difference_has_the_error_of_the_seeds_means(sides):
    found = fit_mixed_model(*sides)
    means = [one.mean(axis=1) for one in sides]
    expected = stats.ttest_ind(*means).statistic
    assert found.difference == pytest.approx(means[0].mean() - means[1].mean())
    assert found.z == pytest.approx(expected, rel=1e-3)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(expected)), rel=0.01)
    assert found.low < found.difference < found.high


@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        (np.ones((1, 4)), np.zeros((2, 4)), "needs two seeds a side, and two items or benchmarks"),
        (np.ones((2, 1)), np.zeros((2, 1)), "needs two seeds a side, and two items or benchmarks"),
        (np.ones((2, 4)), np.ones((2, 4)), "no variance"),
    ],
)
def test_what_cannot_be_fitted_says_why(a, b, note):
    found = fit_mixed_model(a, b)
    assert (found.difference, found.p, found.note) == (None, None, note)
