"""Relative gains from before to after SFT, and how far the SFT seeds let them be known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Gain:
    """A gain in percent, and Student's t interval over `n` SFT seeds; None where it is not estimable.

    The interval takes the scores before SFT as known: it holds no uncertainty of theirs.
    """

    percent: float | None
    low: float | None
    high: float | None
    n: int


def estimate_gain(
    before: Sequence[float], after: Sequence[float], seeds: "Sequence[pd.Series[float]]", *, of_averages: bool
) -> Gain:
    """Estimate the gain over several base models, one entry each; `seeds`: the mean after SFT of each SFT seed.

    `of_averages`: of the averages over base models; else the average of their gains. The interval is over the seeds
    that every base model has, and needs two of them; without all seeds in all models there is none.
    """
    percent = _compute(before, after, of_averages)
    if percent is None:
        return Gain(None, None, None, 0)
    table = pd.concat(list(seeds), axis=1)
    values = [_compute(before, list(row), of_averages) for row in table.dropna().itertuples(index=False)]
    known = pd.Series([one for one in values if one is not None], dtype=float)
    if len(known) < 2 or len(known) < len(table):
        return Gain(percent, None, None, len(known))
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(known) - 1)) * float(known.std(ddof=1)) / math.sqrt(len(known))
    return Gain(percent, percent - half, percent + half, len(known))


def _compute(before: Sequence[float], after: Sequence[float], of_averages: bool) -> float | None:
    """Percent; None where what it starts from is 0."""
    pairs = list(zip(before, after, strict=True))
    if of_averages:
        pairs = [(math.fsum(before), math.fsum(after))]
    if any(start == 0 for start, _ in pairs):
        return None
    return 100 * math.fsum(end / start - 1 for start, end in pairs) / len(pairs)
