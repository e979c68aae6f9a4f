"""Which seeds are the units of a claim."""

import math

import pytest

from mixlab.analysis.claim_levels import build_sample
from mixlab.analysis.statistics import Replicate


def test_sft_seeds_of_one_ipt_run_are_units_of_these_models_and_say_nothing_of_the_recipe():
    replicates = [Replicate(1, 1, seed, mean) for seed, mean in ((1, 0.5), (2, 0.7))]
    models, recipe = (build_sample(replicates, level) for level in ("these models", "this recipe"))
    assert (models.units, models.obstacle) == ({(1, 1): {1: 0.5, 2: 0.7}}, "")
    assert recipe.obstacle.startswith("one IPT seed")
    assert recipe.units == {(): {1: pytest.approx(0.6)}}


def test_ipt_runs_are_units_of_the_recipe_and_blocks_of_these_models():
    replicates = [Replicate(1, ipt, sft, ipt + sft / 10) for ipt in (1, 2) for sft in (1, 2)]
    models, recipe = (build_sample(replicates, level) for level in ("these models", "this recipe"))
    assert models.to_array().ravel() == pytest.approx([1.1, 1.2, 2.1, 2.2])
    assert recipe.units == {(): {1: pytest.approx(1.15), 2: pytest.approx(2.15)}}
    assert (models.unit, recipe.unit) == ("sft_seed", "ipt_seed")


def test_mixture_seeds_are_the_units_where_they_vary_and_ipt_seeds_lie_within():
    replicates = [Replicate(mixture, ipt, None, mixture + ipt) for mixture in (1, 2) for ipt in (1, 3)]
    found = build_sample(replicates, "this recipe")
    assert (found.unit, found.units) == ("mixture_seed", {(): {1: 3.0, 2: 4.0}})


def test_before_sft_nothing_varies_but_items():
    assert (
        build_sample([Replicate(1, 1, None, 0.5)], "these models").obstacle
        == "no SFT, so no SFT seeds: items alone vary"
    )
    assert build_sample([Replicate(1, 1, 2, 0.5)], "these models").obstacle == "one SFT seed: items alone vary"


def test_a_served_model_has_no_recipe():
    assert build_sample([Replicate(None, None, None, 0.5)], "this recipe").obstacle == "no IPT"


@pytest.mark.parametrize("gone", [None, math.nan])
def test_a_model_without_scores_is_lost_and_counted(gone):
    found = build_sample([Replicate(1, 1, 1, gone), Replicate(1, 1, 2, 0.5), Replicate(1, 1, 3, 0.7)], "these models")
    assert (found.count, found.lost, found.obstacle) == (2, 1, "")


def test_no_scores_at_all_are_an_obstacle():
    assert build_sample([Replicate(1, 1, 1, None)], "these models").obstacle == "no scores"


def test_blocks_of_different_size_are_padded_with_nothing():
    replicates = [Replicate(1, 1, 1, 0.1), Replicate(1, 1, 2, 0.2), Replicate(1, 2, 1, 0.3)]
    laid = build_sample(replicates, "these models").to_array()
    assert laid[0].tolist() == [0.1, 0.2]
    assert (laid[1][0], math.isnan(laid[1][1])) == (0.3, True)


def test_sides_match_when_they_have_the_same_seeds_in_the_same_runs():
    first, same, other = (
        build_sample([Replicate(1, 1, seed, at) for at, seed in enumerate(seeds)], "these models")
        for seeds in ((1, 2), (2, 1), (1, 3))
    )
    assert (first.matches(same), first.matches(other)) == (True, False)
