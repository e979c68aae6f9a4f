"""Tests from means and standard deviations, and corrections, against numbers worked out by hand and scipy's."""

import math

import pytest
from scipy import stats

from mixlab.analysis import summary_tests
from mixlab.analysis.summary_tests import adjust


def test_welch_from_summaries_is_scipys():
    found = summary_tests.test_from_summary(5.5, 0.1, 3, 5.2, 0.2, 9)
    expected = stats.ttest_ind_from_stats(5.5, 0.1, 3, 5.2, 0.2, 9, equal_var=False)
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    # (.01/3 + .04/9)^2 / ((.01/3)^2 / 2 + (.04/9)^2 / 8)
    assert found.df == pytest.approx((7 / 900) ** 2 / ((1 / 300) ** 2 / 2 + (2 / 450) ** 2 / 8))
    assert found.difference == pytest.approx(0.3)


def test_the_same_means_and_deviations_say_more_of_nine_than_of_three():
    three, nine = (summary_tests.test_from_summary(1, 1, n, 0, 1, n) for n in (3, 9))
    assert (three.df, nine.df) == pytest.approx((4, 16))
    assert three.t == pytest.approx(math.sqrt(3 / 2))
    assert nine.p < three.p


def test_two_sides_that_do_not_vary_have_a_difference_and_no_test():
    assert summary_tests.test_from_summary(1, 0, 3, 0, 0, 3) == summary_tests.SummaryTest(1, None, None, None)


@pytest.mark.parametrize("changed", [{"n_a": 1}, {"sd_b": -0.1}, {"mean_a": math.nan}])
def test_what_cannot_be_a_sample_is_refused(changed):
    sides = {"mean_a": 1, "sd_a": 1, "n_a": 3, "mean_b": 0, "sd_b": 1, "n_b": 3}
    with pytest.raises(ValueError, match="at least 2 on both sides"):
        summary_tests.test_from_summary(**(sides | changed))


def test_holm_by_hand():
    # sorted .01 .02 .04 .3, times 4 3 2 1: .04 .06 .08 .3
    assert adjust([0.04, 0.01, 0.3, 0.02], "holm") == pytest.approx([0.08, 0.04, 0.3, 0.06])


def test_benjamini_hochberg_is_scipys():
    values = [0.04, 0.01, 0.3, 0.02, 0.02]
    assert adjust(values, "benjamini_hochberg") == pytest.approx(list(stats.false_discovery_control(values)))


def test_a_test_that_could_not_be_made_is_no_member_of_the_family():
    assert adjust([0.03, None, 0.02], "holm") == [pytest.approx(0.04), None, pytest.approx(0.04)]
    assert adjust([None], "holm") == [None]


def test_adjusted_values_never_pass_one_and_never_fall_with_the_p_value():
    assert adjust([0.9, 0.8, 0.01, 0.012], "holm") == pytest.approx([1, 1, 0.04, 0.04])


def test_a_number_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"1\.5"):
        adjust([0.5, 1.5], "holm")
