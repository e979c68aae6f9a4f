"""Rows become mixtures: runs of one are joined, and their spread is pooled into the noise."""

import math

import numpy as np
import pytest

from mixlab.analysis.surface.points import Measurement, build_points, count_dimensions


def test_runs_of_one_mixture_are_one_point_and_their_spread_is_pooled() -> None:
    rows = [
        Measurement("a", (0.5, 0.5), 1.0),
        Measurement("a", (0.5, 0.5), 3.0),
        Measurement("b", (0.2, 0.8), 5.0),
        Measurement("b", (0.2, 0.8), 6.0),
        Measurement("c", (0.9, 0.1), 7.0),
    ]
    points = build_points(("x", "y"), rows)
    assert points.labels == ("a", "b", "c")
    assert points.values_N.tolist() == [2.0, 5.5, 7.0]
    assert points.runs_N.tolist() == [2, 2, 1]
    # variances 2 and 0.5 with one degree of freedom each
    noise = math.sqrt((2.0 + 0.5) / 2)
    assert points.noise == pytest.approx(noise)
    assert points.errors_N.tolist() == pytest.approx([noise / math.sqrt(2), noise / math.sqrt(2), noise])


def test_a_mean_of_several_runs_counts_as_those_runs() -> None:
    runs = np.array([4.0, 5.0, 9.0])
    whole = build_points(("x", "y"), [Measurement("a", (0.5, 0.5), float(one)) for one in runs])
    error = float(runs.std(ddof=1) / math.sqrt(3))
    mean = build_points(("x", "y"), [Measurement("a", (0.5, 0.5), 6.0, error, runs=3)])
    assert mean.noise == pytest.approx(whole.noise)
    assert mean.errors_N == pytest.approx(whole.errors_N)


def test_given_errors_of_single_runs_are_kept_and_noise_is_not_invented() -> None:
    points = build_points(("x", "y"), [Measurement("a", (1.0, 0.0), 1.0, 0.25), Measurement("b", (0.0, 1.0), 2.0)])
    assert points.noise is None
    # nobody knows the second one's: it is taken for no better than what is known
    assert points.errors_N.tolist() == [0.25, 0.25]
    assert build_points(("x", "y"), [Measurement("b", (0.0, 1.0), 2.0)]).errors_N.tolist() == [0.0]


def test_own_errors_are_kept_where_mixtures_are_repeated_and_the_others_have_the_noise() -> None:
    rows = [
        Measurement("a", (0.5, 0.5), 1.0, 0.3),
        Measurement("a", (0.5, 0.5), 3.0, 0.4),
        Measurement("b", (0.2, 0.8), 5.0, 0.7),
        Measurement("c", (0.9, 0.1), 7.0),
        Measurement("d", (0.3, 0.7), 7.0, 0.2, runs=2),
    ]
    points = build_points(("x", "y"), rows)
    # 'd' is a mean of two runs: its error is that of their spread, and is pooled with the spread of 'a'
    noise = math.sqrt((2.0 + 0.2**2 * 2) / 2)
    assert points.noise == pytest.approx(noise)
    assert points.errors_N.tolist() == pytest.approx([0.25, 0.7, noise, noise / math.sqrt(2)])


def test_noise_is_pooled_anew_of_the_mixtures_that_are_taken() -> None:
    rows = [
        Measurement(label, ratios, value)
        for label, ratios, values in (
            ("a", (0.5, 0.5), (1.0, 3.0)),
            ("b", (0.2, 0.8), (5.0, 5.5)),
            ("c", (1.0, 0.0), (9.0,)),
        )
        for value in values
    ]
    points = build_points(("x", "y"), rows)
    train, fold = points.take(np.array([1])), points.take(np.array([0, 2]))
    assert train.noise == pytest.approx(math.sqrt(0.125))
    assert fold.noise == pytest.approx(math.sqrt(2.0))
    assert fold.find_errors(train).tolist() == pytest.approx([0.25, math.sqrt(0.125)])
    assert points.take(np.array([2])).noise is None


@pytest.mark.parametrize("value", [2.5, 0.1, 0.0, -3e40])
def test_runs_that_do_not_differ_are_no_noise_of_zero(value: float) -> None:
    rows = [Measurement("a", (0.5, 0.5), value)] * 3 + [Measurement("b", (0.2, 0.8), 2 * value, 0.0, runs=3)]
    points = build_points(("x", "y"), rows)
    assert (points.noise, points.has_equal_runs) == (None, True)
    assert points.errors_N.tolist() == [0.0, 0.0]
    single = build_points(("x", "y"), rows[:1])
    assert (single.noise, single.has_equal_runs) == (None, False)


@pytest.mark.parametrize(
    ("rows", "dimensions"),
    [
        ([[0.2, 0.8]], 0),
        ([[0.2, 0.8], [0.2, 0.8]], 0),
        ([[0.2, 0.8, 0], [0.4, 0.6, 0]], 1),
        ([[0.2, 0.3, 0.5], [0.4, 0.1, 0.5], [0.3, 0.3, 0.4]], 2),
    ],
)
def test_directions_in_which_mixtures_differ_are_counted(rows: list[list[float]], dimensions: int) -> None:
    assert count_dimensions(np.array(rows)) == dimensions
