"""Scores item by item, from tidy rows."""

import math

import numpy as np
import pandas as pd
import pytest

from mixlab.analysis.items import (
    ItemScores,
    arrange,
    build_item_scores,
    build_judgings,
    count_once,
    keep_known,
    subtract_items,
)
from mixlab.config.analysis import Selection

JUDGED = Selection(measure="judge_score")


def rows(scores, variant="v", seed=1, run=1, benchmark="talk", **changes):
    """Rows of one judging of one model: item -> score."""
    shared = {
        "variant_key": variant,
        "stage": "after_sft",
        "benchmark": benchmark,
        "measure": "judge_score",
        "language": "en",
        "category": None,
        "mixture_seed": 1,
        "ipt_seed": 1,
        "sft_seed": seed,
        "turn": 1,
        "generation_seed": 1,
        "judge_run": run,
        "verdict_id": None,
        **changes,
    }
    return [{**shared, "item": item, "score": score} for item, score in scores.items()]


def frame(*parts):
    return pd.DataFrame([row for part in parts for row in part])


def test_equal_answers_of_two_generation_seeds_are_one_verdict_and_two_judge_runs_never_are():
    drawn = frame(
        *(
            rows({"a": 3.0}, run=run, generation_seed=seed, verdict_id=f"same-{run}")
            for seed in (1, 2) for run in (1, 2)
        )
    )  # fmt: skip
    assert drawn["verdict_id"].nunique() == 2
    assert count_once(drawn)[["generation_seed", "judge_run"]].to_numpy().tolist() == [[1, 1], [1, 2]]
    # the second set of answers says nothing of its own, and is no judging
    assert build_judgings(drawn, "v", "after_sft", JUDGED).tolist() == [3.0, 3.0]


def test_a_judging_that_shares_some_verdicts_is_of_all_items():
    drawn = frame(
        rows({"a": 1.0}, verdict_id="x"), rows({"b": 3.0}, verdict_id="y"),
        rows({"a": 1.0}, generation_seed=2, verdict_id="x"), rows({"b": 9.0}, generation_seed=2, verdict_id="z"),
    )  # fmt: skip
    assert build_judgings(drawn, "v", "after_sft", JUDGED).tolist() == [2.0, 5.0]


def test_equal_answers_of_two_models_and_rows_without_a_verdict_stay():
    whole = frame(
        rows({"a": 3.0}, seed=1, verdict_id="x"), rows({"a": 3.0}, seed=2, verdict_id="x"),
        rows({"a": 3.0}, run=1), rows({"a": 3.0}, run=2),
    )  # fmt: skip
    assert len(count_once(whole)) == 4


def test_items_are_averaged_over_judgings_within_each_model():
    (found,) = build_item_scores(
        frame(
            rows({"b": 1.0, "a": 2.0}, run=1), rows({"b": 3.0, "a": math.nan}, run=2),
            rows({"a": 5.0, "b": 6.0}, seed=2),
        ),
        "v", "after_sft", JUDGED,
    )  # fmt: skip
    assert (found.items, found.models, found.repeats) == (("a", "b"), ((1, 1, 1), (1, 1, 2)), 2)
    assert found.scores.tolist() == [[2.0, 2.0], [5.0, 6.0]]


def test_differences_are_of_items_that_both_points_were_asked():
    parts = (rows({"a": 2.0, "b": 4.0}), rows({"a": 1.0, "b": math.nan}, "w"))
    both = [build_item_scores(frame(*parts), key, "after_sft", JUDGED) for key in ("v", "w")]
    (found,) = subtract_items(*both)
    assert found.tolist() == [1.0]
    other = build_item_scores(frame(rows({"a": 2.0, "c": 4.0})), "v", "after_sft", JUDGED)
    assert subtract_items(both[0], other) is None


def test_judgings_are_means_over_items_and_then_over_benchmarks():
    whole = frame(
        rows({"a": 1.0, "b": 3.0}, run=1), rows({"a": 5.0, "b": 5.0}, run=2),
        rows({"a": 4.0}, run=1, benchmark="more"), rows({"a": 7.0}, run=2, benchmark="more"),
        rows({"a": 9.0}, seed=2, run=1),
    )  # fmt: skip
    # the second seed lacks a benchmark
    assert build_judgings(whole, "v", "after_sft", JUDGED).tolist() == [3.0, 6.0]


@pytest.fixture
def crossed():
    """Two IPT runs of two SFT seeds, three items; scores are ipt, sft, item as digits."""
    models = tuple((1, ipt, sft) for ipt in (1, 2) for sft in (1, 2))
    scores = np.array([[100 * ipt + 10 * sft + item for item in (1, 2, 3)] for _, ipt, sft in models], dtype=float)
    return ItemScores("talk", models, ("a", "b", "c"), scores, 1)


def test_models_are_laid_out_in_blocks_of_ipt_runs(crossed):
    laid = arrange(crossed, "sft_seed")
    assert laid.shape == (2, 2, 3)
    assert laid[1, 0].tolist() == [211, 212, 213]


def test_ipt_runs_are_the_means_of_their_sft_seeds(crossed):
    laid = arrange(crossed, "ipt_seed")
    assert laid.shape == (1, 2, 3)
    assert laid[0, 0].tolist() == [116, 117, 118]


def test_runs_with_different_numbers_of_seeds_are_not_laid_out(crossed):
    lacking = ItemScores("talk", crossed.models[:3], crossed.items, crossed.scores[:3], 1)
    assert arrange(lacking, "sft_seed") is None


def test_an_item_without_a_score_anywhere_is_left_out_everywhere():
    a, b = np.array([[1.0, np.nan, 3.0]]), np.array([[1.0, 2.0, 3.0], [np.nan, 2.0, 3.0]])
    kept = keep_known(a, b)
    assert (kept[0].tolist(), kept[1].tolist()) == ([[3.0]], [[3.0], [3.0]])
