"""Tests of a difference on the means of trained models, and intervals of one mean.

Legend of shapes: `...` any number of leading axes (simulations), R blocks, U units within a block. A block is what is
held fixed: one IPT run where SFT seeds are the units ("these models"), or everything where IPT runs are the units
("this recipe"). A unit that is missing is NaN. Blocks count evenly, units within a block too, and what blocks differ by
is never counted as noise.

* `test_paired`: Student's t on the differences of units that share a seed. Exact whatever the two sides' variances and
  however much the seeds have in common.
* `test_pooled`: Student's t on two samples with one variance. Exact where both sides vary alike.
* `test_welch`: Welch's t, a variance for each side, degrees of freedom by Satterthwaite. With two or three units a side
  it rejects too rarely; `simulated_levels` says how rarely.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
LEVEL = 0.95
_RELATIVE_ZERO = 1e-12
"""Deviations smaller than this share of the values are rounding: the units are equal."""


class Moments(NamedTuple):
    """What a t test needs of one sample, each [...].

    `squares`: sum of squared deviations within blocks. `df`: units - blocks. `scale`: the variance of `mean` is
    scale times the variance of a unit within its block.
    """

    mean: Floats
    squares: Floats
    df: Floats
    scale: Floats


@dataclass(frozen=True)
class TTest:
    """A difference (or a mean) with its t test and 95 % limits, each [...]; NaN where nothing varies or too few are."""

    difference: Floats
    error: Floats
    df: Floats
    t: Floats
    p: Floats
    low: Floats
    high: Floats


def measure_moments(values: Floats) -> Moments:
    """Return the moments of values [..., R, U], NaN where a unit is missing; each block has at least one unit."""
    there = np.isfinite(values)
    counts = there.sum(axis=-1)
    filled = np.where(there, values, 0.0)
    means = filled.sum(axis=-1) / counts
    deviations = np.where(there, values - means[..., None], 0.0)
    # equal values whose mean is rounded must have no variance
    size = np.abs(filled).max(axis=-1)[..., None]
    deviations = np.where(np.abs(deviations) <= _RELATIVE_ZERO * size, 0.0, deviations)
    blocks = values.shape[-2]
    return Moments(
        mean=means.mean(axis=-1),
        squares=(deviations**2).sum(axis=(-1, -2)),
        df=(counts.sum(axis=-1) - blocks).astype(float),
        scale=(1 / counts).sum(axis=-1) / blocks**2,
    )


def test_welch(a: Floats, b: Floats) -> TTest:
    """Test the difference of the means of a [..., R, U] and b [..., R, U], whose units need not match."""
    first, second = measure_moments(a), measure_moments(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [one.squares / one.df * one.scale for one in (first, second)]
        df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / first.df + parts[1] ** 2 / second.df)
    return _conclude(first.mean - second.mean, parts[0] + parts[1], df)


def test_pooled(a: Floats, b: Floats) -> TTest:
    """Test the difference of the means of a and b by one variance for both; shapes as for `test_welch`."""
    first, second = measure_moments(a), measure_moments(b)
    df = first.df + second.df
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (first.squares + second.squares) / df * (first.scale + second.scale)
    return _conclude(first.mean - second.mean, variance, df)


def test_paired(a: Floats, b: Floats) -> TTest:
    """Test the mean of a - b, both [..., R, U], unit by unit."""
    return estimate_mean(a - b)


def estimate_mean(values: Floats) -> TTest:
    """Return the mean of values [..., R, U] with its t test against 0 and its interval."""
    found = measure_moments(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = found.squares / found.df * found.scale
    return _conclude(found.mean, variance, found.df)


def find_effect_size(a: Floats, b: Floats) -> Floats:
    """Return Hedges' g: the difference in pooled standard deviations of a unit, corrected for few units (1981)."""
    first, second = measure_moments(a), measure_moments(b)
    df = first.df + second.df
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt((first.squares + second.squares) / df)
        corrected = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
        size: Floats = (first.mean - second.mean) / deviation * corrected
    return np.where(deviation > 0, size, np.nan)


def _conclude(difference: Floats, variance: Floats, df: Floats) -> TTest:
    """Divide by the error; without a variance, or degrees of freedom, there is neither test nor interval."""
    usable = (variance > 0) & (df > 0)
    error = np.sqrt(np.where(usable, variance, np.nan))
    df = np.where(usable, df, np.nan)
    t = difference / error
    half = special.stdtrit(df, (1 + LEVEL) / 2) * error
    p = 2 * special.stdtr(df, -np.abs(t))
    return TTest(np.asarray(difference), error, df, t, p, difference - half, difference + half)
