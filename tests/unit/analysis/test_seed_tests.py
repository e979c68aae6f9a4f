"""t tests on the means of models, against scipy and numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from mixlab.analysis import seed_tests

A = np.array([[5.1, 5.4, 5.2]])
B = np.array([[4.9, 5.0, 5.3]])


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (seed_tests.test_paired, stats.ttest_rel(A[0], B[0])),
        (seed_tests.test_pooled, stats.ttest_ind(A[0], B[0])),
        (seed_tests.test_welch, stats.ttest_ind(A[0], B[0], equal_var=False)),
    ],
)
def test_one_block_is_scipys_t_test(test, expected):
    found = test(A, B)
    assert (found.t, found.p, found.df) == pytest.approx((expected.statistic, expected.pvalue, expected.df))
    limits = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))


def test_sides_of_different_size_are_scipys_too():
    more = np.array([[4.9, 5.0, 5.3, 4.0]])
    expected = stats.ttest_ind(A[0], more[0], equal_var=False)
    assert seed_tests.test_welch(A, more).p == pytest.approx(expected.pvalue)
    assert seed_tests.test_pooled(A, more).p == pytest.approx(stats.ttest_ind(A[0], more[0]).pvalue)


def test_what_blocks_differ_by_is_no_noise():
    # differences .1 .3 in one IPT run, 1.2 1.6 in the other: means .2 and 1.4, squares .02 + .08 over 4 - 2
    values = np.array([[0.1, 0.3], [1.2, 1.6]])
    found = seed_tests.test_paired(values, np.zeros_like(values))
    assert found.difference == pytest.approx(0.8)
    assert found.error == pytest.approx(math.sqrt(0.05 * (1 / 2 + 1 / 2) / 4))
    assert found.df == 2


def test_a_block_that_lost_a_unit_counts_as_much_as_the_other():
    values = np.array([[0.0, 1.0, np.nan], [4.0, 5.0, 6.0]])
    found = seed_tests.estimate_mean(values)
    # squares .5 + 2 over 5 - 2; scale (1/2 + 1/3) / 4
    assert found.difference == pytest.approx((0.5 + 5) / 2)
    assert found.error == pytest.approx(math.sqrt(2.5 / 3 * (1 / 2 + 1 / 3) / 4))


def test_many_simulations_are_tested_at_once():
    both = np.stack([A, B])
    found = seed_tests.test_welch(both, both[::-1])
    assert found.p.shape == (2,)
    assert found.t[0] == pytest.approx(-found.t[1])


def test_units_that_do_not_differ_have_a_difference_and_no_test():
    found = seed_tests.test_paired(A + 0.3, A)
    assert found.difference == pytest.approx(0.3)
    assert np.isnan([found.p, found.low, found.error]).all()


def test_one_unit_a_side_has_no_test():
    assert np.isnan(seed_tests.test_welch(A[:, :1], B[:, :1]).p)
    assert np.isnan(seed_tests.test_pooled(A[:, :1], B[:, :1]).p)


def test_hedges_g_by_hand():
    # pooled deviation of 0 2 and 1 3 is sqrt 2; with 2 degrees of freedom the factor is gamma(1) / (gamma(.5) sqrt 1)
    found = seed_tests.find_effect_size(np.array([[1.0, 3.0]]), np.array([[0.0, 2.0]]))
    assert found == pytest.approx(1 / math.sqrt(2) / math.sqrt(math.pi))


def test_the_effect_size_of_units_that_do_not_differ_is_not_known():
    assert np.isnan(seed_tests.find_effect_size(A * 0 + 1, A * 0))
