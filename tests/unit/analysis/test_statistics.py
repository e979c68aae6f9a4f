"""Means and standard errors against numbers computed by hand."""

import math

import pytest

from mixlab.analysis.statistics import Estimate, Replicate, compare, estimate_seeds, group_error, item_error


def sft(*means: float | None) -> list[Replicate]:
    return [Replicate(0, 0, seed, mean) for seed, mean in enumerate(means)]


def estimate(mean: float, se_seeds: float | None, se_items: float | None) -> Estimate:
    return Estimate(mean, se_seeds, "sft_seed", 3, se_items, 50)


def test_the_error_over_seeds_is_the_sample_deviation_over_the_root_of_their_number():
    # mean .5, deviations -.1 0 .1, variance .02 / 2 = .01, error .1 / sqrt(3)
    mean, error, level, count = estimate_seeds(sft(0.4, 0.5, 0.6))
    assert (mean, error) == (pytest.approx(0.5), pytest.approx(0.1 / math.sqrt(3)))
    assert (level, count) == ("sft_seed", 3)


def test_one_seed_has_a_mean_but_no_error_over_seeds():
    assert estimate_seeds(sft(0.4)) == (0.4, None, None, 1)


def test_two_ipt_seeds_are_the_unit_even_when_each_has_sft_seeds():
    # IPT 0: .2 .4 -> .3; IPT 1: .6 .8 1.0 -> .8; mean .55, deviation .25 * sqrt(2), error .25
    replicates = [Replicate(0, 0, 0, 0.2), Replicate(0, 0, 1, 0.4)]
    replicates += [Replicate(0, 1, seed, mean) for seed, mean in enumerate((0.6, 0.8, 1.0))]
    mean, error, level, count = estimate_seeds(replicates)
    assert (mean, error) == (pytest.approx(0.55), pytest.approx(0.25))
    assert (level, count) == ("ipt_seed", 2)


def test_mixture_seeds_stand_outside_ipt_seeds():
    replicates = [Replicate(mixture, ipt, None, 0.1 * mixture) for mixture in (1, 2, 3) for ipt in (0, 1)]
    assert estimate_seeds(replicates)[2:] == ("mixture_seed", 3)


def test_a_model_without_any_score_is_not_averaged_as_zero():
    assert estimate_seeds(sft(0.4, None, 0.6))[0] == pytest.approx(0.5)
    assert estimate_seeds(sft(None)) == (None, None, None, 0)


def test_none_of_ten_correct_still_has_an_error_over_items():
    # p' = 1/12, sqrt(1/12 * 11/12 / 12) = sqrt(11/1728)
    assert item_error("accuracy", [0.0] * 10) == pytest.approx(math.sqrt(11 / 1728))


def test_half_of_eight_correct_has_the_adjusted_binomial_error():
    # p' = 5/10, sqrt(.25 / 10)
    assert item_error("accuracy", [0.0, 1.0] * 4) == pytest.approx(math.sqrt(0.025))


def test_judge_scores_have_the_error_of_a_mean_and_none_when_all_are_equal():
    assert item_error("judge_score", [1.0, 3.0, 5.0, 7.0]) == pytest.approx(math.sqrt(20 / 3) / 2)
    assert item_error("judge_score", [4.0, 4.0]) is None
    assert item_error("judge_score", [4.0]) is None


def test_the_error_of_an_even_mean_of_benchmarks_adds_squares():
    assert group_error([0.03, 0.04]) == pytest.approx(0.025)
    assert group_error([0.03, None]) is None


def test_a_difference_takes_the_larger_error_of_each_side():
    result = compare(estimate(0.9, 0.03, 0.01), estimate(0.2, 0.0, 0.04), at_least=0.3)
    assert result.standard_error == pytest.approx(0.05)
    assert result.se_seeds == pytest.approx(0.03)
    assert result.ratio == pytest.approx(14)
    assert result.verdict == "met"


def test_seeds_that_agree_exactly_do_not_make_a_ratio_infinite():
    result = compare(estimate(1.0, 0.0, None), estimate(0.0, 0.0, None), at_least=0.3)
    assert (result.ratio, result.verdict) == (None, "not estimable")


def test_a_claim_about_one_seed_is_met_on_items_only():
    result = compare(estimate(0.9, None, 0.03), estimate(0.2, 0.01, 0.04), at_least=0.3)
    assert (result.se_seeds, result.verdict) == (None, "met on items only")


@pytest.mark.parametrize(("better", "error"), [(0.5, 0.01), (0.55, 0.2)])
def test_a_claim_fails_when_the_difference_is_too_small_or_too_uncertain(better, error):
    assert compare(estimate(better, error, error), estimate(0.2, 0.01, 0.01), at_least=0.31).verdict == "not met"


def test_a_difference_equal_to_the_claim_meets_it_despite_binary_rounding():
    assert 0.7 - 0.4 < 0.3
    assert compare(estimate(0.7, 0.01, 0.01), estimate(0.4, 0.01, 0.01), at_least=0.3).verdict == "met"


def test_a_side_that_was_not_run_is_missing():
    assert compare(None, estimate(0.2, 0.0, 0.01), at_least=0.3).verdict == "missing"
