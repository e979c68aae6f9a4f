"""Agreement of labels with people's: known values, and bounds that must hold."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlab.evaluation.agreement import measure_agreement

NAMES = ("code", "math", "reasoning")
TABLE = ((10, 5, 1), (2, 20, 3), (4, 0, 15))


def spread(table: tuple[tuple[int, ...], ...]) -> tuple[list[int], list[int]]:
    """Turn a table of counts into two lists of labels."""
    cells = [
        (row, column) for row, counts in enumerate(table) for column, count in enumerate(counts) for _ in range(count)
    ]
    return [row for row, _ in cells], [column for _, column in cells]


def test_the_figures_are_those_of_statsmodels() -> None:
    """cohens_kappa and proportion_confint(method="wilson") of statsmodels 0.15 gave these for the same table."""
    result = measure_agreement(*spread(TABLE), NAMES)
    assert (result.items, result.accuracy) == (60, 0.75)
    assert result.kappa == pytest.approx(0.6183206106870229, abs=1e-12)
    assert result.kappa_standard_error == pytest.approx(0.08446255493649132, abs=1e-12)
    assert result.accuracy_interval == pytest.approx((0.6276792981955739, 0.8422347752873125), abs=1e-6)


def test_recall_and_precision_are_told_by_category() -> None:
    code = measure_agreement(*spread(TABLE), NAMES).categories["code"]
    assert (code.by_hand, code.by_label, code.recall, code.precision) == (16, 16, 10 / 16, 10 / 16)


def test_the_table_has_the_hand_labels_as_rows() -> None:
    assert measure_agreement(*spread(TABLE), NAMES).confusion.tolist() == [list(row) for row in TABLE]


def test_full_agreement_is_one_and_a_category_that_nobody_used_has_no_share() -> None:
    result = measure_agreement([0, 1, 0], [0, 1, 0], NAMES)
    assert (result.accuracy, result.kappa, result.kappa_standard_error) == (1, 1, 0)
    assert (result.categories["reasoning"].recall, result.categories["reasoning"].precision) == (None, None)


def test_kappa_is_undefined_where_all_lies_in_one_category() -> None:
    result = measure_agreement([1, 1], [1, 1], NAMES)
    assert (result.accuracy, result.kappa, result.kappa_standard_error) == (1, None, None)


def test_a_constant_labeller_agrees_by_chance_alone() -> None:
    assert measure_agreement([0, 0, 1, 2], [0, 0, 0, 0], NAMES).kappa == 0


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="0 items by hand"):
        measure_agreement([], [], NAMES)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_the_figures_keep_their_bounds(pairs: list[tuple[int, int]]) -> None:
    result = measure_agreement([one for one, _ in pairs], [other for _, other in pairs], NAMES)
    low, high = result.accuracy_interval
    assert 0 <= low <= result.accuracy + 1e-12 and result.accuracy - 1e-12 <= high <= 1
    if result.kappa is not None and result.kappa_standard_error is not None:
        assert -1 <= result.kappa <= 1 + 1e-12
        assert math.isfinite(result.kappa_standard_error)
