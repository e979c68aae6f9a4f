"""The hierarchical bootstrap: seeds are drawn anew, and within each draw the items, the same ones for both sides.

Legend of shapes: B resamples, R blocks, U units, I items. It stands beside the t test and decides nothing:
with a handful of seeds it draws the same few over and over, and how often it rejects depends on how much of the noise
is the seeds'.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixlab.analysis.item_tests import RESAMPLES, BootstrapTest, draw, summarise_draws

Floats = NDArray[np.float64]
STREAM_A, STREAM_B, STREAM_ITEMS = 1000, 2000, 3000
"""Streams of the draws, apart from those of `bootstrap_items`."""


def bootstrap_hierarchy(a: Sequence[Floats], b: Sequence[Floats], *, paired: bool) -> BootstrapTest:
    """Return the difference of two points by resampling units within blocks, and items.

    `a`, `b`: for each benchmark [R, U, I] without NaN, the same items for both. `paired`: the units of both share seeds
    and are drawn together. Benchmarks count evenly, blocks too.
    """
    shape_a, shape_b = a[0].shape[:2], b[0].shape[:2]
    units_a = draw_units(shape_a, STREAM_A)
    units_b = units_a if paired else draw_units(shape_b, STREAM_B)
    drawn = np.zeros(RESAMPLES)
    difference = 0.0
    for place, (first, second) in enumerate(zip(a, b, strict=True)):
        items = first.shape[-1]
        flat_a, flat_b = first.reshape(-1, items), second.reshape(-1, items)
        by_item = units_a @ flat_a - units_b @ flat_b
        drawn += (by_item * draw(items, STREAM_ITEMS + place)).sum(axis=1) / items / len(a)
        difference += float(flat_a.mean() - flat_b.mean()) / len(a)
    return summarise_draws(difference, drawn)


def draw_units(shape: tuple[int, int], stream: int, resamples: int = RESAMPLES) -> Floats:
    """Return weights [B, R * U], each resample's sum 1: units are drawn with replacement within their block."""
    blocks, units = shape
    drawn = [draw(units, stream + block, resamples) for block in range(blocks)]
    return np.concatenate(drawn, axis=1) / (blocks * units)
