"""What to measure next: on the grid, never what is known, where most is to be learnt, as a batch."""

from fractions import Fraction

import numpy as np
import pytest
from surface_fakes import draw_ratios, make_points, rise_to_a_peak

from mixlab.analysis.surface.acquisition import Objective, _Belief, propose, round_ratios
from mixlab.analysis.surface.detectable import find_detectable_effect
from mixlab.analysis.surface.region import Hull, build_region

NONE = np.empty((0, 4))


def test_rounded_ratios_are_exact_and_near() -> None:
    for ratios in draw_ratios(200, components=7, sharpness=0.3):
        rounded = round_ratios(ratios, 60)
        assert sum(rounded) == 1
        assert all((one * 60).denominator == 1 and one >= 0 for one in rounded)
        assert max(abs(float(one) - ratio) for one, ratio in zip(rounded, ratios, strict=True)) < 1 / 60
    assert round_ratios(np.array([1 / 3, 1 / 3, 1 / 3]), 60) == (Fraction(1, 3),) * 3


def test_proposals_are_new_distinct_and_within_the_region() -> None:
    points = make_points(draw_ratios(15), rise_to_a_peak, noise=0.05)
    pending = np.array([[0.25, 0.25, 0.25, 0.25]])
    proposals = propose([Objective(points, is_loss=False)], Hull(points.ratios_ND), pending, 6, 60)
    assert len({one.ratios for one in proposals}) == 6
    assert all(sum(one.ratios) == 1 for one in proposals)
    known = np.vstack([points.ratios_ND, pending])
    for one in proposals:
        exact = np.array([float(ratio) for ratio in one.ratios])
        assert np.abs(known - exact).max(axis=1).min() > 0.5 / 60
        assert (exact >= points.ratios_ND.min(axis=0) - 1 / 60).all()
    worths = [one.reduction for one in proposals]
    assert worths == sorted(worths, reverse=True)
    assert 0 < worths[-1] <= worths[0] < 1


@pytest.mark.parametrize(("low", "high", "expected"), [(0.0, 0.33, 8), (0.405, 0.42, 8), (0.405, 0.412, 0)])
def test_rounding_takes_no_proposal_out_of_stated_bounds(low: float, high: float, expected: int) -> None:
    """Multiples of 1/60: 0.4167 lies in the second bounds, none in the third."""
    points = make_points(draw_ratios(16), rise_to_a_peak, noise=0.01)
    region = build_region(points.ratios_ND, points.components, [("raw", low, high)])
    found = propose([Objective(points, is_loss=False)], region, NONE, 8, 60)
    assert len(found) == expected
    assert [one.ratios for one in found if not low <= one.ratios[0] <= high] == []


def test_components_without_a_stated_bound_keep_to_what_was_measured_within_a_step() -> None:
    ratios = draw_ratios(16, components=3)
    held = np.column_stack([ratios * 0.667, np.full(16, 0.333)])
    points = make_points(held, rise_to_a_peak, noise=0.01)
    region = build_region(held, points.components, [("raw", 0.1, 0.3)])
    found = propose([Objective(points, is_loss=False)], region, NONE, 5, 60)
    assert len(found) == 5
    assert {one.ratios[3] for one in found} <= {Fraction(19, 60), Fraction(20, 60)}


def test_what_was_proposed_and_is_under_way_is_not_proposed_again() -> None:
    points = make_points(draw_ratios(15), rise_to_a_peak, noise=0.05)
    objectives, region = [Objective(points, is_loss=False)], Hull(points.ratios_ND)
    first = propose(objectives, region, NONE, 3, 60)
    pending = np.array([[float(ratio) for ratio in one.ratios] for one in first])
    second = propose(objectives, region, pending, 3, 60)
    assert len(second) == 3
    assert {one.ratios for one in first}.isdisjoint(one.ratios for one in second)


def test_a_gap_between_measured_mixtures_is_filled_first() -> None:
    along = np.concatenate([np.linspace(0, 0.3, 12), [1.0]])
    ratios = np.column_stack([along, 1 - along])
    points = make_points(ratios, lambda one: np.sin(6 * one[:, 0]), noise=0.01)
    (first,) = propose([Objective(points, is_loss=False)], Hull(ratios), np.empty((0, 2)), 1, 60)
    assert 0.4 <= float(first.ratios[0]) <= 0.9


def test_the_variance_left_is_that_of_conditioning_on_all_that_was_chosen() -> None:
    root = np.random.default_rng(1).standard_normal((5, 8))
    covariance, noise = root @ root.T, 0.3
    belief = _Belief(covariance.copy(), np.full(5, 0.2), noise, 1.0)
    before = float(belief.weights_C @ belief.covariance_CC.diagonal())
    worth = float(belief.worth()[3])
    belief.condition(3)
    assert before - float(belief.weights_C @ belief.covariance_CC.diagonal()) == pytest.approx(worth)
    belief.condition(0)
    at = [3, 0]
    inner = covariance[np.ix_(at, at)] + noise * np.eye(2)
    left = covariance - covariance[:, at] @ np.linalg.solve(inner, covariance[at])
    assert belief.covariance_CC == pytest.approx(left)


def test_the_detectable_effect_is_that_of_cohens_tables() -> None:
    """Cohen 1988, table 2.4.1, two-tailed 5 %, power 0.80: d = 0.50 takes 64 a group, d = 1.00 takes 17."""
    for runs, effect in ((64, 0.50), (17, 1.00), (26, 0.80)):
        found = find_detectable_effect(1.0, runs)
        fewer = find_detectable_effect(1.0, runs - 1)
        assert found is not None
        assert fewer is not None
        assert found <= effect < fewer
    assert find_detectable_effect(0.5, 64) == pytest.approx((find_detectable_effect(1.0, 64) or 0) / 2)
    assert find_detectable_effect(1.0, 1) is None
    assert find_detectable_effect(None, 3) is None
    assert find_detectable_effect(0.0, 3) is None
