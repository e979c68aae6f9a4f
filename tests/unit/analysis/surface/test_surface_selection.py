"""The choice of the family, honestly tested: nothing held out reaches what is fitted."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from surface_fakes import draw_ratios, follow_law, make_points, rise_to_a_peak

from mixlab.analysis.surface import mixing_law
from mixlab.analysis.surface.fitted import Family, Scale
from mixlab.analysis.surface.points import Floats, Points
from mixlab.analysis.surface.selection import (
    FAMILIES,
    Chosen,
    Codes,
    Predicted,
    choose,
    cross_validate,
    make_folds,
    predict_observed,
    validate,
)

CHEAP = {"quadratic": FAMILIES["quadratic"], "gaussian_process": FAMILIES["gaussian_process"]}


def find_leaks(points: Points, family: Family) -> list[int]:
    """Positions whose own value moves what is predicted for them, mean or error, by however little."""
    folds = make_folds(len(points), 4, 3)
    before = cross_validate(points, family, folds)
    leaks = []
    for fold in folds:
        moved = points.values_N.copy()
        moved[fold] += 100 + np.arange(len(fold))
        after = cross_validate(replace(points, values_N=moved), family, folds)
        same = (before.means_N[fold] == after.means_N[fold]) & (before.errors_N[fold] == after.errors_N[fold])
        leaks += fold[~same].tolist()
    return leaks


@pytest.mark.parametrize("name", FAMILIES)
def test_no_value_that_is_held_out_reaches_its_own_prediction(name: str) -> None:
    points = make_points(draw_ratios(16), follow_law, noise=0.1)
    assert find_leaks(points, FAMILIES[name]) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_the_spread_of_runs_that_are_held_out_reaches_no_prediction(name: str) -> None:
    ratios = draw_ratios(16)
    once = make_points(ratios, follow_law, noise=0.1)
    points = replace(once, freedom_N=np.ones(16, dtype=np.int64), squares_N=np.full(16, 0.01))
    folds = make_folds(16, 4, 3)
    before = cross_validate(points, FAMILIES[name], folds)
    moved = points.squares_N.copy()
    moved[folds[0]] *= 400
    after = cross_validate(replace(points, squares_N=moved), FAMILIES[name], folds)
    assert before.means_N[folds[0]].tolist() == after.means_N[folds[0]].tolist()
    assert before.errors_N[folds[0]].tolist() == after.errors_N[folds[0]].tolist()
    assert (before.errors_N[folds[1]] < after.errors_N[folds[1]]).all()


def test_given_errors_count_once_in_what_is_predicted() -> None:
    """Where given errors explain all that values miss the surface by, a new value errs by its own and no more."""
    ratios, noise = draw_ratios(60), 0.2
    for name in ("mixing_law", "quadratic"):
        points = replace(make_points(ratios, follow_law, noise=noise), given_N=np.full(60, noise))
        found = predict_observed(FAMILIES[name](points), points, points)
        assert float(found.errors_N.mean()) < 1.25 * noise


def test_standardising_by_held_out_rows_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail: where values are standardised by all rows, it finds every one of them."""
    points = make_points(draw_ratios(16), follow_law, noise=0.1)
    whole: list[Floats] = []
    honest = cross_validate

    def remember(points: Points, family: Family, folds: list[Codes]) -> Predicted:
        whole.append(points.values_N)
        return honest(points, family, folds)

    monkeypatch.setitem(globals(), "cross_validate", remember)
    monkeypatch.setattr(mixing_law.Scale, "of", lambda _: Scale(float(whole[-1].mean()), float(whole[-1].std())))
    assert sorted(find_leaks(points, FAMILIES["mixing_law"])) == list(range(16))


def test_the_outer_folds_see_neither_the_choice_nor_the_widths() -> None:
    points = make_points(draw_ratios(25), follow_law, noise=0.2)
    seen: list[Points] = []

    def choose_and_remember(train: Points) -> Chosen:
        seen.append(train)
        return choose(train, CHEAP)

    validated = validate(points, choose_and_remember)
    assert len(seen) == 5
    assert sum(len(points) - len(train) for train in seen) == len(points)
    assert all(len(set(train.labels)) == len(train) == 20 for train in seen)
    assert sum(validated.families.values()) == 5


@pytest.mark.parametrize(
    ("surface", "family"), [(follow_law, "mixing_law"), (rise_to_a_peak, "quadratic")], ids=["law", "peak"]
)
def test_the_family_that_made_the_values_is_chosen(surface: Callable[[Floats], Floats], family: str) -> None:
    chosen = choose(make_points(draw_ratios(60), surface, noise=0.02))
    assert chosen.family == family
    assert chosen.errors[family] == min(chosen.errors.values())


def choose_quadratic(train: Points) -> Chosen:
    return choose(train, {"quadratic": FAMILIES["quadratic"]})


def test_a_good_surface_is_told_as_good_and_noise_as_noise() -> None:
    ratios = draw_ratios(60)
    good = validate(make_points(ratios, rise_to_a_peak, noise=0.05), choose_quadratic)
    assert good.spearman is not None
    assert good.spearman > 0.9
    assert good.explained > 0.9
    assert 0.85 <= good.covered <= 1
    nothing = validate(make_points(ratios, lambda one: np.zeros(len(one)), noise=1.0), choose_quadratic)
    assert nothing.explained < 0.15


def test_intervals_cover_as_stated() -> None:
    inside = []
    for seed in range(12):
        points = make_points(draw_ratios(60, seed=seed), rise_to_a_peak, noise=0.1, seed=100 + seed)
        inside.append(validate(points, choose_quadratic).covered)
    assert 0.93 <= float(np.mean(inside)) <= 0.98


def test_folds_are_the_same_each_time_and_hold_each_point_once() -> None:
    folds = make_folds(23, 5, 1)
    assert sorted(np.concatenate(folds).tolist()) == list(range(23))
    assert [fold.tolist() for fold in folds] == [fold.tolist() for fold in make_folds(23, 5, 1)]
    assert {len(fold) for fold in folds} == {4, 5}
