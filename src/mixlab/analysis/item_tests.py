"""Tests over items: what other questions of the same kind could have said of these very models.

They know nothing of seeds: a difference that is sure over items may be the luck of one training run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mixlab.analysis.resampling import FEWEST, LEVEL

Floats = NDArray[np.float64]
RESAMPLES = 2000
_SEED = 20261123


@dataclass(frozen=True)
class McnemarTest:
    """Items that one model alone has right (`only_a`, `only_b`), and the exact two-sided p-value."""

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class BootstrapTest:
    """A mean difference with percentile limits and a two-sided p-value, at least 2 / (RESAMPLES + 1)."""

    difference: float
    low: float
    high: float
    p: float


def is_right_or_wrong(scores: Floats) -> bool:
    """Whether every score is 1 or 0: a scorer may give part of an item, which is neither right nor wrong."""
    return bool(np.isin(scores, (0, 1)).all())


def test_mcnemar(a: Floats, b: Floats) -> McnemarTest:
    """Test whether two models are right equally often, a [I] and b [I] being 0 or 1 for the same items.

    Exact: of the items on which they differ, each has even chances of being won by either. Without any, p is 1.
    """
    if not (is_right_or_wrong(a) and is_right_or_wrong(b)):
        raise ValueError("McNemar's test needs right or wrong, 1 or 0, for each item")
    only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    differing = only_a + only_b
    p = float(stats.binomtest(only_a, differing, 0.5).pvalue) if differing else 1.0
    return McnemarTest(only_a, only_b, p)


def bootstrap_items(differences: Sequence[Floats]) -> BootstrapTest | None:
    """Resample the items of each benchmark, whose mean differences count evenly; None with fewer than 10 items in one.

    `differences`: for each benchmark [I], the difference of the two points on each item.
    """
    if not differences or min(map(len, differences)) < FEWEST:
        return None
    drawn = np.mean([draw(len(one), place) @ one / len(one) for place, one in enumerate(differences)], axis=0)
    difference = float(np.mean([one.mean() for one in differences]))
    return summarise_draws(difference, drawn)


def summarise_draws(difference: float, drawn: Floats) -> BootstrapTest:
    """Turn resampled differences [RESAMPLES] into limits and a p-value."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    tails = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return BootstrapTest(difference, float(low), float(high), min(1.0, 2 * (tails + 1) / (len(drawn) + 1)))


@lru_cache(maxsize=8)
def draw(count: int, stream: int, resamples: int = RESAMPLES) -> Floats:
    """Return how often each of `count` things is drawn, [resamples, count]; each stream draws anew, always the same.

    From the raw bits of a generator whose stream is fixed, so that every release of numpy draws alike.
    """
    raw = np.random.PCG64(_SEED + stream).random_raw(resamples * count) % count
    cells = np.repeat(np.arange(resamples), count) * count + raw.astype(np.intp)
    return np.bincount(cells, minlength=resamples * count).reshape(resamples, count).astype(float)
