"""Nested scores with a known truth: seeds x judgings x items, as the analysis supposes them.

Legend of shapes: N simulations, R IPT runs, S SFT seeds of each, J judge runs of each, I items.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CHUNK_BYTES = 2**26


@dataclass(frozen=True)
class Truth:
    """Standard deviations of everything that varies, on the scale of a judge's points."""

    ipt: float = 0.0
    sft: float = 0.15
    judge: float = 0.05
    item: float = 1.0
    sft_item: float = 0.4
    answer: float = 0.6
    shared: float = 0.0
    """How much of the SFT seed's noise both sides have in common, as a correlation."""
    ratio: float = 1.0
    """The first side's noise of seeds, as many times the second's."""


@dataclass(frozen=True)
class Shape:
    """Repeats of one point."""

    runs: int
    seeds: int
    judgings: int
    items: int = 30

    def __str__(self) -> str:
        parts = [f"{self.runs} IPT seeds"] if self.runs > 1 else []
        return " x ".join([*parts, f"{self.seeds} SFT seeds", f"{self.judgings} judge runs"])


def simulate(
    generator: np.random.Generator, truth: Truth, shape: Shape, simulations: int, effect: float = 0.0
) -> Iterator[tuple[Floats, Floats]]:
    """Yield both sides [n, R, S, J, I] in chunks that add up to `simulations`; the first is better by `effect`."""
    size = 16 * shape.runs * shape.seeds * shape.judgings * shape.items
    chunk = max(1, CHUNK_BYTES // size)
    for begin in range(0, simulations, chunk):
        count = min(chunk, simulations - begin)
        items = truth.item * generator.standard_normal((count, 1, 1, 1, shape.items))
        common = generator.standard_normal((count, shape.runs, shape.seeds, 1, 1))
        first = _simulate_side(generator, truth, shape, common, truth.ratio)
        second = _simulate_side(generator, truth, shape, common, 1.0)
        yield first + items + effect, second + items


def _simulate_side(generator: np.random.Generator, truth: Truth, shape: Shape, common: Floats, ratio: float) -> Floats:
    count = len(common)
    place = (count, shape.runs, shape.seeds, shape.judgings, shape.items)
    own = generator.standard_normal((*place[:3], 1, 1))
    seeds = np.sqrt(truth.shared) * common + np.sqrt(1 - truth.shared) * own
    scores = truth.answer * generator.standard_normal(place)
    scores += ratio * truth.ipt * generator.standard_normal((*place[:2], 1, 1, 1))
    scores += ratio * truth.sft * seeds
    scores += truth.sft_item * generator.standard_normal((*place[:3], 1, shape.items))
    scores += truth.judge * generator.standard_normal((*place[:4], 1))
    return scores
