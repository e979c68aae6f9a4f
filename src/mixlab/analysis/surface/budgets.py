"""Budgets that count as one: of mixtures that differ by more than ratios a surface would say nothing."""

from collections import Counter
from collections.abc import Iterable

TOLERANCE = 0.03
"""Budgets that differ by no more of the larger are one: what is realised ends at a window's or a sample's end."""
Budget = tuple[int, str]
"""A count and its unit; an empty unit is not known yet, and taken for that of the others."""


def is_alike(one: Budget, other: Budget) -> bool:
    """Whether two budgets count as one."""
    return one[1] == other[1] and abs(one[0] - other[0]) <= TOLERANCE * max(one[0], other[0])


def find_usual(budgets: Iterable[Budget]) -> Budget | None:
    """Return the budget that most others are alike, of these the most frequent, then the smallest; None: none known."""
    counts = Counter(one for one in budgets if one[1])
    return max(sorted(counts), key=lambda one: _weigh(one, counts), default=None)


def _weigh(budget: Budget, counts: Counter[Budget]) -> tuple[int, int]:
    return sum(count for other, count in counts.items() if is_alike(budget, other)), counts[budget]


def describe_span(budgets: Iterable[Budget]) -> str:
    """Say from what to what budgets of one unit go, those that are not known left out: `9091 to 9216 tokens`."""
    known = [one for one in budgets if one[1]]
    counts = sorted({count for count, _ in known})
    ends = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{ends} {known[0][1]}"
