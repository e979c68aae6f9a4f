"""Rank correlations and means with intervals that know of clusters: all answers to an item come or stay away together.

Intervals are percentiles of a cluster bootstrap over items: what other questions of the same kind could have given,
with the same models. The draws are the same each time, from the raw bits of a generator whose stream is fixed.

Ranks are midranks, so that ties are handled as Spearman's coefficient has it: it is Pearson's, of the ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 10
"""Fewer observations give no correlation, and fewer clusters no interval."""
RESAMPLES = 1000
LEVEL = 0.95
_SEED = 20261122

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Names = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """A number with its interval; None where it cannot be had, and then `note` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class _Ranked:
    """Values by the place of each among the distinct ones, from which ranks follow for any weights."""

    places: Codes
    distinct: int

    def rank(self, weights: Floats) -> Floats | None:
        """Return midranks of observations that stand there `weights` times; None where only one value is left."""
        totals = np.bincount(self.places, weights=weights, minlength=self.distinct)
        if np.count_nonzero(totals) < 2:
            return None
        return (np.cumsum(totals) - totals / 2)[self.places]


def encode(values: Any) -> tuple[Codes, int]:
    """Return the place of each value among the distinct ones in order, and how many those are."""
    distinct, places = np.unique(np.asarray(values), return_inverse=True)
    return places, len(distinct)


def correlate(x: Floats, y: Floats, clusters: Names, names: tuple[str, str]) -> Measured:
    """Return Spearman's rank correlation of x and y; `names` are what they are called where they do not vary."""
    ranked = [_Ranked(*encode(values)) for values in (x, y)]
    if note := _find_obstacle(len(x), [one.distinct < 2 for one in ranked], names, "all {} are equal"):
        return Measured(note=note)
    codes, count = encode(clusters)
    value = _correlate_weighted(ranked[0], ranked[1], np.ones(len(x)))
    if count < FEWEST:
        return _bound(value, np.empty(0), count)
    drawn = (_correlate_weighted(ranked[0], ranked[1], weights[codes]) for weights in draw_weights(count))
    return _bound(value, np.fromiter(drawn, float, RESAMPLES), count)


def _correlate_weighted(x: _Ranked, y: _Ranked, weights: Floats) -> float:
    """Pearson's correlation of the ranks; not a number where one of them does not vary."""
    ranks = x.rank(weights), y.rank(weights)
    if ranks[0] is None or ranks[1] is None:
        return float("nan")
    # the weighted mean of midranks is half of the total weight
    a, b = (one - weights.sum() / 2 for one in ranks)
    return float((weights * a) @ b / np.sqrt(((weights * a) @ a) * ((weights * b) @ b)))


def correlate_within(x: Floats, y: Floats, groups: Names, clusters: Names, names: tuple[str, str]) -> Measured:
    """Return the rank correlation of x and y within groups, such as the answers to one question.

    Ranks are taken within each group, divided by its size + 1 (the weights of van Elteren's test, so that a group
    counts by its size), and the group's mean is taken off: what makes groups differ has no part in it. Groups of one
    say nothing. Each group lies within one cluster.
    """
    places, count = encode(groups)
    sizes = np.bincount(places, minlength=count)[places]
    ranks = [(_rank_within(values, places) - (sizes + 1) / 2) / (sizes + 1) for values in (x, y)]
    if len(x) and sizes.max() < 2:
        return Measured(note="no question has two different answers")
    still = [not one.any() for one in ranks]
    if note := _find_obstacle(int((sizes > 1).sum()), still, names, "within items all {} are equal"):
        return Measured(note=note)
    codes, count = encode(clusters)
    pairs = ((0, 1), (0, 0), (1, 1))
    sums = np.stack([np.bincount(codes, ranks[a] * ranks[b], minlength=count) for a, b in pairs], axis=1)
    totals = np.vstack([sums.sum(axis=0), draw_weights(count) @ sums])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = totals[:, 0] / np.sqrt(totals[:, 1] * totals[:, 2])
    return _bound(float(found[0]), found[1:], count)


def _rank_within(values: Floats, groups: Codes) -> Floats:
    """Midranks from 1 of each value within its group."""
    order = np.lexsort((values, groups))
    places = np.arange(1, len(values) + 1, dtype=float)
    begins = np.ones(len(values), dtype=bool)
    begins[1:] = (np.diff(values[order]) != 0) | (np.diff(groups[order]) != 0)
    ties = np.cumsum(begins) - 1
    middle = np.bincount(ties, places) / np.bincount(ties)
    before = np.concatenate([[0], np.cumsum(np.bincount(groups))[:-1]])
    ranks: Floats = np.empty(len(values))
    ranks[order] = middle[ties]
    ranks -= before[groups]
    return ranks


def average(values: Floats) -> Measured:
    """Return the mean of one value per cluster, with its interval; there is at least one."""
    count = len(values)
    return _bound(float(values.mean()), draw_weights(count) @ values / count, count)


@cache
def draw_weights(clusters: int) -> Floats:
    """Return how often each cluster is drawn, for each of RESAMPLES draws of as many clusters, with replacement."""
    raw = np.random.PCG64(_SEED).random_raw(RESAMPLES * clusters) % clusters
    cells = np.repeat(np.arange(RESAMPLES), clusters) * clusters + raw.astype(np.intp)
    return np.bincount(cells, minlength=RESAMPLES * clusters).reshape(RESAMPLES, clusters).astype(float)


def _find_obstacle(count: int, constant: Sequence[bool], names: Sequence[str], form: str) -> str:
    """Say why there is no correlation; nothing where there is one."""
    if count < FEWEST:
        return f"fewer than {FEWEST} answers" if count else "no answers"
    return " and ".join(form.format(name) for name, same in zip(names, constant, strict=True) if same)


def _bound(value: float, drawn: Floats, clusters: int) -> Measured:
    """Add the interval; every number is kept to a millionth, since the order of a sum decides what follows."""
    kept = round(value, 6) + 0.0
    if clusters < FEWEST:
        return Measured(kept, note=f"no interval: fewer than {FEWEST} items")
    if not np.isfinite(drawn).all():
        return Measured(kept, note="no interval: too few items differ")
    tail = (1 - LEVEL) / 2
    low, high = (round(float(one), 6) + 0.0 for one in np.quantile(drawn, [tail, 1 - tail]))
    return Measured(kept, low, high)
