"""Figures of a judge's bias, from ratings made up so that each is known."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlab.analysis.judge_bias import (
    BiasFigure,
    build_judge_bias,
    list_answers,
    read_judge_bias,
    write_judge_bias,
)
from mixlab.config.judging import RULE_LABEL

JUDGE = "gpt-4o (temperature 0, seed 0)"
OWN = [("v0", "after_sft")]
Rate = Callable[[int, int, int, int], float]
"""Of model, item, turn, run."""


def rows(
    rate: Rate,
    length: Callable[[int, int, int], int],
    *,
    models: int = 4,
    items: int = 12,
    runs: tuple[int, ...] = (1, 2),
    judge: str = JUDGE,
) -> Iterator[dict[str, object]]:
    for model in range(models):
        for item in range(items):
            for turn in (1, 2):
                for run in runs:
                    score = rate(model, item, turn, run)
                    yield {
                        "variant_key": f"v{model}", "stage": "after_sft", "benchmark": "talk", "judge": judge,
                        "measure": "judge_score", "model_key": f"m{model}", "generate_key": f"g{model}",
                        "item": str(item), "turn": turn, "judge_run": run, "score": score,
                        "verdict_id": f"{model}-{item}-{turn}-{run}", "truncated": length(model, item, turn) > 900,
                        "response_characters": length(model, item, turn),
                    }  # fmt: skip


def frame(rate: Rate, length: Callable[[int, int, int], int], **options: object) -> pd.DataFrame:
    return pd.DataFrame(list(rows(rate, length, **options)))  # type: ignore[arg-type]


def some_length(model: int, item: int, turn: int) -> int:
    return 50 + (model * 37 + item * 101 + turn * 53) % 400


def find(figures: list[BiasFigure], name: str) -> BiasFigure:
    (found,) = [one for one in figures if one.figure == name]
    return found


def test_a_judge_that_rates_by_length_has_correlation_1() -> None:
    """However it does: ranks alone count."""
    found = build_judge_bias(frame(lambda *at: math.log(some_length(*at[:3])), some_length), ())
    for name in ("length", "length_within_items"):
        one = find(found, name)
        assert (one.value, one.low, one.high) == (1, 1, 1)
        assert (one.n, one.of, one.n_items) == (96, 96, 12)
    shorter = build_judge_bias(frame(lambda *at: 10 - some_length(*at[:3]) / 100, some_length), ())
    assert find(shorter, "length_within_items").value == -1


def test_a_judge_that_does_not_rate_by_length_has_an_interval_around_0() -> None:
    drawn = np.random.default_rng(7).integers(1, 11, (4, 12, 3, 3))
    found = build_judge_bias(frame(lambda *at: float(drawn[at]), some_length), ())
    for name in ("length", "length_within_items"):
        one = find(found, name)
        assert one.low is not None and one.high is not None
        assert -0.4 < one.low < 0 < one.high < 0.4


def test_the_order_of_rows_changes_nothing() -> None:
    drawn = np.random.default_rng(8).integers(1, 11, (4, 12, 3, 3))
    table = frame(lambda *at: math.nan if drawn[at] == 3 else float(drawn[at]), some_length)
    for seed in (1, 2):
        mixed = table.sample(frac=1, random_state=seed, ignore_index=True)
        assert build_judge_bias(mixed, [("v1", "after_sft")]) == build_judge_bias(table, [("v1", "after_sft")])


def test_equal_answers_count_once_whichever_models_gave_them() -> None:
    table = frame(lambda model, item, turn, run: 1.0 + item % 5, some_length, models=2)
    shared = table["item"] == "3"
    table.loc[shared, "verdict_id"] = [f"same-{turn}-{run}" for turn, run in zip(
        table.loc[shared, "turn"], table.loc[shared, "judge_run"], strict=True
    )]  # fmt: skip
    answers = list_answers(table)
    assert len(answers) == 2 * 12 * 2 - 2
    found = build_judge_bias(table, ())
    assert [find(found, name).of for name in ("length", "spread", "truncated", "unread")] == [46, 46, 46, 92]
    # the other 11 items have two answers to each of two turns
    assert find(found, "length_within_items").n == 44


def test_spread_is_between_runs_of_one_answer_that_every_run_rated() -> None:
    """Item 0: 4, 6, 8 (variance 4); item 1: 5, 5, 5; item 2: run 2 gave no rating."""
    given = {0: (4.0, 6.0, 8.0), 1: (5.0, 5.0, 5.0), 2: (9.0, math.nan, 1.0)}
    table = frame(lambda model, item, turn, run: given[item][run - 1], some_length, models=1, items=3, runs=(1, 2, 3))
    found = build_judge_bias(table, ())
    spread, differing = find(found, "spread"), find(found, "differing")
    assert (spread.value, spread.n, spread.of) == (pytest.approx(math.sqrt(2), abs=1e-6), 4, 6)
    assert (differing.value, differing.n, differing.of) == (0.5, 4, 6)
    unread = find(found, "unread")
    assert (unread.n, unread.of, unread.value) == (2, 18, pytest.approx(2 / 18, abs=1e-6))
    once = build_judge_bias(table[table["judge_run"] == 1], ())
    assert (find(once, "spread").value, find(once, "spread").note) == (None, "one judge run: no spread")
    never = build_judge_bias(table[(table["item"] == "2") & (table["judge_run"] < 3)], ())
    assert find(never, "differing").note == "no answer was rated in all runs"


def test_self_preference_is_paired_by_item_and_says_over_how_many() -> None:
    """The judge's own model is rated 8 + item / 100, the others 6 + item / 100 and 3 + item / 100."""
    level = {0: 8.0, 1: 6.0, 2: 3.0}

    def rate(model: int, item: int, turn: int, run: int) -> float:
        return math.nan if (model, item) == (0, 11) else level[model] + item / 100

    one = find(build_judge_bias(frame(rate, some_length, models=3), OWN), "self_preference")
    assert (one.variant_key, one.stage) == ("v0", "after_sft")
    assert (one.value, one.low, one.high) == (3.5, 3.5, 3.5)
    assert (one.n, one.of) == (11, 12)
    alone = build_judge_bias(frame(rate, some_length, models=1), OWN)
    assert find(alone, "self_preference").note == "no other model of its stage to compare with"
    figures = build_judge_bias(frame(rate, some_length, models=3), [("another", "after_sft"), ("v0", "served")])
    assert "self_preference" not in {one.figure for one in figures}


def test_a_point_counts_once_however_many_models_it_has() -> None:
    table = frame(lambda model, item, turn, run: float((9, 2, 4, 7)[model]), some_length)
    # models 1 and 2 are seeds of one point: others are (2 + 4) / 2 and 7
    table["variant_key"] = table["variant_key"].replace({"v2": "v1"})
    assert find(build_judge_bias(table, OWN), "self_preference").value == 4


def rate_stages(ratings: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Rows of points at stages, each with one rating throughout."""
    points = list(ratings)
    table = frame(lambda model, *at: ratings[points[model]], some_length, models=len(points))
    named = table["model_key"].str[1:].astype(int)
    return table.assign(variant_key=[points[at][0] for at in named], stage=[points[at][1] for at in named])


def test_a_model_is_compared_with_others_of_its_stage() -> None:
    """SFT adds 4 to both points: neither is preferred, and the judge is not the model before SFT."""
    ratings = {("own", "before_sft"): 3.0, ("own", "after_sft"): 8.0, ("x", "before_sft"): 4.0, ("x", "after_sft"): 8.0}
    one = find(build_judge_bias(rate_stages(ratings), [("own", "after_sft")]), "self_preference")
    assert (one.variant_key, one.stage, one.value, one.low, one.high) == ("own", "after_sft", 0, 0, 0)
    one = find(build_judge_bias(rate_stages(ratings), [("own", "before_sft")]), "self_preference")
    assert (one.stage, one.value) == ("before_sft", -1)
    alone = {("own", "after_sft"): 8.0, ("x", "before_sft"): 4.0, ("big", "served"): 4.0}
    one = find(build_judge_bias(rate_stages(alone), [("own", "after_sft")]), "self_preference")
    assert (one.value, one.note) == (None, "no other model of its stage to compare with")


def test_a_served_model_is_compared_with_served_ones_and_the_last_stage() -> None:
    ratings = {("big", "served"): 9.0, ("small", "served"): 7.0, ("x", "before_sft"): 1.0, ("x", "after_sft"): 4.0}
    own = [("big", "served")]
    assert find(build_judge_bias(rate_stages(ratings), own), "self_preference").value == 3.5
    del ratings["x", "after_sft"]
    assert find(build_judge_bias(rate_stages(ratings), own), "self_preference").value == 5
    del ratings["x", "before_sft"], ratings["small", "served"]
    alone = find(build_judge_bias(rate_stages(ratings), own), "self_preference")
    assert alone.note == "no other model of its stage to compare with"


def test_the_use_of_the_scale_adds_up() -> None:
    given = [10.0, 10.0, 7.5, 1.0, math.nan]
    table = frame(lambda model, item, turn, run: given[item], some_length, models=1, items=5, runs=(1,))
    shares = [one for one in build_judge_bias(table, ()) if one.figure == "rating_share"]
    assert [(one.at, one.n) for one in shares if one.n] == [(1, 2), (8, 2), (10, 4)]
    assert {one.of for one in shares} == {8} and len(shares) == 10
    assert sum(one.value or 0 for one in shares) == 1


def test_lengths_are_shown_by_fifths_and_those_cut_off_are_counted() -> None:
    table = frame(lambda model, item, turn, run: 1.0 + item, lambda model, item, turn: 100 * item, models=1, items=10)
    found = build_judge_bias(table, ())
    fifths = [one for one in found if one.figure == "length_fifth"]
    assert [(one.at, one.value, one.n) for one in fifths] == [
        (50, 1.5, 4), (250, 3.5, 4), (450, 5.5, 4), (650, 7.5, 4), (850, 9.5, 4)
    ]  # fmt: skip
    cut = find(build_judge_bias(frame(lambda *at: 5.0, lambda m, item, t: 1000 * (item == 0)), ()), "truncated")
    assert (cut.n, cut.of, cut.value) == (8, 96, pytest.approx(8 / 96, abs=1e-6))


def test_what_cannot_be_measured_is_said_and_is_never_nan(tmp_path: Path) -> None:
    equal = build_judge_bias(frame(lambda *at: 5.0, some_length), OWN)
    assert find(equal, "length").note == "all ratings are equal"
    unread = build_judge_bias(frame(lambda *at: math.nan, some_length), OWN)
    assert find(unread, "length").note == "no answers"
    assert find(unread, "self_preference").note == "no item with ratings of both"
    told = frame(lambda *at: 5.0, some_length).drop(columns=["response_characters", "truncated"])
    bare = build_judge_bias(told, OWN)
    assert find(bare, "length_within_items").note == "lengths of answers are not known"
    assert find(bare, "truncated").note == "how answers ended is not known"
    for at, figures in enumerate((equal, unread, bare)):
        for one in figures:
            assert one.value is not None or one.note, one
        (tmp_path / str(at)).mkdir()
        write_judge_bias(figures, tmp_path / str(at))
        assert "nan" not in (tmp_path / str(at) / "judge_bias.csv").read_text().lower()
        assert read_judge_bias(tmp_path / str(at)) == figures


def test_judges_and_benchmarks_stand_apart_and_a_rule_has_neither_spread_nor_answers_of_its_own() -> None:
    by_model = frame(lambda *at: float(1 + at[1] % 3), some_length)
    by_rule = frame(lambda *at: float(1 + at[0]), some_length, judge=RULE_LABEL).assign(benchmark="demo")
    scored = by_rule.assign(measure="accuracy", judge=None, benchmark="math")
    both = build_judge_bias(pd.concat([by_model, by_rule, scored], ignore_index=True), OWN)
    assert both == [*build_judge_bias(by_model, OWN), *build_judge_bias(by_rule, OWN)]
    rule = [one for one in both if one.judge == RULE_LABEL]
    assert {one.figure for one in rule} == {
        "length", "length_within_items", "length_fifth", "truncated", "rating_share", "unread"
    }  # fmt: skip
    assert {one.benchmark for one in rule} == {"demo"}
    assert build_judge_bias(scored, ()) == []
