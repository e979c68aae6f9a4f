"""Relative gains from before to after SFT, and how far the SFT seeds let them be known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixlab.analysis.seed_tests import estimate_mean

NOT_ESTIMABLE = "not estimable"
"""Why a gain has no interval: fewer than two SFT seeds, or some are missing."""


@dataclass(frozen=True)
class Gain:
    """A gain in percent, and Student's t interval over `n` SFT seeds (None: `obstacle` says why).

    The interval takes the scores before SFT as known: it holds no uncertainty of theirs.
    """

    percent: float | None
    low: float | None
    high: float | None
    n: int
    obstacle: str = NOT_ESTIMABLE


def estimate_gain(
    before: Sequence[float], after: Sequence[float], seeds: "Sequence[pd.Series[float]]", *, of_averages: bool
) -> Gain:
    """Estimate the gain over several base models, one entry each; `seeds`: the mean after SFT of each SFT seed.

    `of_averages`: of the averages over base models; else the average of their gains. The interval is over the seeds
    that every base model has, and needs two of them; without all seeds in all models there is none, nor where all
    seeds have one gain but for rounding.
    """
    ratio = _divide(before, after, of_averages)
    if ratio is None:
        return Gain(None, None, None, 0)
    table = pd.concat(list(seeds), axis=1)
    values = [_divide(before, list(row), of_averages) for row in table.dropna().itertuples(index=False)]
    known = [one for one in values if one is not None]
    percent = 100 * (ratio - 1)
    if len(known) < 2 or len(known) < len(table):
        return Gain(percent, None, None, len(known))
    # of the ratios, since a gain of nearly 0 is all rounding
    found = estimate_mean(np.array([known]))
    half = 100 * float(found.high - found.difference)
    if math.isnan(half):
        return Gain(percent, None, None, len(known), f"{len(known)} seeds agree")
    return Gain(percent, percent - half, percent + half, len(known), "")


def _divide(before: Sequence[float], after: Sequence[float], of_averages: bool) -> float | None:
    """Score after SFT by score before; None where what it starts from is 0."""
    pairs = list(zip(before, after, strict=True))
    if of_averages:
        pairs = [(math.fsum(before), math.fsum(after))]
    if any(start == 0 for start, _ in pairs):
        return None
    return math.fsum(end / start for start, end in pairs) / len(pairs)
