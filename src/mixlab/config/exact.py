"""Exact numbers: 0.5, "50 %", "1/2" and 1/2 are one fraction; 33.33 % is not 1/3."""

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import gcd, lcm
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema


class ExactFloat(float):
    """A float read from YAML that remembers the digits the user wrote."""

    text: str

    def __new__(cls, text: str) -> "ExactFloat":
        number = super().__new__(cls, text)
        number.text = text
        return number


_FRACTION = re.compile(r"^\s*([+-]?\d+)\s*/\s*(\d+)\s*$")
_EXPONENT = re.compile(r"[eE]([+-]?\d+)")
_LARGEST_EXPONENT = 400
"""Of a power of ten; a number of YAML cannot be larger either, and one of text would take hours to write out."""
_PERCENT = re.compile(r"^\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*%\s*$")


def parse_exact(value: Any) -> Fraction:
    """Turn what a user may write for a number into the fraction it says, never snapping.

    Raises ValueError for anything that is not a finite number.
    """
    if isinstance(value, bool):
        raise ValueError(f"expected a number like 0.5, 1/2 or 50 %, got {value!r}")
    if isinstance(value, (int, Fraction, Decimal)):
        return Fraction(value)
    text = getattr(value, "text", repr(float(value))) if isinstance(value, float) else str(value)
    try:
        if (match := _EXPONENT.search(text)) and abs(int(match[1])) > _LARGEST_EXPONENT:
            raise ValueError
        if match := _FRACTION.match(text):
            return Fraction(int(match[1]), int(match[2]))
        if match := _PERCENT.match(text):
            return Fraction(match[1]) / 100
        return Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"expected a number like 0.5, 1/2 or 50 %, got {text!r}") from None


def in_proportion(weights: Iterable[Fraction]) -> tuple[Fraction, ...]:
    """Return the smallest whole numbers of the same proportion as weights above 0, so that equal ones are one."""
    exact = tuple(weights)
    denominator = lcm(*(weight.denominator for weight in exact))
    whole = [weight.numerator * (denominator // weight.denominator) for weight in exact]
    divisor = gcd(*whole)
    return tuple(Fraction(number // divisor) for number in whole)


def _at_least_zero(value: Fraction) -> Fraction:
    if value < 0:
        raise ValueError(f"must not be negative, got {value}")
    return value


def _at_most_one(value: Fraction) -> Fraction:
    if not 0 <= value <= 1:
        raise ValueError(f"must lie in [0, 1], got {value}")
    return value


_NUMBER = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "description": "0.5, 1/2 or 50 %"})

Exact = Annotated[Fraction, BeforeValidator(parse_exact), PlainSerializer(str, return_type=str), _NUMBER]
Weight = Annotated[Exact, Field(), BeforeValidator(lambda value: _at_least_zero(parse_exact(value)))]
Ratio = Annotated[Exact, Field(), BeforeValidator(lambda value: _at_most_one(parse_exact(value)))]
