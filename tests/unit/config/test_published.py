"""Published counts and sizes in bytes: exact, with the rounding that the printing tells."""

from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mixlab.config.exact import ExactFloat
from mixlab.config.published import Published, parse_printed
from mixlab.config.sizes import Bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "value", "rounding"),
    [
        ("945.3 B", 945_300_000_000, 50_000_000),
        ("0.0002 B", 200_000, 50_000),
        ("68.0 M", 68_000_000, 50_000),
        ("25 K", 25_000, 500),
        ("2 T", 2 * 10**12, 5 * 10**11),
        ("0.5", Fraction(1, 2), Fraction(1, 20)),
        ("12640131", 12_640_131, 0),
        ("7B", 7 * 10**9, 5 * 10**8),
    ],
)
def test_a_printed_count_says_a_value_and_how_it_was_rounded(text: str, value: Fraction, rounding: Fraction) -> None:
    printed = parse_printed(text)
    assert (printed.value, printed.rounding) == (value, rounding)


@pytest.mark.parametrize("text", ["", "B", "1 G", "-1 B", "1e9", "1,000", "about 5", "1 B tokens", "5 b"])
def test_what_is_no_printed_count_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"like 945\.3 B, 68\.0 M or 12640131"):
        parse_printed(text)


def test_counts_keep_the_digits_that_were_printed() -> None:
    published = Published.model_validate({"table": "2", "tokens": {"a": ExactFloat("68.0"), "b": 7, "c": "0.10 B"}})
    assert published.tokens == {"a": "68.0", "b": "7", "c": "0.10 B"}


def test_an_unknown_cell_is_told_with_its_nearest() -> None:
    with pytest.raises(ValidationError, match="unknown cell 'en/maths'; did you mean 'en/math'"):
        Published.model_validate({"table": "1", "cells": {"en/maths": {}}})


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("4 GiB", 4 * 2**30),
        ("500 MB", 500_000_000),
        ("1.5 KiB", 1536),
        ("1/2 MiB", 2**19),
        ("64mib", 2**26),
        ("1 kB", 1000),
        ("7 B", 7),
        (4096, 4096),
        ("4_096", 4096),
        (ExactFloat("1e9"), 10**9),
    ],
)
def test_a_size_is_read_exactly(written: Any, size: int) -> None:
    assert parse_bytes(written) == size
    assert TypeAdapter(Bytes).validate_python(written) == size


@pytest.mark.parametrize("written", ["0.1 B", "1/3 KiB", "4 gigs", "GiB", "", "four MB", True, "-1 MB", 0, "0 GB"])
def test_what_is_no_positive_whole_number_of_bytes_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Bytes).validate_python(written)
