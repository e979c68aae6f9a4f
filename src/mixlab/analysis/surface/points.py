"""Measured mixtures: ratios, mean value of each, its standard error, and the noise between runs of one mixture.

Shapes: N mixtures, D components, M other mixtures, S draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ALIKE = 1e-6
"""Ratios that differ by no more are one mixture."""


@dataclass(frozen=True)
class Target:
    """What is measured: name, language (empty: not known), and whether less of it is better."""

    name: str
    language: str = ""
    is_loss: bool = False


@dataclass(frozen=True)
class Points:
    """Distinct mixtures with the value of one target.

    `errors_N`: standard errors of the values, 0 where they are not known. `runs_N`: runs behind each. `noise`: standard
    deviation between runs of one mixture, pooled over mixtures with several; None: none has several.
    """

    components: tuple[str, ...]
    ratios_ND: Floats
    values_N: Floats
    errors_N: Floats
    runs_N: NDArray[np.int64]
    labels: tuple[str, ...]
    noise: float | None = None

    def __len__(self) -> int:
        return len(self.values_N)

    def take(self, rows: NDArray[Any]) -> "Points":
        """Return some of the mixtures, by position."""
        return Points(
            self.components,
            self.ratios_ND[rows],
            self.values_N[rows],
            self.errors_N[rows],
            self.runs_N[rows],
            tuple(self.labels[row] for row in rows),
            self.noise,
        )


@dataclass(frozen=True)
class Measurement:
    """One row of what was measured: a mixture, a value, and that value's standard error where it is known.

    `runs`: how many runs the value is the mean of; with several the error is that of their mean, over runs.
    """

    label: str
    ratios: tuple[float, ...]
    value: float
    error: float | None = None
    runs: int = 1


def build_points(components: Sequence[str], rows: Sequence[Measurement]) -> Points:
    """Join rows of one mixture into its mean, and pool what their spread says of the noise.

    A mixture's error is that of the rows' own errors where all of them have one, else the pooled noise by the square
    root of its runs: a spread of two runs alone would be taken for certainty where they happen to agree.
    """
    groups: dict[tuple[int, ...], list[Measurement]] = {}
    for row in rows:
        groups.setdefault(tuple(round(ratio / ALIKE) for ratio in row.ratios), []).append(row)
    mixtures = list(groups.values())
    runs = [sum(one.runs for one in some) for some in mixtures]
    sums = [math.fsum(one.value * one.runs for one in some) for some in mixtures]
    values = [total / count for total, count in zip(sums, runs, strict=True)]
    noise = _pool(mixtures, values)
    errors = [_error(some, noise, count) for some, count in zip(mixtures, runs, strict=True)]
    return Points(
        tuple(components),
        np.array([some[0].ratios for some in mixtures], dtype=float).reshape(len(mixtures), len(components)),
        np.array(values),
        np.array(errors),
        np.array(runs, dtype=np.int64),
        tuple(some[0].label for some in mixtures),
        noise,
    )


def _pool(mixtures: Sequence[Sequence[Measurement]], values: Sequence[float]) -> float | None:
    """Pool the variance between runs of one mixture, by degrees of freedom; None where no mixture has several runs."""
    squares, freedom = 0.0, 0
    for some, mean in zip(mixtures, values, strict=True):
        runs = sum(one.runs for one in some)
        if runs < 2 or any(one.runs > 1 and one.error is None for one in some):
            continue
        within = (one.error**2 * one.runs * (one.runs - 1) for one in some if one.runs > 1 and one.error is not None)
        squares += math.fsum(within) + math.fsum(one.runs * (one.value - mean) ** 2 for one in some)
        freedom += runs - 1
    return math.sqrt(squares / freedom) if freedom else None


def _error(rows: Sequence[Measurement], noise: float | None, runs: int) -> float:
    if noise is not None:
        return noise / math.sqrt(runs)
    known = [one.error for one in rows if one.error is not None]
    return math.hypot(*known) / len(rows) if len(known) == len(rows) else 0.0


def count_dimensions(ratios_ND: Floats) -> int:
    """Count the directions in which mixtures differ: the rank of the ratios about their mean."""
    if len(ratios_ND) < 2:
        return 0
    return int(np.linalg.matrix_rank(ratios_ND - ratios_ND.mean(axis=0), tol=1e-9 * math.sqrt(ratios_ND.size)))
