"""Rank correlations with ties and clusters, against numbers by hand and against repeated data."""

import numpy as np
import pandas as pd
import pytest

from mixlab.analysis.resampling import RESAMPLES, average, correlate, correlate_within, draw_weights

NAMES = ("lengths", "ratings")
EACH = [str(at) for at in range(10)]


def spearman(x: object, y: object) -> float:
    """Pearson's correlation of midranks, as pandas has both."""
    return float(pd.Series(x).rank().corr(pd.Series(y).rank()))


def test_ties_have_midranks() -> None:
    x = np.arange(1.0, 11.0)
    y = np.repeat([1.0, 2, 3, 4, 5], 2)
    # deviations of the ranks of y: -4 -4 -2 -2 0 0 2 2 4 4; sums of products 80, 82.5 and 80
    found = correlate(x, y, EACH, NAMES)
    assert found.value == pytest.approx(80 / (82.5 * 80) ** 0.5, abs=1e-6)
    assert found.low is not None and found.high is not None and found.low <= found.value <= found.high <= 1


def test_a_resample_is_what_repeating_the_clusters_gives() -> None:
    generator = np.random.default_rng(4)
    clusters = np.repeat(np.arange(12), 5)
    x, y = generator.integers(0, 9, (2, 60)).astype(float)
    y += x / 2 + np.repeat(generator.normal(size=12), 5)
    found = correlate(x, y, clusters.tolist(), NAMES)
    assert found.value == pytest.approx(spearman(x, y), abs=1e-6)
    weights = draw_weights(12)
    assert weights.shape == (RESAMPLES, 12) and (weights.sum(axis=1) == 12).all()
    repeated = [spearman(*(np.repeat(one, row[clusters].astype(int)) for one in (x, y))) for row in weights]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(repeated, [0.025, 0.975])), abs=1e-6)


def test_within_groups_only_the_order_inside_each_group_counts() -> None:
    lengths = np.array([1, 2, 3, 4, 5, 101, 102, 103, 104, 105, 106.0])
    ratings = np.array([1, 2, 3, 4, 5, 9, 8, 7, 6, 5.5, 5.2])
    groups = ["a"] * 5 + ["b"] * 6
    # ranks less their mean, over size + 1: squares sum to 10/36 in a, where they agree, to 17.5/49 in b, where not
    found = correlate_within(lengths, ratings, groups, groups, NAMES)
    assert found.value == pytest.approx((10 / 36 - 17.5 / 49) / (10 / 36 + 17.5 / 49), abs=1e-6) == -0.125
    assert (found.low, found.note) == (None, "no interval: fewer than 10 items")
    assert correlate(lengths, ratings, groups, NAMES).value == pytest.approx(spearman(lengths, ratings), abs=1e-6)


def test_hard_questions_with_long_answers_are_no_correlation_within() -> None:
    """Ratings fall with the length of a question's answers, and have nothing to do with it inside."""
    lengths, ratings, groups = [], [], []
    for question in range(12):
        for length, rating in ((0, 0), (1, 0.1), (1, 0), (0, 0.1)):
            lengths.append(100.0 * question + length)
            ratings.append(10 - question / 2 + rating)
            groups.append(question)
    values = np.array(lengths), np.array(ratings)
    over = correlate(*values, groups, NAMES)
    within = correlate_within(*values, groups, groups, NAMES)
    assert over.value is not None and over.value < -0.95
    assert (within.value, within.low, within.high) == (0, 0, 0)


def test_what_cannot_be_measured_is_said() -> None:
    some = np.arange(10.0)
    same = np.ones(10)
    for measure in (
        lambda x, y: correlate(x, y, EACH[: len(x)], NAMES),
        lambda x, y: correlate_within(x, y, ["q"] * len(x), EACH[: len(x)], NAMES),
    ):
        assert measure(some[:0], some[:0]).note == "no answers"
        assert measure(some[:9], some[:9]).note == "fewer than 10 answers"
        assert "all ratings are equal" in measure(some, same).note
        assert "all lengths are equal and" in measure(same, same).note
        assert [measure(some, same).value, measure(some, same).low] == [None, None]
    alone = correlate_within(some, some, EACH, EACH, NAMES)
    assert alone.note == "no question has two different answers"
    # only one item differs from the others, and resamples without it have equal ratings
    rare = correlate(some, np.array([*same[:9], 2]), EACH, NAMES)
    assert rare.value is not None and (rare.low, rare.note) == (None, "no interval: too few items differ")


def test_a_mean_has_the_interval_of_its_resamples() -> None:
    values = np.arange(20.0)
    found = average(values)
    assert found.value == 9.5
    # the standard error is sqrt(33.25 / 20) = 1.289, so that 95 % lie within 2.53 on either side, about
    assert found.low == pytest.approx(9.5 - 2.53, abs=0.3)
    assert found.high == pytest.approx(9.5 + 2.53, abs=0.3)
    constant = average(np.full(10, 3.0))
    assert (constant.value, constant.low, constant.high) == (3, 3, 3)
    few = average(values[:9])
    assert (few.value, few.low, few.note) == (4, None, "no interval: fewer than 10 items")
