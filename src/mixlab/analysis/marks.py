"""Which of several variants is best, and which second, told only where their seeds tell them apart."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mixlab.analysis.seed_tests import test_welch
from mixlab.analysis.summary_tests import adjust

LEVEL = 0.05
P_VALUES = ["better", "worse", "p"]
"""Columns of a frame of p-values: two variants, the one with the higher mean first, and the adjusted p of a test."""


def compare_with_best(units: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Test the best against every other variant, and the second best against those below it.

    `units`: independent draws of each variant, such as one mean for each SFT seed. Welch's t, adjusted by Holm over all
    of these comparisons together. Returns a frame with the columns P_VALUES; without two draws of each it is empty.
    """
    means = {name: math.fsum(values) / len(values) for name, values in units.items() if len(values) > 1}
    ranked = sorted(means, key=lambda name: -means[name])
    pairs = [(first, other) for place, first in enumerate(ranked[:2]) for other in ranked[place + 1 :]]
    if len(means) < len(units):
        pairs = []
    p_values = [_test(units[better], units[worse]) for better, worse in pairs]
    rows = [(*pair, p) for pair, p in zip(pairs, adjust(p_values, "holm"), strict=True)]
    return pd.DataFrame(rows, columns=P_VALUES)


def choose_marks(p_values: pd.DataFrame, level: float = LEVEL) -> dict[str, str]:
    """Return `best` and `second` by variant: those told apart from everything below them.

    The second is marked only below a best that is. A comparison without a p, where nothing varies, tells nothing apart.
    """
    marks: dict[str, str] = {}
    for mark, better in zip(("best", "second"), dict.fromkeys(p_values["better"]), strict=False):
        below = p_values[p_values["better"] == better]["p"]
        if below.isna().any() or not (below.astype(float) < level).all():
            break
        marks[str(better)] = mark
    return marks


def _test(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Welch's p; None where neither side varies by more than rounding."""
    p = float(test_welch(np.array([first], dtype=float), np.array([second], dtype=float)).p)
    return None if math.isnan(p) else p
