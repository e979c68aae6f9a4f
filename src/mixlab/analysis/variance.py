"""Variance components: how much of a score is the seed, the judging, the item.

Legend of shapes: L nested levels, outermost first (mixture_seed > ipt_seed > sft_seed > generation_seed > judge_run), I
items, which every unit of every level answers. The model of a score is

    mean + item + level 1 + level 1 x item + ... + level L + level L x item

each with a variance of its own; the innermost level times the item is what is left, one answer's own noise. Estimates
are those of the analysis of variance: mean squares set equal to what is expected of them. They are unbiased, so one may
come out negative; it is kept at 0 and said so. An estimate from few units is small by luck as often as not, so each has
a one-sided 80 % upper limit: its own mean square at the limit of its chi-square less the others as they are, or,
where the estimate is negative, less nothing: no limit is 0 by luck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
ITEM, RESIDUAL = "item", "residual"
UPPER = 0.8


@dataclass(frozen=True)
class Component:
    """One variance, on the squared scale of the score; `units` is how many were seen, `df` what they leave.

    `name`: a level, `item`, `LEVEL x item`, or `residual`. `upper`: the limit that the true variance is below with a
    chance of 80 %. `note` says what else is in it, or that it was negative.
    """

    name: str
    variance: float
    units: int
    df: int
    upper: float
    note: str = ""

    @property
    def deviation(self) -> float:
        """The standard deviation, on the scale of the score."""
        return float(np.sqrt(self.variance))


def decompose(values: Floats, levels: Sequence[str]) -> list[Component]:
    """Split the variance of values [L1, ..., LL, I], one axis for each of `levels` and the items last; no NaN.

    A level with one unit cannot be told from what lies outside it, and an innermost level without repeats holds what
    lies within it: both are left out of the model. Needs two items. Raises ValueError otherwise.
    """
    if values.ndim != len(levels) + 1 or not np.isfinite(values).all():
        raise ValueError(f"scores of shape {values.shape} for levels {', '.join(levels)} and items, all of them known")
    if values.shape[-1] < 2:
        raise ValueError("one item says nothing of how items differ")
    kept = [(name, size) for name, size in zip(levels, values.shape, strict=False) if size > 1]
    values = values.reshape([size for _, size in kept] + [values.shape[-1]])
    items = values.shape[-1]
    if not kept:
        note = "and all noise: nothing was repeated"
        return [_component(ITEM, float(values.var(ddof=1)), 0.0, 1, items - 1, items, note)]
    means, crossed = zip(*(_mean_squares(values, depth) for depth in range(len(kept))), strict=True)
    found = [_estimate_item(values, crossed[0], kept)]
    for depth, (name, _) in enumerate(kept):
        below = int(np.prod([size for _, size in kept[depth + 1 :]]))
        units = int(np.prod([size for _, size in kept[: depth + 1]]))
        df = units - units // kept[depth][1]
        at_items = df * (items - 1), units * items
        # one more level: nothing varies within the innermost one but the answer, which its product with the item holds
        inner_mean, inner_crossed = (means[depth + 1], crossed[depth + 1]) if depth + 1 < len(kept) else (None, None)
        if inner_mean is None or inner_crossed is None:
            found.append(_component(name, means[depth], crossed[depth], items, df, units))
            found.append(_component(RESIDUAL, crossed[depth], 0.0, 1, *at_items, f"{name} x item and all within it"))
        else:
            rest = inner_mean + crossed[depth] - inner_crossed
            found.append(_component(name, means[depth], rest, items * below, df, units))
            found.append(_component(f"{name} x item", crossed[depth], inner_crossed, below, *at_items))
    return found


def _mean_squares(values: Floats, depth: int) -> tuple[float, float]:
    """Mean squares of a level within the one outside it, and of the level times the item."""
    inner = tuple(range(depth + 1, values.ndim - 1))
    cells = values.mean(axis=inner) if inner else values
    below = int(np.prod([values.shape[axis] for axis in inner]))
    deviations = cells - cells.mean(axis=depth, keepdims=True)
    units = int(np.prod(cells.shape[:depth])) * (cells.shape[depth] - 1)
    items = cells.shape[-1]
    means = deviations.mean(axis=-1, keepdims=True)
    level = float((means**2).sum()) * items * below / units
    crossed = float(((deviations - means) ** 2).sum()) * below / (units * (items - 1))
    return level, crossed


def _estimate_item(values: Floats, crossed: float, kept: Sequence[tuple[str, int]]) -> Component:
    repeats = int(np.prod([size for _, size in kept]))
    means = values.reshape(repeats, -1).mean(axis=0)
    items = values.shape[-1]
    return _component(ITEM, float(means.var(ddof=1)), crossed / repeats, 1, items - 1, items)


def _component(name: str, square: float, rest: float, scale: int, df: int, units: int, note: str = "") -> Component:
    """Take from a mean square what the rest of it is expected to be; `scale` is how often the variance is in it."""
    variance = (square - rest) / scale
    limit = square * df / float(special.chdtri(df, UPPER))
    upper = (limit - rest if variance >= 0 else limit) / scale
    # sums of equal numbers leave rounding behind
    if variance < -1e-12:
        note = "; ".join(filter(None, [note, f"estimated {variance:.3g}, kept at 0"]))
    return Component(name, _above_zero(variance), units, df, _above_zero(upper), note)


def _above_zero(variance: float) -> float:
    return variance if variance > 1e-12 else 0.0
