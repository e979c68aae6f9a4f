"""Cells with verdicts that could not be read, and means over several benchmarks."""

import math

import pandas as pd
import pytest

from mixlab.analysis.cells import build_cells, group_cells, read_cells, write_cells
from mixlab.config.analysis import Selection
from mixlab.config.problems import DataError

NOTHING = math.nan
JUDGE = {"measure": "judge_score", "judge": "rule judge", "category": None}


def rows(scores, seed=0, benchmark="gsm8k", **changes):
    """One row per score; a list inside stands for several answers to one item."""
    answers = [(item, one) for item, got in enumerate(scores) for one in (got if isinstance(got, list) else [got])]
    shared = {
        "variant_key": "v",
        "stage": "after_sft",
        "benchmark": benchmark,
        "measure": "accuracy",
        "language": "en",
        "category": "math",
        "judge": None,
        "mixture_seed": 0,
        "ipt_seed": 0,
        "sft_seed": seed,
        "model_key": f"model-{seed}",
        **changes,
    }
    return [{**shared, "item": str(item), "score": score, "parsed": score == score} for item, score in answers]


def cells(*parts):
    return build_cells(pd.DataFrame([row for part in parts for row in part]))


def test_an_item_counts_once_however_many_of_its_answers_could_be_read():
    (cell,) = cells(rows([[8.0, NOTHING], [2.0, 4.0]], **JUDGE))
    assert cell.estimate.mean == pytest.approx((8 + 3) / 2)
    assert (cell.n_answers, cell.n_unparsed, cell.estimate.n_items) == (4, 1, 2)


def test_a_cell_whose_verdicts_could_all_not_be_read_has_no_mean():
    (cell,) = cells(rows([NOTHING, NOTHING], **JUDGE))
    assert (cell.estimate.mean, cell.estimate.se_items, cell.estimate.n_seeds) == (None, None, 0)
    assert cell.n_unparsed == 2


def test_a_group_averages_benchmarks_evenly_within_each_seed_first():
    found = cells(
        rows([1, 1, 1, 1], 0), rows([0, 0, 0, 0], 1),
        rows([0, 0], 0, "mgsm_ja", language="ja"), rows([1, 1], 1, "mgsm_ja", language="ja"),
    )  # fmt: skip
    group = group_cells(found, Selection(categories=("math",)))
    # each seed has the mean .5 over the two benchmarks, so they agree, though each benchmark swings from 0 to 1
    assert (group.estimate.mean, group.estimate.se_seeds) == (0.5, 0.0)
    first, second = math.sqrt(0.25 / 6), math.sqrt(0.25 / 4)
    assert group.estimate.se_items == pytest.approx(math.hypot(first, second) / 2)
    assert (group.benchmarks, group.incomplete, group.estimate.n_items) == (("gsm8k", "mgsm_ja"), 0, 6)


def test_a_seed_that_lacks_a_benchmark_of_the_group_is_left_out_and_counted():
    found = cells(rows([1, 1], 0), rows([0, 0], 1), rows([1, 0], 0, "mgsm_ja"))
    group = group_cells(found, Selection())
    assert (group.estimate.mean, group.estimate.n_seeds, group.incomplete) == (0.75, 1, 1)


def test_filters_that_select_nothing_give_nothing():
    assert group_cells(cells(rows([1])), Selection(languages=("ja",))) is None


def test_a_benchmark_with_two_judges_is_refused():
    with pytest.raises(DataError, match="judge is one and two"):
        cells(rows([5.0], 0, **{**JUDGE, "judge": "one"}), rows([5.0], 1, **{**JUDGE, "judge": "two"}))


def test_cells_survive_writing_and_reading(tmp_path):
    found = cells(rows([1, 0, 1], 0), rows([1, 1, 1], 1), rows([[8.0, NOTHING]], 0, "mt_bench_en", **JUDGE))
    write_cells(found, tmp_path)
    assert read_cells(tmp_path) == found
