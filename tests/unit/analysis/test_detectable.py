"""Power and the minimum detectable effect, against scipy's noncentral t and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mixlab.analysis.detectable import Design, NoiseLevels, Plan, find_cures, find_detectable, find_power, plan_test

NOISE = NoiseLevels(ipt_seed=0.2, sft_seed=0.1, judge_run=0.05, answer=1.0)
DESIGN = Design(mixture_seeds=1, ipt_seeds=1, sft_seeds=3, generation_seeds=1, judge_runs=4, items=(100,))


@pytest.mark.parametrize(("df", "shift"), [(1, 3.0), (2, 7.5), (4, 2.0), (30, 3.0), (2000, 2.5)])
def test_power_is_that_of_the_noncentral_t(df, shift):
    plan = Plan("pooled_t", df, 0.5)
    bound = stats.t.ppf(0.975, df)
    expected = stats.nct.sf(bound, df, shift) + stats.nct.cdf(-bound, df, shift)
    assert find_power(shift / 2, plan) == pytest.approx(expected)
    assert find_power(-shift / 2, plan) == pytest.approx(expected)
    assert find_power(0.0, plan) == pytest.approx(0.05)


def test_the_detectable_effect_is_found_with_the_power_asked_for():
    for df in (1, 2, 40):
        plan = Plan("paired_t", df, 0.3)
        found = [find_power(find_detectable(plan, power), plan) for power in (0.5, 0.8, 0.95)]
        assert found == pytest.approx([0.5, 0.8, 0.95])


def test_the_error_of_these_models_by_hand():
    plan = plan_test(NOISE, DESIGN, "these models")
    # per seed .1^2 + .05^2 / 4 + 1 / (4 * 100), of a difference twice that, over 3 seeds
    assert plan == Plan("paired_t", 2, pytest.approx(math.sqrt(2 * (0.01 + 0.0025 / 4 + 1 / 400) / 3)))


def test_what_a_level_does_to_items_is_divided_as_the_level_is():
    noise = NoiseLevels(0.0, 0.0, ipt_seed_item=3.0, sft_seed_item=2.0, generation_seed_item=1.0)
    design = replace(DESIGN, ipt_seeds=2, generation_seeds=5)
    within = 4 / 100 + 1 / 5 / 100
    assert plan_test(noise, design, "these models").error == pytest.approx(math.sqrt(2 * within / 6))
    assert plan_test(noise, design, "this recipe").error == pytest.approx(math.sqrt(2 * (9 / 100 + within / 3) / 2))


def test_the_error_of_a_recipe_by_hand():
    plan = plan_test(NOISE, replace(DESIGN, ipt_seeds=2), "this recipe")
    unit = 0.04 + (0.01 + 0.0025 / 4 + 1 / 400) / 3
    assert (plan.df, plan.error) == (2, pytest.approx(math.sqrt(2 * unit / 2)))


def test_further_ipt_runs_on_one_mixture_seed_take_nothing_from_what_mixture_seeds_vary_by():
    noise = NoiseLevels(ipt_seed=1.0, sft_seed=0.5)
    one, two = (replace(DESIGN, mixture_seeds=3, ipt_seeds=count, sft_seeds=2) for count in (1, 4))
    assert plan_test(noise, one, "this recipe").error == pytest.approx(math.sqrt(2 * (1 + 0.25 / 2) / 3))
    # all of it may be of the mixture seeds: a simulation with that has this error
    made = np.random.default_rng(1)
    draws = made.normal(0, 1, (40_000, 3)) + made.normal(0, 0.5, (40_000, 3, 4 * 2)).mean(axis=2)
    expected = draws.mean(axis=1).std() * math.sqrt(2)
    assert plan_test(noise, two, "this recipe").error == pytest.approx(expected, rel=0.02)


def test_answers_of_several_benchmarks_average_out_and_their_seeds_do_not():
    quiet = replace(NOISE, sft_seed=0.0, judge_run=0.0)
    one, two = (plan_test(quiet, replace(DESIGN, items=items), "these models") for items in ((100,), (100, 100)))
    assert two.error == pytest.approx(one.error / math.sqrt(2))
    silent = replace(NOISE, answer=0.0)
    one, two = (plan_test(silent, replace(DESIGN, items=items), "these models") for items in ((100,), (100, 100)))
    assert two.error == one.error


@pytest.mark.parametrize(
    ("noise", "design", "level", "why"),
    [
        (NOISE, DESIGN, "this recipe", "one IPT seed"),
        (NOISE, replace(DESIGN, sft_seeds=1), "these models", "one SFT seed"),
        (NOISE, replace(DESIGN, tuned=False), "these models", "no SFT seeds vary"),
        (replace(NOISE, sft_seed=None), DESIGN, "these models", "the noise of SFT is not known"),
        (replace(NOISE, ipt_seed=None), replace(DESIGN, ipt_seeds=2), "this recipe", "the noise of IPT is not known"),
    ],
)
def test_a_design_that_can_test_nothing_says_why(noise, design, level, why):
    assert plan_test(noise, design, level) == why


def test_cures_are_the_fewest_that_suffice():
    found = find_cures(0.3, NOISE, DESIGN, "these models")
    for name, make in (
        ("sft_seed", lambda n: replace(DESIGN, sft_seeds=n)),
        ("ipt_seed", lambda n: replace(DESIGN, ipt_seeds=n)),
    ):
        enough, less = (plan_test(NOISE, make(found[name] - at), "these models") for at in (0, 1))
        assert find_power(0.3, enough) >= 0.8
        assert find_power(0.3, less) < 0.8


def test_no_number_of_judgings_or_items_makes_up_for_seeds():
    found = find_cures(0.3, replace(NOISE, sft_seed=1.0), DESIGN, "these models")
    assert (found["judge_run"], found["items"]) == (None, None)


def test_without_noise_everything_is_found():
    plan = plan_test(NoiseLevels(0.0, 0.0), DESIGN, "these models")
    assert (find_detectable(plan), find_power(0.1, plan), find_power(0.0, plan)) == (0.0, 1.0, 0.0)
