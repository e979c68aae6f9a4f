"""Relative improvement from before to after SFT, by hand."""

import math

import pytest
from scipy import stats

from mixlab.analysis.cells import Cell
from mixlab.analysis.relative import build_improvements
from mixlab.analysis.statistics import Estimate, Replicate

NOTHING = Estimate(None, None, None, 0, None, 0)


def cell(stage, means, benchmark="gsm8k", judge=None):
    """`means`: (IPT seed, SFT seed) -> mean."""
    replicates = tuple(Replicate(1, ipt, sft, mean) for (ipt, sft), mean in means.items())
    return Cell("v", stage, benchmark, "accuracy", "en", "math", judge, NOTHING, replicates, 1, 0)


def before(means, benchmark="gsm8k"):
    return cell("before_sft", {(ipt, None): mean for ipt, mean in means.items()}, benchmark)


def after(means, benchmark="gsm8k"):
    return cell("after_sft", means, benchmark)


def find(improvements, **wanted):
    (one,) = [one for one in improvements if all(getattr(one, name) == value for name, value in wanted.items())]
    return one


def test_one_ipt_run_has_an_interval_over_sft_seeds():
    found = build_improvements([before({1: 0.2}), after({(1, 1): 0.25, (1, 2): 0.3, (1, 3): 0.35})])
    one = find(found, level="these models")
    assert (one.before, one.after, one.improvement) == pytest.approx((0.2, 0.3, 0.5))
    half = stats.t.ppf(0.975, 2) * 0.25 / math.sqrt(3)
    assert (one.low, one.high) == pytest.approx((0.5 - half, 0.5 + half))
    recipe = find(found, level="this recipe")
    assert (recipe.low, recipe.improvement) == (None, pytest.approx(0.5))
    assert recipe.note.startswith("no interval: one IPT seed")


def test_of_averages_and_average_of_are_two_numbers():
    cells = [
        before({1: 0.1}), after({(1, 1): 0.3, (1, 2): 0.3}),
        before({1: 0.5}, "mgsm_ja"), after({(1, 1): 0.5, (1, 2): 0.6}, "mgsm_ja"),
    ]  # fmt: skip
    found = build_improvements(cells)
    both = {"benchmarks": ("gsm8k", "mgsm_ja"), "level": "these models"}
    # (.3 + .55) / (.1 + .5) - 1, and the mean of 2 and .1
    assert find(found, averaging="of averages", **both).improvement == pytest.approx(0.85 / 0.6 - 1)
    assert find(found, averaging="average of", **both).improvement == pytest.approx((2.0 + 0.1) / 2)


def test_ipt_runs_make_before_and_after_vary_together():
    found = build_improvements([before({1: 0.2, 2: 0.4}), after({(1, 1): 0.3, (1, 2): 0.3, (2, 1): 0.5, (2, 2): 0.5})])
    one = find(found, level="this recipe")
    # .8 / .6 - 1; each run's part beyond the ratio: (.3 - 4/3 * .2) / .3 = .1111 and -.1111
    assert one.improvement == pytest.approx(0.8 / 0.6 - 1)
    half = stats.t.ppf(0.975, 1) * (0.1 / 3 / 0.3)
    assert (one.high - one.low) / 2 == pytest.approx(half)
    assert (one.unit, one.n) == ("ipt_seed", 2)


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ([before({1: 0.0}), after({(1, 1): 0.3, (1, 2): 0.2})], "not estimable: 0 before SFT"),
        (
            [before({1: 0.1, 2: 0.1}), after({(1, 1): 0.3, (1, 2): 0.2})],
            "missing: not the same IPT runs before and after SFT",
        ),
        ([before({1: None}), after({(1, 1): 0.3, (1, 2): 0.2})], "missing: a benchmark lacks the scores of a model"),
        ([before({1: 0.1}), after({(1, 1): 0.3, (1, 2): 0.3})], "no interval: seeds do not differ"),
    ],
)  # fmt: skip
def test_what_there_is_no_interval_of_says_why(cells, note):
    one = find(build_improvements(cells), level="these models")
    assert (one.low, one.note) == (None, note)


def test_a_benchmark_that_one_stage_lacks_is_missing_and_not_averaged_over():
    found = build_improvements([before({1: 0.1}), after({(1, 1): 0.3}), after({(1, 1): 0.5}, "mgsm_ja")])
    one = find(found, benchmarks=("gsm8k", "mgsm_ja"), averaging="of averages", level="these models")
    assert (one.improvement, one.note) == (None, "missing: not every benchmark was run before and after SFT")


def test_a_point_that_was_scored_after_sft_alone_has_no_improvement():
    assert build_improvements([after({(1, 1): 0.3})]) == []


def test_scores_by_two_judges_are_never_averaged():
    judged = [
        cell(stage, means, benchmark, judge)
        for benchmark, judge in (("talk", "x"), ("chat", "y"))
        for stage, means in (("before_sft", {(1, None): 4.0}), ("after_sft", {(1, 1): 5.0, (1, 2): 6.0}))
    ]
    assert {one.benchmarks for one in build_improvements(judged)} == {("talk",), ("chat",)}
