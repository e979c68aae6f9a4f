"""Invented mixtures with a surface that is known."""

from collections.abc import Callable

import numpy as np

from mixlab.analysis.surface.points import Floats, Measurement, Points, build_points

NAMES = ("raw", "en/math", "en/code", "ja/general")


def draw_ratios(count: int, components: int = 4, seed: int = 1, sharpness: float = 0.8) -> Floats:
    """Draw mixtures from all of the simplex."""
    return np.random.default_rng(seed).dirichlet(np.full(components, sharpness), count)


def make_points(ratios_ND: Floats, surface: Callable[[Floats], Floats], noise: float = 0.0, seed: int = 2) -> Points:
    """Measure a surface at mixtures, each once."""
    values = surface(ratios_ND) + noise * np.random.default_rng(seed).standard_normal(len(ratios_ND))
    names = [*NAMES, *(f"c{number}" for number in range(20))][: ratios_ND.shape[1]]
    pairs = zip(ratios_ND, values, strict=True)
    rows = [
        Measurement(f"m{at}", tuple(float(one) for one in row), float(value)) for at, (row, value) in enumerate(pairs)
    ]
    return build_points(names, rows)


def follow_law(ratios_MD: Floats) -> Floats:
    """A loss that obeys the mixing law: 2 + exp(t · r)."""
    return 2 + np.exp(ratios_MD @ np.array([1.0, -1.5, 0.3, 0.8]))


PEAK = np.array([0.4, 0.3, 0.2, 0.1])


def rise_to_a_peak(ratios_MD: Floats) -> Floats:
    """A score that is highest, 1, at PEAK."""
    return 1 - 4 * ((ratios_MD - PEAK) ** 2).sum(axis=1)
