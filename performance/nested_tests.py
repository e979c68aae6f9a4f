"""Every test of the analysis on many simulations at once; legend of shapes as in `nested_data`."""

import numpy as np
from nested_data import Floats
from numpy.typing import NDArray
from scipy import special

from mixlab.analysis import seed_tests
from mixlab.analysis.hierarchical import STREAM_A, STREAM_B, STREAM_ITEMS, draw_units
from mixlab.analysis.item_tests import RESAMPLES, draw

ALPHA = 0.05
Booleans = NDArray[np.bool_]


def to_units(values: Floats, level: str) -> Floats:
    """Return the units [N, R, U] of a claim level from scores [N, R, S, J, I]."""
    means = values.mean(axis=(-1, -2))
    return means if level == "these models" else means.mean(axis=-1)[:, None, :]


def to_items(values: Floats, level: str) -> Floats:
    """Return the item means [N, U, I] of the units of one block."""
    means = values.mean(axis=3)
    return means[:, 0] if level == "these models" else means.mean(axis=2)


def reject(a: Floats, b: Floats, level: str) -> dict[str, Booleans]:
    """Say of each simulation which tests reject at 5 %, from both sides [N, R, S, J, I]."""
    units = to_units(a, level), to_units(b, level)
    found = {
        "paired_t": seed_tests.test_paired(*units).p < ALPHA,
        "welch_t": seed_tests.test_welch(*units).p < ALPHA,
        "pooled_t": seed_tests.test_pooled(*units).p < ALPHA,
    }
    judgings = [one.mean(axis=-1).reshape(len(one), 1, -1) for one in (a, b)]
    found["kodama_oda_t"] = seed_tests.test_pooled(*judgings).p < ALPHA
    return found


def reject_beside(a: Floats, b: Floats, level: str) -> dict[str, Booleans]:
    """Say of each simulation which of the tests that look at items reject."""
    items = to_items(a, level), to_items(b, level)
    return {
        "hierarchical_bootstrap": _bootstrap(*items, paired=False),
        "hierarchical_bootstrap_paired": _bootstrap(*items, paired=True),
        "mixed_model": find_mixed_p(*items) < ALPHA,
    }


def _bootstrap(a: Floats, b: Floats, *, paired: bool) -> Booleans:
    """`bootstrap_hierarchy` with the same draws, for all simulations by one product of matrices."""
    units, items = a.shape[1:]
    drawn_items = draw(items, STREAM_ITEMS) / items
    first = _cross(draw_units((1, units), STREAM_A), drawn_items)
    second = first if paired else _cross(draw_units((1, units), STREAM_B), drawn_items)
    values = a.reshape(len(a), -1) @ first - b.reshape(len(b), -1) @ second
    tails = np.minimum((values <= 0).sum(axis=1), (values >= 0).sum(axis=1))
    return 2 * (tails + 1) / (RESAMPLES + 1) < ALPHA


def _cross(units: Floats, items: Floats) -> Floats:
    """[B, U] and [B, I] to [U * I, B]."""
    return np.ascontiguousarray((units[:, :, None] * items[:, None, :]).reshape(len(units), -1).T)


def find_mixed_p(a: Floats, b: Floats) -> Floats:
    """Wald's p of the mixed model by REML in closed form, which complete tables [N, U, I] have.

    The variance of a unit's mean is that between units, or, where the variance of seeds is estimated at 0, that of
    all deviations together.
    """
    table = np.concatenate([a, b], axis=1)
    table = table - table.mean(axis=1, keepdims=True)
    units, columns = a.shape[1:]
    sides = table[:, :units], table[:, units:]
    means = [one.mean(axis=-1) for one in sides]
    between = sum(((one - one.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) for one in means) * columns
    within = sum(((one - mean[..., None]) ** 2).sum(axis=(1, 2)) for one, mean in zip(sides, means, strict=True))
    df_between, df_within = 2 * (units - 1), (2 * units - 1) * (columns - 1)
    pooled = (between + within) / (df_between + df_within)
    variance = np.where(between / df_between > within / df_within, between / df_between, pooled)
    error = np.sqrt(2 * variance / (units * columns))
    z = (means[0].mean(axis=1) - means[1].mean(axis=1)) / error
    return np.asarray(2 * special.ndtr(-np.abs(z)))
