"""Which mixtures cannot be told from the best."""

import pytest
from scipy import stats

from mixlab.analysis.cells import Cell
from mixlab.analysis.ranking import build_rankings
from mixlab.analysis.statistics import Estimate, Replicate

BASES = dict.fromkeys("abcd", "base")


def cell(variant, means, benchmark="gsm8k", **changes):
    replicates = tuple(Replicate(1, 1, seed, mean) for seed, mean in enumerate(means))
    known = [mean for mean in means if mean is not None]
    mean = sum(known) / len(known) if known else None
    fields = {"measure": "accuracy", "language": "en", "category": "math", "judge": None, **changes}
    estimate = Estimate(mean, None, "sft_seed", len(known), 0.1, 10)
    return Cell(
        variant, "after_sft", benchmark, estimate=estimate, replicates=replicates, n_answers=10, n_unparsed=0, **fields
    )


def rank(*cells, bases=BASES, level="these models"):
    return [one for one in build_rankings(cells, bases) if one.level == level]


def test_a_mixture_far_behind_is_told_from_the_best_and_a_near_one_is_not():
    values = {"a": [0.80, 0.81, 0.82, 0.83], "b": [0.79, 0.83, 0.80, 0.82], "c": [0.20, 0.22, 0.21, 0.23]}
    best, near, far = rank(*(cell(name, means) for name, means in values.items()))
    assert [(one.rank, one.variant_key, one.standing) for one in (best, near, far)] == [
        (1, "a", "best"),
        (2, "b", "not told from the best"),
        (3, "c", "behind the best"),
    ]
    # the smallest of the three p-values, or the second: times 3, or times 2
    p = [stats.ttest_rel(values[name], values["c"]).pvalue for name in "ab"]
    assert far.p_holm == pytest.approx(3 * p[0] if p[0] < p[1] else max(3 * p[1], 2 * p[0]))
    assert (far.pairs, far.behind_best) == (3, pytest.approx(0.815 - 0.215))


def test_one_ipt_run_says_nothing_of_recipes():
    rows = rank(cell("a", [0.8, 0.9]), cell("b", [0.1, 0.2]), level="this recipe")
    assert [one.standing for one in rows] == ["highest mean, not estimable", "not estimable"]
    assert rows[1].note.startswith("not estimable: one IPT seed")


def test_base_models_are_ranked_apart_and_one_point_is_no_ranking():
    assert rank(cell("a", [0.8, 0.9]), cell("b", [0.1, 0.2]), bases={"a": "one", "b": "two"}) == []


def test_a_point_that_lacks_a_benchmark_or_its_scores_is_not_ranked_on_it():
    cells = [cell("a", [0.8, 0.9]), cell("b", [0.1, 0.2]), cell("a", [0.5, 0.6], "mgsm_ja"), cell("c", [None, None])]
    rows = {(one.benchmarks, one.variant_key): one for one in rank(*cells)}
    both = ("gsm8k", "mgsm_ja")
    assert rows[both, "b"].note == "missing: ran 1 of 2 benchmarks"
    assert (rows[both, "b"].rank, rows[both, "b"].mean) == (None, None)
    assert rows[("gsm8k",), "c"].note == "missing: no scores"
    assert rows[both, "a"].standing == "highest mean, not estimable"


def test_the_highest_mean_that_is_told_from_nothing_is_not_called_best():
    near = {"a": [0.80, 0.81, 0.85], "b": [0.79, 0.83, 0.80], "c": [0.78, 0.84, 0.80]}
    rows = rank(*(cell(name, means) for name, means in near.items()))
    assert [one.standing for one in rows] == ["highest mean, not told from 2", *["not told from the best"] * 2]
    equal = rank(*(cell(name, [mean] * 3) for name, mean in (("a", 0.8), ("b", 0.7))))
    assert [one.standing for one in equal] == ["highest mean, not estimable", "not estimable"]


@pytest.mark.parametrize("names", ["abcd", "dcba"])
def test_equal_means_have_equal_ranks_whatever_their_keys(names):
    one, other, third, last = names
    # the sums of the first two differ by rounding
    values = {one: [0.1, 0.2, 0.6], other: [0.6, 0.2, 0.1], third: [0.1, 0.1, 0.1], last: [0.1, 0.1, 0.1]}
    rows = {row.variant_key: row for row in rank(*(cell(name, means) for name, means in values.items()))}
    assert [(rows[name].rank, rows[name].standing) for name in (one, other)] == [(1, "shares the highest mean")] * 2
    assert [rows[name].rank for name in (third, last)] == [3, 3]
    assert [rows[name].behind_best for name in (one, other)] == [0.0, 0.0]
    assert rows[third].p_holm == rows[last].p_holm
    assert {row.standing for row in rows.values()} == {"shares the highest mean", "not told from the best"}


def test_a_point_is_behind_the_best_where_it_is_told_from_all_that_share_the_highest_mean():
    values = {"a": [0.80, 0.81, 0.82, 0.83], "b": [0.50, 0.96, 0.90, 0.90], "c": [0.70, 0.71, 0.72, 0.74]}
    rows = {row.variant_key: row for row in rank(*(cell(name, means) for name, means in values.items()))}
    assert (rows["a"].rank, rows["b"].rank, rows["c"].rank) == (1, 1, 3)
    assert rows["c"].standing == "not told from the best"
    assert rows["c"].p_holm > 0.05


def test_means_of_nothing_right_are_all_first():
    rows = rank(*(cell(name, [0.0, 0.0, 0.0]) for name in "abcd"))
    assert [(row.rank, row.standing) for row in rows] == [(1, "shares the highest mean")] * 4


def test_scores_of_two_judges_are_never_ranked_together():
    judged = {"measure": "judge_score", "category": None}
    cells = [
        cell(name, [5.0, 6.0], talk, **judged, judge=judge) for name in "ab" for talk, judge in (("t", "x"), ("u", "y"))
    ]
    assert {one.benchmarks for one in rank(*cells)} == {("t",), ("u",)}


def test_a_lost_seed_that_turns_a_test_round_makes_nobody_best():
    # over the seeds that both have, b is ahead of a, and surely so
    first, last = rank(cell("a", [0.50, 0.51, 0.95]), cell("b", [0.55, 0.565]))
    assert (first.variant_key, first.standing) == ("a", "highest mean, not told from 1")
    assert (last.standing, last.behind_best) == ("not told from the best", pytest.approx(0.653333 - 0.5575, abs=1e-6))
    assert last.p_holm < 0.05
    assert last.note == (
        "paired over the 2 seeds that both have, of 3 and 2; ahead of the best over the seeds that both have"
    )
