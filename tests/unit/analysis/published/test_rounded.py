"""Printed numbers carry how far rounding may have moved them."""

from fractions import Fraction

import pytest

from mixlab.analysis.published.rounded import Rounded, add_up, average, read_rounded


@pytest.mark.parametrize(
    ("text", "value", "rounding"),
    [("5.50", "11/2", "1/200"), ("+0.00", "0", "1/200"), ("-1.4", "-7/5", "1/20"), ("12640131", "12640131", "0")],
)
def test_a_printed_number_may_be_off_by_half_its_last_digit(text: str, value: str, rounding: str) -> None:
    assert read_rounded(text) == Rounded(Fraction(value), Fraction(rounding))


@pytest.mark.parametrize("text", ["", "5.", ".5", "1e3", "5,1", "nan", "5.1 "])
def test_what_is_no_printed_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="as it was printed"):
        read_rounded(text)


def test_roundings_add_up_and_shrink_with_an_average() -> None:
    numbers = [read_rounded(text) for text in ("1.0", "2.0", "-0.30")]
    assert add_up(numbers) == Rounded(Fraction("2.7"), Fraction("0.105"))
    assert average(numbers).rounding == Fraction("0.035")
    assert (numbers[0] - numbers[2]) == Rounded(Fraction("1.3"), Fraction("0.055"))


def test_two_numbers_meet_where_one_number_can_be_rounded_to_both() -> None:
    assert read_rounded("0.14").meets(read_rounded("0.1"))
    assert read_rounded("0.15").meets(read_rounded("0.1"))
    assert not read_rounded("0.16").meets(read_rounded("0.1"))
    assert not read_rounded("7").meets(read_rounded("8"))


def test_the_bounds_of_a_share_are_those_of_the_extremes() -> None:
    share = read_rounded("1.0").over(read_rounded("3.0"))
    assert share.value == Fraction(1, 4)
    lowest, highest = Fraction("0.95") / Fraction("4.0"), Fraction("1.05") / Fraction("4.0")
    assert share.rounding == max(share.value - lowest, highest - share.value)
