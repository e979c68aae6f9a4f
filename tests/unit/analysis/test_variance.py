"""Variance components against hand-made mean squares and a simulated truth."""

import numpy as np
import pytest

from mixlab.analysis.variance import decompose


def find(components, name):
    (one,) = [component for component in components if component.name == name]
    return one


def test_two_seeds_by_two_items_by_hand():
    # items differ by 2, seeds by 1, and one answer is off: means of seeds 1.5 and 2, of items 0.5 and 3
    values = np.array([[0.0, 3.0], [1.0, 3.0]])
    found = decompose(values, ["sft_seed"])
    # seeds: 2 * (.0625 + .0625) = .25; seed x item: four deviations of .25, squared and summed .25
    assert find(found, "residual").variance == pytest.approx(0.25)
    assert find(found, "sft_seed").variance == pytest.approx(0)
    # variance of item means (2.5 ** 2 / 2) less half of the residual
    assert find(found, "item").variance == pytest.approx(3.125 - 0.125)


def test_a_negative_estimate_is_kept_at_zero_and_said():
    found = find(decompose(np.array([[0.0, 1.0], [1.0, 0.0]]), ["sft_seed"]), "sft_seed")
    assert (found.variance, found.note) == (0.0, "estimated -0.5, kept at 0")


def test_components_of_nested_data_are_found_again():
    generator = np.random.default_rng(1)
    shape = (40, 5, 4, 60)
    truth = {"ipt_seed": 0.5, "sft_seed": 0.3, "judge_run": 0.2, "item": 1.0, "residual": 0.7}
    values = truth["item"] * generator.standard_normal((1, 1, 1, 60)) + truth["residual"] * generator.standard_normal(
        shape
    )
    for depth, name in enumerate(("ipt_seed", "sft_seed", "judge_run")):
        values = values + truth[name] * generator.standard_normal((*shape[: depth + 1], *[1] * (3 - depth)))
    values = values + 0.4 * generator.standard_normal((40, 5, 1, 60))
    found = {one.name: one.deviation for one in decompose(values, ["ipt_seed", "sft_seed", "judge_run"])}
    assert found == pytest.approx({**truth, "sft_seed x item": 0.4, "ipt_seed x item": 0.0}, rel=0.15, abs=0.05)


def test_levels_that_were_not_repeated_are_left_out_of_the_model():
    values = np.random.default_rng(2).standard_normal((1, 3, 1, 8))
    names = [one.name for one in decompose(values, ["ipt_seed", "sft_seed", "judge_run"])]
    assert names == ["item", "sft_seed", "residual"]


def test_nothing_repeated_leaves_items_alone():
    (found,) = decompose(np.array([[0.0, 1.0, 2.0]]), ["sft_seed"])
    assert (found.name, found.variance, found.units) == ("item", 1.0, 3)
    assert "nothing was repeated" in found.note


def test_a_table_without_variance_has_components_of_zero():
    assert {one.variance for one in decompose(np.ones((3, 2, 5)), ["sft_seed", "judge_run"])} == {0.0}


@pytest.mark.parametrize("values", [np.array([[1.0, np.nan]]), np.ones((2, 1)), np.ones(3)])
def test_what_is_no_complete_table_of_two_items_is_refused(values):
    with pytest.raises(ValueError, match=r"one item|all of them known"):
        decompose(values, ["sft_seed"])


def test_the_upper_limit_is_above_the_truth_in_four_of_five_pilots():
    generator, above, zero, count = np.random.default_rng(3), 0, 0, 400
    for _ in range(count):
        values = 0.2 * generator.standard_normal((4, 1, 1)) + 0.15 * generator.standard_normal((4, 3, 1))
        values = values + 0.7 * generator.standard_normal((4, 3, 30))
        found = find(decompose(values, ["ipt_seed", "sft_seed"]), "ipt_seed")
        assert (found.df, found.units) == (3, 4)
        above += found.upper >= 0.04
        zero += found.upper == 0
    # a negative estimate has the limit of its whole mean square
    assert 0.78 <= above / count <= 0.9
    assert zero == 0
