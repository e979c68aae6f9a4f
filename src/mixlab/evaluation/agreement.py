"""How far two raters of the same items agree: accuracy, recall and precision by category, Cohen's kappa."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CategoryAgreement:
    """One category: items by hand and by label, and both; a share without items is None."""

    by_hand: int
    by_label: int
    both: int

    @property
    def recall(self) -> float | None:
        """Share of the items of this category by hand that carry its label: the accuracy within the category."""
        return self.both / self.by_hand if self.by_hand else None

    @property
    def precision(self) -> float | None:
        """Share of the items with this label that are of this category by hand."""
        return self.both / self.by_label if self.by_label else None


@dataclass(frozen=True)
class Agreement:
    """Agreement of labels with a hand-labelled sample; `confusion` counts items by hand label (row) and label."""

    items: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    kappa: float | None
    kappa_standard_error: float | None
    categories: Mapping[str, CategoryAgreement]
    confusion: NDArray[np.int64]


def measure_agreement(by_hand: Sequence[int], by_label: Sequence[int], names: Sequence[str]) -> Agreement:
    """Compare two labellings of the same items, given as positions in `names`.

    The interval of the accuracy is Wilson's at 95 %. Kappa's standard error is the large-sample one of Fleiss, Cohen
    and Everitt (1969, https://doi.org/10.1037/h0028106); both are None where all items lie in one category for both
    raters. Raises ValueError without items.
    """
    if not by_hand or len(by_hand) != len(by_label):
        raise ValueError(f"{len(by_hand)} items by hand and {len(by_label)} by label cannot be compared")
    size = len(names)
    confusion = np.zeros((size, size), dtype=np.int64)
    np.add.at(confusion, (np.asarray(by_hand), np.asarray(by_label)), 1)
    items, agreed = len(by_hand), int(np.trace(confusion))
    rows, columns = confusion.sum(axis=1), confusion.sum(axis=0)
    kappa, error = _measure_kappa(confusion / items)
    return Agreement(
        items,
        agreed / items,
        _wilson(agreed, items),
        kappa,
        error if error is None else error / math.sqrt(items),
        {
            name: CategoryAgreement(int(rows[at]), int(columns[at]), int(confusion[at, at]))
            for at, name in enumerate(names)
        },
        confusion,
    )


def _measure_kappa(shares: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return Cohen's kappa of a table of shares, and its standard deviation for one item."""
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float(np.trace(shares)), float(rows @ columns)
    if expected >= 1:
        return None, None
    kappa = (observed - expected) / (1 - expected)
    # either(i, j): how often the one rater says j, or the other i
    either = columns[:, None] + rows[None, :]
    diagonal = np.diag(shares) @ (1 - np.diag(either) * (1 - kappa)) ** 2
    off = shares * either**2
    beside = (1 - kappa) ** 2 * (off.sum() - np.trace(off))
    chance = (kappa - expected * (1 - kappa)) ** 2
    variance = float(diagonal + beside - chance) / (1 - expected) ** 2
    return kappa, math.sqrt(max(0.0, variance))


def _wilson(hits: int, items: int, deviations: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's interval of a share; `deviations`: 1.96 for 95 %."""
    square = deviations**2 / items
    centre = (hits / items + square / 2) / (1 + square)
    half = deviations * math.sqrt(hits / items * (1 - hits / items) / items + square / items / 4) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)
