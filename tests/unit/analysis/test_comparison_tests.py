"""Which test decides, and what every other says beside it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mixlab.analysis import comparison_tests
from mixlab.analysis.claim_levels import Sample, build_sample
from mixlab.analysis.comparison_tests import choose_primary
from mixlab.analysis.items import ItemScores
from mixlab.analysis.statistics import Replicate

MODELS, RECIPE = "these models", "this recipe"


def tuned(means, ipt=1, first=1):
    return [Replicate(1, ipt, first + at, mean) for at, mean in enumerate(means)]


def by_name(rows):
    return {row.test: row for row in rows}


def test_matching_sft_seeds_are_paired_and_ipt_runs_never_are():
    a, b = (build_sample(tuned([0.1, 0.2, 0.4]), MODELS) for _ in range(2))
    assert choose_primary(a, b, MODELS) == "paired_t"
    assert choose_primary(a, build_sample(tuned([0.1, 0.2, 0.4], first=2), MODELS), MODELS) != "paired_t"
    runs = [one for ipt in (1, 2) for one in tuned([0.1, 0.2], ipt)]
    recipe = build_sample(runs, RECIPE)
    assert choose_primary(recipe, recipe, RECIPE) == "pooled_t"


def test_many_units_have_welchs_test():
    many = Sample({(): {seed: float(seed) for seed in range(20)}}, "ipt_seed")
    assert choose_primary(many, many, RECIPE) == "welch_t"


def test_the_primary_test_comes_first_with_the_others_beside_it():
    values = [5.1, 5.5, 5.2], [5.0, 5.1, 5.05]
    rows = comparison_tests.test_seeds(*(build_sample(tuned(one), MODELS) for one in values), MODELS)
    assert rows[0].test == "paired_t"
    assert {row.test for row in rows} == {"paired_t", "welch_t", "pooled_t"}
    found = by_name(rows)
    assert found["paired_t"].role == "primary"
    assert found["paired_t"].p == pytest.approx(stats.ttest_rel(*values).pvalue)
    assert found["welch_t"].p == pytest.approx(stats.ttest_ind(*values, equal_var=False).pvalue)
    assert all(row.simulated_level is not None and row.effect_size is not None for row in rows)


def test_a_lost_seed_leaves_the_pairs_that_there_are_and_says_how_many():
    a, b = build_sample(tuned([5.1, 5.5, None]), MODELS), build_sample(tuned([5.0, 5.1, 5.05]), MODELS)
    rows = comparison_tests.test_seeds(a, b, MODELS)
    assert (rows[0].test, rows[0].role) == ("paired_t", "primary")
    assert (rows[0].n_variant, rows[0].n_against) == (2, 2)
    assert rows[0].p == pytest.approx(stats.ttest_rel([5.1, 5.5], [5.0, 5.1]).pvalue)
    said = "1 models without a score left out; paired over the 2 seeds that both have, of 2 and 3"
    assert rows[0].note.endswith(said)


def test_few_units_unequally_many_are_not_tested():
    units = ({1: 0.1, 2: 0.4}, {1: 0.2, 2: 0.3, 3: 0.5})
    rows = comparison_tests.test_seeds(*(Sample({(): one}, "ipt_seed") for one in units), RECIPE)
    assert [(row.role, row.p) for row in rows] == [("primary", None)]
    assert rows[0].note.startswith("not estimable: 2 and 3 units")
    assert rows[0].difference == pytest.approx(0.25 - 1 / 3)
    other = comparison_tests.test_seeds(
        *(Sample({(1, 1): one}, "sft_seed") for one in ({1: 1.0, 2: 2.0}, {3: 4.0, 4: 3.0})), MODELS
    )
    assert (other[0].test, other[0].note) == ("pooled_t", "takes both sides to vary alike; seeds differ: 1 2 and 3 4")


def test_runs_of_one_mixture_seed_are_not_tested_against_mixture_seeds():
    # the second mixture seed of one side was lost: its two IPT runs hold nothing of what mixture seeds vary by
    whole = [Replicate(mixture, ipt, None, mixture / 10 + ipt / 7) for mixture in (1, 2) for ipt in (1, 2)]
    (row,) = comparison_tests.test_seeds(build_sample(whole[:2], RECIPE), build_sample(whole, RECIPE), RECIPE)
    assert (row.role, row.p) == ("primary", None)
    assert row.note == (
        "not estimable: 2 IPT seeds on one side and 2 mixture seeds on the other: they do not vary by the same"
    )


def test_what_cannot_be_estimated_has_its_difference_and_the_reason():
    a, b = (build_sample(tuned([one]), RECIPE) for one in (0.5, 0.3))
    (row,) = comparison_tests.test_seeds(a, b, RECIPE)
    assert (row.role, row.p, row.difference) == ("primary", None, pytest.approx(0.2))
    assert row.note == "not estimable: one IPT seed; SFT seeds do not contain the noise of IPT"


def test_seeds_that_do_not_differ_are_not_tested():
    a, b = (build_sample(tuned([one] * 3), MODELS) for one in (0.5, 0.3))
    rows = comparison_tests.test_seeds(a, b, MODELS)
    assert {row.p for row in rows} == {None}
    assert all(row.note.startswith("not estimable: seeds do not differ") for row in rows)


@pytest.fixture
def asked():
    """Three SFT seeds of both points on 40 items of one benchmark, apart by a fifth of the items."""
    generator = np.random.default_rng(11)
    models = tuple((1, 1, seed) for seed in (1, 2, 3))
    items = tuple(f"{at:02}" for at in range(40))
    easy = np.linspace(0, 1, 40)
    return [
        [ItemScores("gsm8k", models, items, (generator.random((3, 40)) < easy + shift).astype(float), 1)]
        for shift in (0.2, 0.0)
    ]


def test_bootstrap_and_mixed_model_stand_beside_with_their_simulated_level(asked):
    samples = tuple(build_sample(tuned([float(row.mean()) for row in side[0].scores]), MODELS) for side in asked)
    found = by_name(comparison_tests.test_beside(*asked, MODELS, samples))
    difference = asked[0][0].scores.mean() - asked[1][0].scores.mean()
    for name in ("hierarchical_bootstrap", "mixed_model"):
        assert found[name].difference == pytest.approx(difference)
        assert found[name].low < difference < found[name].high
        assert found[name].role == "decides nothing"
        assert found[name].simulated_level > 0.06 or found[name].simulated_level < 0.04


def test_points_with_other_items_have_nothing_beside_them(asked):
    other = [ItemScores("gsm8k", asked[1][0].models, ("x",) * 40, asked[1][0].scores, 1)]
    samples = tuple(build_sample(tuned([0.1, 0.2, 0.3]), MODELS) for _ in range(2))
    rows = comparison_tests.test_beside(asked[0], other, MODELS, samples)
    assert [(row.role, row.p) for row in rows] == [("decides nothing", None)] * 2
    assert comparison_tests.test_items(asked[0], other, "accuracy")[0].note == "not estimable: not the same items"


def test_mcnemar_compares_one_model_with_one(asked):
    found = by_name(comparison_tests.test_items(*asked, "accuracy"))
    assert found["mcnemar"].note == "not estimable: 3 and 3 models; it compares one with one"
    assert found["item_bootstrap"].difference == pytest.approx(asked[0][0].scores.mean() - asked[1][0].scores.mean())
    single = [[ItemScores("gsm8k", ((1, 1, 1),), side[0].items, side[0].scores[:1], 1)] for side in asked]
    found = by_name(comparison_tests.test_items(*single, "accuracy"))
    a, b = (side[0].scores[0] for side in single)
    won, lost = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    assert found["mcnemar"].p == pytest.approx(stats.binomtest(won, won + lost).pvalue)
    assert found["mcnemar"].role == "over items"


def test_part_of_an_item_is_neither_right_nor_wrong(asked):
    single = [[ItemScores("gsm8k", ((1, 1, 1),), side[0].items, side[0].scores[:1], 1)] for side in asked]
    single[1][0].scores[0, 0] = 0.5
    found = by_name(comparison_tests.test_items(*single, "accuracy"))
    assert (found["mcnemar"].p, found["mcnemar"].note) == (None, "not estimable: scores are not right or wrong")
    assert found["item_bootstrap"].p is not None


def test_judge_scores_have_no_mcnemar(asked):
    assert "mcnemar" not in by_name(comparison_tests.test_items(*asked, "judge_score"))


def test_items_without_a_score_are_left_out_and_counted(asked):
    asked[0][0].scores[0, :5] = np.nan
    found = by_name(comparison_tests.test_items(*asked, "judge_score"))["item_bootstrap"]
    assert (found.n_variant, found.note) == (35, "5 items without a score left out")


def test_an_item_that_one_unit_has_no_score_for_is_drawn_in_no_resample(asked):
    whole = comparison_tests.test_beside(*_cut(asked, range(5, 40)))
    asked[0][0].scores[1, :2], asked[1][0].scores[0, 2:5] = np.nan, np.nan
    # whatever the other units say of such an item
    asked[0][0].scores[0, :2] = 100.0
    found = comparison_tests.test_beside(*_cut(asked, range(40)))
    assert [(row.difference, row.low, row.high, row.p) for row in found] == [
        (row.difference, row.low, row.high, row.p) for row in whole
    ]
    assert found[0].p is not None and found[0].high < 10


def _cut(asked, items):
    """The arguments of `test_beside` on some of the items, over three SFT seeds a side."""
    a, b = ([replace(one, items=tuple(items), scores=one.scores[:, list(items)]) for one in side] for side in asked)
    return a, b, MODELS, tuple(build_sample(tuned([0.1, 0.2, 0.3]), MODELS) for _ in range(2))


def test_the_published_test_takes_all_judgings_as_independent_and_says_n():
    a, b = np.array([5.0, 5.1, 5.2, 5.1]), np.array([4.9, 5.0, 5.0, 5.1])
    row = comparison_tests.test_judgings(a, b, 2)
    assert row.p == pytest.approx(stats.ttest_ind(a, b).pvalue)
    assert (row.role, row.n_variant, row.df) == ("as published", 4, 6)
    assert row.note == "n = 4 and 4, as if judgings of one model were independent"
    assert comparison_tests.test_judgings(a[:1], b, 1).note == "not estimable: one judging of one model"
