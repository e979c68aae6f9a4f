"""Measured mixtures: ratios, mean value of each, its standard error, and the noise between runs of one mixture.

Shapes: N mixtures, D components, M other mixtures, S draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ALIKE = 1e-6
"""Ratios that differ by no more are one mixture."""
_ROUNDING = 1e-14
"""Runs whose spread is no larger a share of their values do not differ: their mean is rounded."""


@dataclass(frozen=True)
class Target:
    """What is measured: name, language (empty: not known), and whether less of it is better."""

    name: str
    language: str = ""
    is_loss: bool = False


@dataclass(frozen=True)
class Points:
    """Distinct mixtures with the value of one target.

    `given_N`: standard errors that were given of single runs, nan where there are none. `runs_N`: runs behind each
    value. `squares_N`, `freedom_N`: sum of squares between runs of each mixture, and its degrees of freedom.
    """

    components: tuple[str, ...]
    ratios_ND: Floats
    values_N: Floats
    given_N: Floats
    runs_N: NDArray[np.int64]
    labels: tuple[str, ...]
    squares_N: Floats
    freedom_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values_N)

    @cached_property
    def noise(self) -> float | None:
        """Standard deviation between runs of one mixture, pooled over these mixtures.

        None where none has several, and where those of each are equal: that is one run written down twice, or a value
        too coarse to tell them apart, and no noise of 0.
        """
        return None if self.has_equal_runs or not self.freedom_N.any() else self._pooled

    @cached_property
    def has_equal_runs(self) -> bool:
        """Whether mixtures have several runs, and those of each do not differ."""
        largest = float(np.abs(self.values_N).max(initial=0.0))
        return bool(self.freedom_N.any()) and self._pooled <= _ROUNDING * largest

    @property
    def _pooled(self) -> float:
        return math.sqrt(math.fsum(self.squares_N) / int(self.freedom_N.sum()))

    @cached_property
    def errors_N(self) -> Floats:
        """Standard errors of the values, by nothing but these mixtures; see `find_errors`."""
        return self.find_errors(self)

    def find_errors(self, known: "Points") -> Floats:
        """Return standard errors of the values by what `known` mixtures say of those that have none of their own.

        A mixture's own errors come first. Without them it is the pooled noise by the square root of its runs: a spread
        of two runs alone would be taken for certainty where they happen to agree. Where nothing was repeated it is the
        root mean square of others' own errors, and 0 where nobody has one: then a fit tells the noise.
        """
        own = known.given_N[np.isfinite(known.given_N)]
        if known.noise is not None:
            others = known.noise / np.sqrt(self.runs_N)
        else:
            others = np.full(len(self), math.sqrt(float(np.mean(own**2))) if len(own) else 0.0)
        return np.where(np.isfinite(self.given_N), self.given_N, others)

    def take(self, rows: NDArray[Any]) -> "Points":
        """Return some of the mixtures, by position; noise is pooled anew, of these alone."""
        return Points(
            self.components,
            self.ratios_ND[rows],
            self.values_N[rows],
            self.given_N[rows],
            self.runs_N[rows],
            tuple(self.labels[row] for row in rows),
            self.squares_N[rows],
            self.freedom_N[rows],
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
    """Join rows of one mixture into its mean, with its own error where all of its rows have one, and its spread."""
    groups: dict[tuple[int, ...], list[Measurement]] = {}
    for row in rows:
        groups.setdefault(tuple(round(ratio / ALIKE) for ratio in row.ratios), []).append(row)
    mixtures = list(groups.values())
    runs = [sum(one.runs for one in some) for some in mixtures]
    sums = [math.fsum(one.value * one.runs for one in some) for some in mixtures]
    values = [total / count for total, count in zip(sums, runs, strict=True)]
    spreads = [_measure_spread(some, mean) for some, mean in zip(mixtures, values, strict=True)]
    return Points(
        tuple(components),
        np.array([some[0].ratios for some in mixtures], dtype=float).reshape(len(mixtures), len(components)),
        np.array(values),
        np.array([_join_errors(some) for some in mixtures], dtype=float),
        np.array(runs, dtype=np.int64),
        tuple(some[0].label for some in mixtures),
        np.array([squares for squares, _ in spreads], dtype=float),
        np.array([freedom for _, freedom in spreads], dtype=np.int64),
    )


def _measure_spread(rows: Sequence[Measurement], mean: float) -> tuple[float, int]:
    """Return the sum of squares between runs of one mixture and its degrees of freedom; 0 of both where unknown."""
    runs = sum(one.runs for one in rows)
    if runs < 2 or any(one.runs > 1 and one.error is None for one in rows):
        return 0.0, 0
    within = (one.error**2 * one.runs * (one.runs - 1) for one in rows if one.runs > 1 and one.error is not None)
    return math.fsum(within) + math.fsum(one.runs * (one.value - mean) ** 2 for one in rows), runs - 1


def _join_errors(rows: Sequence[Measurement]) -> float:
    """Return the error of the rows' mean by their own errors; nan where one has none, or has that of several runs."""
    known = [one.error for one in rows if one.error is not None and one.runs == 1]
    return math.hypot(*known) / len(rows) if len(known) == len(rows) else math.nan


def count_dimensions(ratios_ND: Floats) -> int:
    """Count the directions in which mixtures differ: the rank of the ratios about their mean."""
    if len(ratios_ND) < 2:
        return 0
    return int(np.linalg.matrix_rank(ratios_ND - ratios_ND.mean(axis=0), tol=1e-9 * math.sqrt(ratios_ND.size)))
