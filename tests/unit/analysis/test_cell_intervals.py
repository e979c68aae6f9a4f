"""Intervals of cells and their variance components, from tidy rows."""

import math

import pandas as pd
import pytest
from scipy import stats

from mixlab.analysis.cell_intervals import VARIANCE, build_intervals, write_variance
from mixlab.analysis.cells import build_cells, read_csv

NOTHING = math.nan


def rows(scores, seed, benchmark="talk", run=1, ipt=1):
    shared = {
        "variant_key": "v",
        "stage": "after_sft",
        "benchmark": benchmark,
        "measure": "judge_score",
        "language": "en",
        "category": None,
        "judge": "rule",
        "mixture_seed": 1,
        "ipt_seed": ipt,
        "sft_seed": seed,
        "generation_seed": 1,
        "judge_run": run,
        "model_key": f"model-{ipt}-{seed}",
    }
    return [{**shared, "item": str(at), "score": score, "parsed": score == score} for at, score in enumerate(scores)]


def frame(*parts):
    return pd.DataFrame([row for part in parts for row in part])


def find(intervals, **wanted):
    (one,) = [one for one in intervals if all(getattr(one, name) == value for name, value in wanted.items())]
    return one


def test_an_interval_is_students_over_the_seeds_of_its_level():
    cells = build_cells(frame(rows([4, 6], 1), rows([5, 7], 2), rows([6, 8], 3)))
    one = find(build_intervals(cells), level="these models")
    half = stats.t.ppf(0.975, 2) / math.sqrt(3)
    assert (one.mean, one.low, one.high) == pytest.approx((6, 6 - half, 6 + half))
    assert (one.n, one.unit, one.note) == (3, "sft_seed", "")
    recipe = find(build_intervals(cells), level="this recipe")
    assert (recipe.mean, recipe.low) == (6, None)
    assert recipe.note.startswith("not estimable: one IPT seed")


def test_a_cell_says_which_models_and_verdicts_it_lacks():
    cells = build_cells(
        frame(rows([4, NOTHING], 1), rows([5, 7], 2), rows([1, 1], 1, "more"), rows([2, 1], 2, "more"),
              rows([2, 2], 3, "more"))
    )  # fmt: skip
    talk = [one for one in build_intervals(cells) if one.cell.benchmark == "talk"]
    assert find(talk, level="these models").note == "2 of 3 models have scores; 1 of 4 unparsed"
    assert find(talk, level="these models").n == 2


def test_a_cell_without_a_single_score_says_so():
    cells = build_cells(frame(rows([NOTHING, NOTHING], 1), rows([NOTHING, NOTHING], 2)))
    one = find(build_intervals(cells), level="these models")
    assert (one.mean, one.n) == (None, 0)
    assert one.note == "not estimable: no scores; 0 of 2 models have scores; 4 of 4 unparsed"


def test_seeds_that_agree_have_no_interval_of_width_zero():
    one = find(build_intervals(build_cells(frame(rows([4, 6], 1), rows([6, 4], 2)))), level="these models")
    assert (one.mean, one.low, one.note) == (5, None, "not estimable: seeds do not differ")


def test_components_of_a_cell_stand_in_a_table(tmp_path):
    whole = frame(*(rows([seed + run, seed - run, 3], seed, run=run) for seed in (1, 2) for run in (1, 2)))
    write_variance(whole, tmp_path)
    found = read_csv(tmp_path / VARIANCE)
    assert [row["component"] for row in found] == ["item", "sft_seed", "sft_seed x item", "judge_run", "residual"]
    assert all(float(row["deviation"]) ** 2 == pytest.approx(float(row["variance"])) for row in found)


def test_a_cell_whose_judgings_are_not_all_there_is_not_split(tmp_path):
    write_variance(frame(rows([1, 2], 1, run=1), rows([1, 2], 1, run=2), rows([1, 2], 2, run=1)), tmp_path)
    (row,) = read_csv(tmp_path / VARIANCE)
    assert (row["component"], row["note"]) == ("", "not estimable: not every seed has every judging")


def test_items_without_a_score_are_left_out_and_said(tmp_path):
    write_variance(frame(rows([1, 2, NOTHING], 1), rows([1, 3, 5], 2)), tmp_path)
    found = read_csv(tmp_path / VARIANCE)
    assert "1 of 3 items left out, some judging has no score" in found[0]["note"]
    write_variance(frame(rows([1, NOTHING], 1), rows([1, 3], 2)), tmp_path)
    (row,) = read_csv(tmp_path / VARIANCE)
    assert row["note"] == "not estimable: 1 of 2 items scored"
