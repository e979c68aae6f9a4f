"""Tests from printed means and standard deviations, and corrections for testing many differences at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

Correction = Literal["holm", "benjamini_hochberg"]


@dataclass(frozen=True)
class SummaryTest:
    """A difference of two means with Welch's t; `df`, `t` and `p` are None where neither side varies."""

    difference: float
    df: float | None
    t: float | None
    p: float | None


def test_from_summary(mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int) -> SummaryTest:
    """Test mean_a - mean_b by Welch's t, two-sided, as if the n_a and n_b values behind the means were independent.

    `sd_a`, `sd_b`: sample standard deviations (n - 1). Degrees of freedom by Satterthwaite. Raises ValueError for a
    sample of fewer than two, a negative deviation, or a number that is none.
    """
    if not all(map(math.isfinite, (mean_a, sd_a, mean_b, sd_b))) or min(sd_a, sd_b) < 0 or min(n_a, n_b) < 2:
        raise ValueError(
            f"means {mean_a} and {mean_b}, deviations {sd_a} and {sd_b}, n {n_a} and {n_b}: "
            "a test needs finite means, deviations of at least 0 and n of at least 2 on both sides"
        )
    difference = mean_a - mean_b
    first, second = sd_a**2 / n_a, sd_b**2 / n_b
    if first + second == 0:
        return SummaryTest(difference, None, None, None)
    df = (first + second) ** 2 / (first**2 / (n_a - 1) + second**2 / (n_b - 1))
    t = difference / math.sqrt(first + second)
    return SummaryTest(difference, df, t, float(2 * special.stdtr(df, -abs(t))))


def adjust(p_values: Sequence[float | None], method: Correction) -> list[float | None]:
    """Adjust p-values for being looked at together; None stays None and is no member of the family.

    `holm` bounds the chance of a single false claim (Holm 1979, Scandinavian Journal of Statistics 6);
    `benjamini_hochberg` the expected share of false claims among all (1995, JRSS B 57). Raises ValueError for a number
    outside 0 to 1.
    """
    known = [place for place, p in enumerate(p_values) if p is not None]
    values = np.array([p_values[place] for place in known], dtype=float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"not probabilities: {[p for p in p_values if p is not None and not 0 <= p <= 1]}")
    count = len(values)
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, count + 1)
    if method == "holm":
        adjusted = np.maximum.accumulate(values[order] * (count - ranks + 1))
    else:
        adjusted = np.minimum.accumulate((values[order] * count / ranks)[::-1])[::-1]
    found: list[float | None] = [None] * len(p_values)
    for place, value in zip(order, adjusted, strict=True):
        found[known[place]] = min(1.0, float(value))
    return found
