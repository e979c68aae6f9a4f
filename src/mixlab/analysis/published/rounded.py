"""Numbers as a table prints them: a value, and how far rounding may have moved it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

_PRINTED = re.compile(r"[+-]?[0-9]+(?:\.([0-9]+))?")


@dataclass(frozen=True)
class Rounded:
    """A number that lies within `value` ± `rounding`; whole numbers are taken as exact."""

    value: Fraction
    rounding: Fraction = Fraction(0)

    def __add__(self, other: "Rounded") -> "Rounded":
        return Rounded(self.value + other.value, self.rounding + other.rounding)

    def __sub__(self, other: "Rounded") -> "Rounded":
        return Rounded(self.value - other.value, self.rounding + other.rounding)

    def scaled(self, factor: Fraction | int) -> "Rounded":
        """The number times an exact factor."""
        return Rounded(self.value * factor, self.rounding * abs(Fraction(factor)))

    def meets(self, other: "Rounded") -> bool:
        """Whether both can be roundings of one number."""
        return abs(self.value - other.value) <= self.rounding + other.rounding

    def over(self, rest: "Rounded") -> "Rounded":
        """The share self / (self + rest) of two numbers >= 0, with the widest bounds that their roundings allow."""
        low, high = self.value - self.rounding, self.value + self.rounding
        smallest = low / (low + rest.value + rest.rounding)
        largest = high / (high + rest.value - rest.rounding)
        value = self.value / (self.value + rest.value)
        return Rounded(value, max(value - smallest, largest - value))


def read_rounded(text: str) -> Rounded:
    """Read `5.50` (± 0.005), `+0.00` or `-1.4` (± 0.05), `12640131` (exact); raises ValueError for anything else."""
    match = _PRINTED.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a number as it was printed, like 5.50, -0.35 or 12640131, got {text!r}")
    digits = len(match[1] or "")
    return Rounded(Fraction(text), Fraction(1, 2 * 10**digits) if digits else Fraction(0))


def add_up(numbers: Iterable[Rounded]) -> Rounded:
    """The sum of several numbers."""
    total = Rounded(Fraction(0))
    for one in numbers:
        total = total + one
    return total


def average(numbers: Iterable[Rounded]) -> Rounded:
    """The mean of several numbers; raises ZeroDivisionError for none."""
    listed = list(numbers)
    return add_up(listed).scaled(Fraction(1, len(listed)))
