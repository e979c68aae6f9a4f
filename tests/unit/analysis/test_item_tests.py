"""Tests over items, against scipy and counts by hand."""

import numpy as np
import pytest
from scipy import stats

from mixlab.analysis import item_tests
from mixlab.analysis.item_tests import bootstrap_items, draw


def test_mcnemar_counts_what_one_alone_has_right():
    a, b = np.array([1.0] * 10 + [0.0] * 5), np.array([0.0] * 8 + [1.0] * 2 + [1.0] + [0.0] * 4)
    found = item_tests.test_mcnemar(a, b)
    assert (found.only_a, found.only_b) == (8, 1)
    # 2 * (1 + 9) / 2 ** 9
    assert found.p == pytest.approx(20 / 512)


def test_two_models_that_are_right_on_the_same_items_are_no_evidence():
    assert item_tests.test_mcnemar(np.ones(4), np.ones(4)).p == 1.0


def test_shares_of_right_answers_are_no_matter_for_mcnemar():
    with pytest.raises(ValueError, match="right or wrong"):
        item_tests.test_mcnemar(np.array([0.5]), np.array([1.0]))


def test_the_bootstrap_over_items_has_the_limits_of_the_normal_law():
    differences = np.random.default_rng(3).standard_normal(400) + 0.2
    found = bootstrap_items([differences])
    error = differences.std(ddof=1) / 20
    assert found.difference == pytest.approx(differences.mean())
    assert (found.low, found.high) == pytest.approx(
        (differences.mean() - 1.96 * error, differences.mean() + 1.96 * error), abs=0.015
    )
    assert found.p == pytest.approx(2 * stats.norm.sf(differences.mean() / error), abs=0.005)


def test_benchmarks_count_evenly_and_are_drawn_apart():
    many, few = np.tile([0.0, 1.0], 50), np.tile([0.0, 1.0], 50)
    found = bootstrap_items([many, few])
    # two independent means of 100 with a deviation of a half: error .05 / sqrt 2 and not .05
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.05 / np.sqrt(2), rel=0.1)


def test_equal_items_have_p_of_one():
    assert bootstrap_items([np.zeros(20)]).p == 1.0


@pytest.mark.parametrize("differences", [[], [np.ones(9)], [np.ones(20), np.ones(3)]])
def test_few_items_have_no_bootstrap(differences):
    assert bootstrap_items(differences) is None


def test_every_draw_takes_as_many_as_there_are_and_streams_differ():
    first, second = draw(7, 0), draw(7, 1)
    assert set(first.sum(axis=1)) == {7.0}
    assert (first != second).any()
    assert first.mean() == pytest.approx(1.0)
