"""The mixing law and the quadratic recover what obeys them, and know where they do not know."""

import numpy as np
import pytest
from surface_fakes import draw_ratios, follow_law, make_points

from mixlab.analysis.surface.mixing_law import fit_mixing_law
from mixlab.analysis.surface.points import Floats, Measurement, build_points
from mixlab.analysis.surface.quadratic import build_terms, fit_quadratic
from mixlab.analysis.surface.selection import FAMILIES

NEW = draw_ratios(50, seed=11)


def mirror_law(ratios_MD: Floats) -> Floats:
    """A score that rises as the law's loss falls."""
    return 10 - follow_law(ratios_MD)


@pytest.mark.parametrize("surface", [follow_law, mirror_law])
def test_the_law_is_recovered_of_losses_and_of_scores(surface: object) -> None:
    law = fit_mixing_law(make_points(draw_ratios(40), surface))  # type: ignore[arg-type]
    assert law.predict(NEW)[0] == pytest.approx(surface(NEW), abs=0.05)  # type: ignore[operator]


def test_huber_keeps_outliers_from_bending_the_law() -> None:
    points = make_points(draw_ratios(60), follow_law, noise=0.01)
    points.values_N[:3] += 3.0
    law = fit_mixing_law(points)
    assert float(np.median(np.abs(law.predict(NEW)[0] - follow_law(NEW)))) < 0.1


def test_errors_of_the_law_are_as_large_as_it_errs() -> None:
    misses = []
    for seed in range(8):
        law = fit_mixing_law(make_points(draw_ratios(40), follow_law, noise=0.1, seed=seed))
        mean, error = law.predict(NEW)
        misses.append(float(np.sqrt(np.mean((mean - follow_law(NEW)) ** 2 / error**2))))
    assert 0.5 < float(np.mean(misses)) < 2


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("repeats", [0, 1])
def test_a_value_with_a_large_error_of_its_own_is_believed_less(name: str, repeats: int) -> None:
    """With own errors of all rows, whether one of the mixtures is repeated or none."""
    ratios = draw_ratios(30)
    values = follow_law(ratios)

    def err(error: float) -> float:
        rows = [
            Measurement(str(at), tuple(row), value + (5 if at == 0 else 0), error if at == 0 else 0.01)
            for at, (row, value) in enumerate(zip(ratios.tolist(), values.tolist(), strict=True))
        ]
        rows += rows[-1:] * repeats
        return float(
            np.sqrt(np.mean((FAMILIES[name](build_points("abcd", rows)).predict(NEW)[0] - follow_law(NEW)) ** 2))
        )

    assert err(5.0) < 0.7 * err(0.01)
    assert err(5.0) < 0.25


def test_laws_drawn_of_a_straight_line_lie_as_far_apart_as_is_told_of_them() -> None:
    # offset and exponents are hardly known apart; what they say together is
    law = fit_mixing_law(make_points(draw_ratios(10), lambda ratios: 2 * ratios[:, 0], noise=0.02))
    means, errors = law.predict(NEW)
    drawn = law.draw(NEW, 3000, np.random.default_rng(0))
    assert drawn.std(axis=0) == pytest.approx(errors, rel=0.15)
    assert np.abs(drawn - means).max() < 1


def test_the_quadratic_is_recovered() -> None:
    weights = np.random.default_rng(3).standard_normal(10)
    points = make_points(draw_ratios(80), lambda ratios: build_terms(ratios) @ weights)
    assert fit_quadratic(points).predict(NEW)[0] == pytest.approx(build_terms(NEW) @ weights, abs=0.02)


def test_the_quadratic_knows_less_where_nothing_was_measured() -> None:
    near = 0.25 + 0.02 * (draw_ratios(40) - 0.25)
    found = fit_quadratic(make_points(near, follow_law, noise=0.001))
    _, errors = found.predict(np.vstack([near[:1], np.eye(4)[:1]]))
    assert errors[1] > 5 * errors[0]
    drawn = found.draw(NEW, 3000, np.random.default_rng(0))
    assert drawn.std(axis=0) == pytest.approx(found.predict(NEW)[1], rel=0.15)


def test_a_component_that_never_varies_does_no_harm() -> None:
    ratios = np.hstack([draw_ratios(30, components=3) * 0.5, np.full((30, 1), 0.5)])
    points = make_points(ratios, follow_law, noise=0.01)
    for fit in (fit_quadratic, fit_mixing_law):
        mean, error = fit(points).predict(ratios)
        assert np.isfinite(mean).all()
        assert np.isfinite(error).all()
        assert np.abs(mean - follow_law(ratios)).max() < 0.1
