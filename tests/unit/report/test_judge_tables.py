"""Judges stand apart: one table for each, and no mean over two; a model judge says of how many verdicts."""

import math

import pytest

from mixlab.analysis.cells import Cell, group_cells
from mixlab.analysis.judge_runs import JudgeRun, build_judge_runs, measure_spread, read_judge_runs, write_judge_runs
from mixlab.analysis.statistics import Estimate, Replicate
from mixlab.config.analysis import BenchmarkGroup, Selection, VariantLabel
from mixlab.config.judging import RULE_LABEL
from mixlab.config.problems import DataError
from mixlab.report.judges import build_judge_runs_table, build_judge_tables
from mixlab.report.numbers import Numbers
from mixlab.report.scores import build_main_table

MODEL = "gpt-4o-2024-08-06 (temperature 0, seed 0)"


def cell(benchmark: str, judge: str, mean: float, unparsed: int = 0) -> Cell:
    return Cell(
        variant_key="aa",
        stage="after_sft",
        benchmark=benchmark,
        measure="judge_score",
        language="en",
        category="general",
        judge=judge,
        estimate=Estimate(mean, None, None, 1, 0.5, 10),
        replicates=(Replicate(1, 1, 1, mean),),
        n_answers=20,
        n_unparsed=unparsed,
    )


def judge_run(number: int, mean: float | None, read: int = 10) -> JudgeRun:
    return JudgeRun("aa", "after_sft", "talk", MODEL, number, mean, read, 10, 9)


def numbers(*cells: Cell, runs: tuple[JudgeRun, ...] = (), groups: tuple[BenchmarkGroup, ...] = ()) -> Numbers:
    return Numbers(
        variants=(VariantLabel(label="A", variant_key="aa"),),
        groups=groups,
        cells=cells,
        effects={},
        unsolvable=[],
        certificates={},
        lineage={},
        source_names={},
        judge_runs=runs,
    )


def test_each_judge_has_a_table_of_its_own_under_its_name() -> None:
    by_rule, by_model = cell("demo", RULE_LABEL, 4.0), cell("talk", MODEL, 7.0, unparsed=2)
    rule, model = sorted(
        build_judge_tables(numbers(by_rule, by_model, runs=(judge_run(1, 7.0),))),
        key=lambda table: MODEL in table.title,
    )
    assert (rule.title, model.title) == (f"Scores from 1 to 10 by: {RULE_LABEL}", f"Scores from 1 to 10 by: {MODEL}")
    assert [column.label for column in model.columns] == ["Variant", "Stage", "talk"]
    assert [(record[2], record[4]) for record in (*rule.records, *model.records)] == [
        ("demo", RULE_LABEL), ("talk", MODEL)
    ]  # fmt: skip
    assert "Means are over 18 of 20 verdicts" in model.note
    assert "0 verdicts could not be read" in rule.note


def test_no_mean_is_over_scores_by_two_judges() -> None:
    both = (cell("demo", RULE_LABEL, 4.0), cell("talk", MODEL, 7.0))
    with pytest.raises(DataError, match=r"are never averaged.*demo by rule judge .*, talk by gpt-4o"):
        group_cells(both, Selection(measure="judge_score"))
    mixed = BenchmarkGroup(label="talk", measure="judge_score")
    with pytest.raises(DataError, match="are never averaged"):
        build_main_table(numbers(*both, groups=(mixed,)))
    one = BenchmarkGroup(label="talk", measure="judge_score", benchmarks=("talk",))
    assert build_main_table(numbers(*both, groups=(one,))).records[0][4] == MODEL


def test_the_spread_is_that_of_the_runs_means_and_unknown_where_one_has_none() -> None:
    runs = [judge_run(1, 6.0), judge_run(2, 7.0), judge_run(3, 8.0)]
    assert measure_spread(runs) == 1.0
    assert measure_spread(runs[:1]) is None
    assert measure_spread([*runs, judge_run(4, None)]) is None
    table = build_judge_runs_table(numbers(cell("talk", MODEL, 7.0), runs=(*runs, judge_run(4, None, read=0))))
    assert table is not None
    assert [shown.whole for shown in table.rows[0]][3:] == [
        *("7.00 (n 3 of 4)", "3 of 4 runs parsed", "4", "30 of 40", "36")
    ]


def test_runs_are_written_and_read_back_and_a_rule_has_none(tmp_path) -> None:
    import pandas as pd

    shared = {
        "variant_key": "aa", "stage": "after_sft", "benchmark": "talk", "measure": "judge_score", "language": "en",
        "category": "general", "model_key": "m", "mixture_seed": 1, "ipt_seed": 1, "sft_seed": 1, "turn": 1,
    }  # fmt: skip
    rows = [
        {**shared, "item": item, "judge": MODEL, "judge_run": run, "score": score, "parsed": not math.isnan(score),
         "verdict_id": f"{run}-same"}
        for run, item, score in ((1, "a", 4.0), (1, "b", 6.0), (2, "a", 8.0), (2, "b", math.nan))
    ]  # fmt: skip
    # of rows that were scored, no judge has a part
    scored = {**shared, "benchmark": "sums", "measure": "accuracy", "item": "a", "judge": None, "judge_run": None}
    beside = {**scored, "score": 1.0, "parsed": True, "verdict_id": None}
    runs = build_judge_runs(pd.DataFrame([*rows, beside]))
    assert [(one.judge_run, one.mean, one.n_read, one.n_verdicts, one.n_distinct) for one in runs] == [
        (1, 5.0, 2, 2, 1), (2, 8.0, 1, 2, 1)
    ]  # fmt: skip
    write_judge_runs(runs, tmp_path)
    assert read_judge_runs(tmp_path) == runs
    by_rule = pd.DataFrame([{**row, "judge": RULE_LABEL} for row in rows])
    other = tmp_path / "rule"
    other.mkdir()
    write_judge_runs(build_judge_runs(by_rule), other)
    assert (list(other.iterdir()), read_judge_runs(other)) == ([], [])
