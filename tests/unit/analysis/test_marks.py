"""Best and second-best are marked only where seeds tell them apart."""

import pandas as pd

from mixlab.analysis.marks import P_VALUES, choose_marks, compare_with_best


def test_best_and_second_are_marked_where_everything_below_is_told_apart() -> None:
    units = {"a": [9.0, 9.1, 8.9], "b": [5.0, 5.1, 4.9], "c": [1.0, 1.1, 0.9], "d": [1.05, 1.15, 0.95]}
    assert choose_marks(compare_with_best(units)) == {"a": "best", "b": "second"}


def test_a_best_that_is_not_told_apart_from_the_second_marks_nothing() -> None:
    units = {"a": [9.0, 9.4, 8.6], "b": [8.9, 9.3, 8.5], "c": [1.0, 1.1, 0.9]}
    assert choose_marks(compare_with_best(units)) == {}


def test_one_seed_or_no_variation_tells_nothing_apart() -> None:
    assert compare_with_best({"a": [9.0], "b": [1.0, 1.1]}).empty
    assert choose_marks(compare_with_best({"a": [9.0, 9.0], "b": [1.0, 1.0]})) == {}
    # the mean of three times 0.1 is not 0.1, which is no variation
    rounded = compare_with_best({"a": [0.1] * 3, "b": [0.2] * 3, "c": [0.3] * 3})
    assert rounded["p"].isna().all()
    assert choose_marks(rounded) == {}


def test_p_values_are_adjusted_over_all_comparisons_of_the_column() -> None:
    units = {"a": [9.0, 9.1, 8.9], "b": [8.0, 8.3, 7.9], "c": [7.0, 7.4, 6.9]}
    found = compare_with_best(units)
    assert [tuple(row) for row in found[["better", "worse"]].to_numpy()] == [("a", "b"), ("a", "c"), ("b", "c")]
    alone = compare_with_best({name: units[name] for name in ("a", "b")})
    assert found["p"].iloc[0] > alone["p"].iloc[0]


def test_a_frame_of_p_values_from_elsewhere_can_be_marked() -> None:
    frame = pd.DataFrame([("a", "b", 0.04), ("a", "c", 0.01), ("b", "c", 0.2)], columns=P_VALUES)
    assert choose_marks(frame) == {"a": "best"}
    assert choose_marks(frame, level=0.01) == {}
