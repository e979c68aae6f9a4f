"""Limits of a win rate over items, where several pairs of models were compared on more or less the same items."""

import math
from collections.abc import Mapping

from mixlab.analysis.statistics import Replicate, estimate_seeds

Seeds = tuple[int | None, int | None, int | None]
"""Mixture, IPT and SFT seed of a pair of models."""
Pairs = Mapping[Seeds, Mapping[str, float]]
"""Pair of models -> item -> its points, from 0 to 1; items without an outcome are not there."""

_NORMAL_95 = 1.959964
"""The 97.5 % point of the normal distribution."""
_ADDED = (0.0, 0.0, 1.0, 1.0)
"""The points of what is added to each pair."""


def replicate(pairs: Pairs) -> list[Replicate]:
    """Return the win rate of each pair of models: items count evenly within it."""
    return [
        Replicate(*seeds, math.fsum(points.values()) / len(points) if points else None)
        for seeds, points in pairs.items()
    ]


def estimate_limits(pairs: Pairs) -> tuple[float, float] | None:
    """Return the 95 % limits of the win rate, which they hold; None where no pair has an outcome.

    Each pair is given four items more, two won and two lost. An item's part in the error is its deviation from the mean
    of each pair that has it, divided by how many the pair has, pairs weighted as in the win rate: so an item is one
    draw, whichever pairs have it, and one of few counts as much as it moves the win rate. With one pair, or all items
    in each, this is the interval of the items' means by Agresti & Coull.
    """
    read = {seeds: points for seeds, points in pairs.items() if points}
    rate = estimate_seeds(replicate(read))[0]
    if rate is None:
        return None
    sizes = {seeds: len(points) + len(_ADDED) for seeds, points in read.items()}
    means = {seeds: math.fsum([*points.values(), *_ADDED]) / sizes[seeds] for seeds, points in read.items()}
    items = dict.fromkeys(item for points in read.values() for item in points)
    drawn = [{seeds: points[item] for seeds, points in read.items() if item in points} for item in items]
    drawn += [dict.fromkeys(read, value) for value in _ADDED]
    parts = []
    for found in drawn:
        moved = {seeds: (value - means[seeds]) / sizes[seeds] for seeds, value in found.items()}
        parts.append(estimate_seeds([Replicate(*seeds, moved.get(seeds, 0.0)) for seeds in read])[0] or 0.0)
    middle = estimate_seeds([Replicate(*seeds, mean) for seeds, mean in means.items()])[0] or 0.0
    half = _NORMAL_95 * math.hypot(*parts)
    # among hundreds of pairs of one item each the items added move the middle by a hair more than `half`
    return max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half))
