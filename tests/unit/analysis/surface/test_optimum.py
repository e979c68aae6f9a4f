"""Predicted optima: planted ones are found, intervals hold them, bounds are kept, and too little data says nothing."""

import math

import numpy as np
import pytest
from surface_fakes import PEAK, draw_ratios, follow_law, make_points, rise_to_a_peak

from mixlab.analysis.surface.mixtures_csv import MeasuredTarget
from mixlab.analysis.surface.optimum import FEWEST, find_abstention, need_mixtures
from mixlab.analysis.surface.points import Target
from mixlab.analysis.surface.region import Box, Hull, build_region
from mixlab.analysis.surface.selection import Validated
from mixlab.analysis.surface.survey import survey


def test_a_planted_peak_is_found_within_its_interval() -> None:
    points = make_points(draw_ratios(60), rise_to_a_peak, noise=0.03)
    found = survey(MeasuredTarget(Target("score"), points))
    assert found.abstention is None
    assert found.optimum is not None
    assert found.optimum.ratios_D == pytest.approx(PEAK, abs=0.07)
    assert (found.optimum.lows_D - 0.02 <= PEAK).all()
    assert (found.optimum.highs_D + 0.02 >= PEAK).all()
    assert found.optimum.low <= 1 <= found.optimum.high
    assert float(found.optimum.ratios_D.sum()) == pytest.approx(1)


def test_nothing_is_to_be_gained_once_the_peak_is_known() -> None:
    ratios = np.vstack([draw_ratios(60), PEAK])
    known = survey(MeasuredTarget(Target("score"), make_points(ratios, rise_to_a_peak, noise=0.002))).optimum
    assert known is not None
    assert known.gain < 0.01
    assert known.find_chance(0.1) == 0
    unknown = make_points(ratios[np.abs(ratios - PEAK).max(axis=1) > 0.3], rise_to_a_peak, noise=0.05)
    open_still = survey(MeasuredTarget(Target("score"), unknown)).optimum
    assert open_still is not None
    assert open_still.gain > 0.01
    assert open_still.find_chance(0.0) > 0.9


def test_the_lowest_loss_lies_at_a_corner_and_within_stated_bounds() -> None:
    points = make_points(draw_ratios(50), follow_law, noise=0.02)
    measured = MeasuredTarget(Target("loss", is_loss=True), points)
    bounded = survey(measured, [("en/math", 0.0, 0.4)]).optimum
    assert bounded is not None
    # en/math lowers the loss most, up to its bound, and en/code next
    assert bounded.ratios_D[1:3] == pytest.approx([0.4, 0.6], abs=0.02)
    assert bounded.value == pytest.approx(float(follow_law(bounded.ratios_D[None, :])[0]), abs=0.1)


def test_bounds_that_leave_out_the_best_measured_mixture_hold_the_optimum_and_cost_what_they_cost() -> None:
    points = make_points(np.vstack([draw_ratios(40), PEAK]), rise_to_a_peak, noise=0.01)
    name, peak = points.components[0], float(PEAK[0])
    lowest = peak + 0.25
    bounded = survey(MeasuredTarget(Target("score"), points), [(name, lowest, 1.0)]).optimum
    assert bounded is not None
    assert bounded.lows_D[0] >= lowest - 1e-9
    # what the bounds allow is that much worse than the peak, which was measured
    lost = float(rise_to_a_peak(PEAK[None, :])[0] - rise_to_a_peak(bounded.ratios_D[None, :])[0])
    assert lost > 0.05
    assert bounded.gain == pytest.approx(-lost, abs=0.05)
    assert bounded.gain_high < 0
    assert bounded.find_chance(0.0) == 0


def test_too_few_mixtures_are_told_with_how_many_more() -> None:
    points = make_points(draw_ratios(6), follow_law)
    found = survey(MeasuredTarget(Target("loss", is_loss=True), points))
    assert (found.optimum, found.validated, found.chosen) == (None, None, None)
    assert found.abstention is not None
    assert found.abstention.more == FEWEST - 6
    assert "6 distinct mixtures that differ in 3 directions" in found.abstention.reason
    assert need_mixtures(draw_ratios(30, components=12)) == 24


def test_noise_alone_has_no_optimum() -> None:
    points = make_points(draw_ratios(20), lambda ratios: np.zeros(len(ratios)), noise=1.0, seed=0)
    found = survey(MeasuredTarget(Target("score"), points))
    assert found.optimum is None
    assert found.abstention is not None
    assert "no better than their mean" in found.abstention.reason
    flat = survey(MeasuredTarget(Target("score"), make_points(draw_ratios(20), lambda one: np.ones(len(one)))))
    assert flat.abstention is not None
    assert flat.abstention.reason == "all mixtures have the same value"


@pytest.mark.parametrize(("explained", "spearman"), [(math.nan, 0.5), (0.5, math.nan), (0.5, None), (0.0, 0.5)])
def test_a_surface_of_which_it_is_not_known_what_it_predicts_has_no_optimum(
    explained: float, spearman: float | None
) -> None:
    points = make_points(draw_ratios(20), follow_law)
    assert find_abstention(points, Validated(spearman, explained, 1.0, 1.0, {}, 20)) is not None
    assert find_abstention(points, Validated(0.5, 0.5, 1.0, 1.0, {}, 20)) is None


def test_draws_of_a_hull_lie_within_it() -> None:
    corners = np.array([[0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.2, 0.4, 0.4]])
    drawn = Hull(corners).sample(500, np.random.default_rng(0))
    weights = np.linalg.solve(corners.T, drawn.T)
    assert drawn.shape == (500, 3)
    assert weights.min() > -1e-9
    assert drawn.sum(axis=1) == pytest.approx(1)
    # corners and the middle are among them
    assert weights.max() > 0.999
    assert np.abs(weights - 1 / 3).max(axis=0).min() < 0.1


def test_many_measured_mixtures_leave_half_of_the_draws_to_what_lies_between_them() -> None:
    corners = draw_ratios(700)
    drawn = Hull(corners).sample(600, np.random.default_rng(0))
    assert drawn.shape == (600, 4)
    known = {tuple(np.round(one, 9)) for one in corners}
    assert sum(tuple(np.round(one, 9)) in known for one in drawn) == 300


def test_draws_within_bounds_keep_them_and_reach_their_ends() -> None:
    region = build_region(draw_ratios(20), ("a", "b", "c", "d"), [("a", 0.1, 0.3), ("d", 0.0, 0.05)])
    assert isinstance(region, Box)
    drawn = region.sample(2000, np.random.default_rng(0))
    assert drawn.sum(axis=1) == pytest.approx(1)
    assert (drawn[:, 0] >= 0.1 - 1e-9).all()
    assert (drawn[:, 0] <= 0.3 + 1e-9).all()
    assert (drawn[:, 3] <= 0.05 + 1e-9).all()
    assert drawn[:, 0].min() < 0.12
    assert drawn[:, 0].max() > 0.28


def test_bounds_that_no_mixture_meets_are_told() -> None:
    with pytest.raises(ValueError, match="no mixture lies within the bounds: the lowest ratios sum to"):
        build_region(draw_ratios(20), ("a", "b", "c", "d"), [("a", 0.8, 0.9), ("b", 0.7, 0.9)])
