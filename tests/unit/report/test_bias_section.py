"""The part of the report on a judge's bias: each judge by itself, and what cannot be had in words."""

import math
from dataclasses import replace

import pandas as pd

from mixlab.analysis.cells import Cell
from mixlab.analysis.judge_bias import OWN, BiasFigure, build_judge_bias
from mixlab.analysis.statistics import Estimate, Replicate
from mixlab.config.analysis import VariantLabel
from mixlab.config.judging import RULE_LABEL
from mixlab.report.judge_bias import ITSELF, NOT_ITSELF, build_bias_section, draw_lengths
from mixlab.report.numbers import Numbers

MODEL = "gpt-4o (temperature 0, seed 0)"


def judge(name: str, benchmark: str, own: tuple[str, ...] = (), runs: int = 2) -> list[BiasFigure]:
    """Ratings that rise with length, one more in the second run where the item is even; item 0 has none."""
    rows = [
        {
            "variant_key": f"v{model}", "stage": "after_sft", "benchmark": benchmark, "judge": name,
            "measure": "judge_score", "model_key": f"m{model}", "generate_key": f"g{model}", "item": str(item),
            "turn": 1, "judge_run": run, "verdict_id": f"{model}-{item}-{run}", "truncated": item == 1,
            "score": math.nan if item == 0 else 1.0 + item // 3 + model + (run == 2 and item % 2 == 0),
            "response_characters": 100 * item + 10 * model,
        }
        for model in (0, 1, 2) for item in range(12) for run in range(1, runs + 1)
    ]  # fmt: skip
    return build_judge_bias(pd.DataFrame(rows), [(key, "after_sft") for key in own])


def numbers(figures: list[BiasFigure]) -> Numbers:
    return Numbers(
        variants=(VariantLabel(label="A 混合", variant_key="v2"),),
        groups=(),
        cells=(),
        effects={},
        unsolvable=[],
        certificates={},
        lineage={},
        source_names={},
        judge_bias=tuple(figures),
    )


def test_a_model_judge_has_four_tables_and_says_what_self_preference_is_not() -> None:
    section = build_bias_section(numbers(judge(MODEL, "talk", ("v2",))))
    assert section.sentences == [ITSELF]
    assert [table.name for table in section.tables] == ["judge_lengths", "judge_scale", "judge_spread", "judge_own"]
    assert all(table.title.endswith(f"by: {MODEL}") for table in section.tables)
    lengths, scale, spread, own = ([shown.text for shown in table.rows[0]] for table in section.tables)
    assert lengths[0] == "talk" and lengths[3].startswith("1.00 [1.00, 1.00]")
    assert (lengths[2], lengths[4:]) == ("33 of 36", ["33 of 36", "12", "3 of 36"])
    # rating 1: model 0, item 1 in both runs and item 2 in the first, 3 of 66; nothing is rated above 7
    assert (scale[1], scale[8:]) == ("4.5", ["0.0", "0.0", "0.0", "6 of 72"])
    assert abs(sum(float(one) for one in scale[1:-1]) - 100) < 0.6
    # 15 of 33 answers differ by one point: a variance of 1/2 each
    assert spread[1:] == [f"{(15 / 33 / 2) ** 0.5:.2f}", f"{100 * 15 / 33:.1f}", "33 of 36"]
    assert own == ["A 混合", "after SFT", "talk", "1.50 [1.50, 1.50]", "11 of 12"]
    assert {record[3] for record in section.tables[3].records} == {"A 混合"}


def test_where_no_model_is_the_judge_it_is_said_and_one_run_has_no_spread() -> None:
    section = build_bias_section(numbers(judge(MODEL, "talk", runs=1)))
    assert section.sentences == [NOT_ITSELF]
    assert [table.name for table in section.tables] == ["judge_lengths", "judge_scale", "judge_spread"]
    assert section.tables[2].rows[0][1].text == "one judge run: no spread"


def test_a_rule_and_a_model_never_share_a_table_or_a_figure() -> None:
    both = [*judge(MODEL, "talk"), *judge(RULE_LABEL, "demo 数学")]
    section = build_bias_section(numbers(both))
    for table in section.tables:
        (name,) = {record[0] for record in table.records}
        assert table.title.endswith(f"by: {name}")
    assert [figure.name for figure in section.figures] == ["judge_lengths_1", "judge_lengths_2"]
    assert [RULE_LABEL in figure.title for figure in section.figures] == [False, True]
    assert b"no. 1" in section.figures[1].svg and b"talk" in section.figures[0].svg
    assert draw_lengths(both) == section.figures


def test_the_rule_alone_says_nothing_of_itself_and_without_a_judge_there_is_nothing() -> None:
    assert build_bias_section(numbers(judge(RULE_LABEL, "demo"))).sentences == []
    nothing = build_bias_section(numbers([]))
    assert (list(nothing.sentences), list(nothing.tables), list(nothing.figures)) == ([], [], [])


def make_cell(key: str, stage: str) -> Cell:
    """One point that the judge rated."""
    made, seeds = Estimate(5.0, None, None, 1, 0.5, 12), (Replicate(1, 1, None, 5.0),)
    return Cell(key, stage, "talk", "judge_score", "en", None, MODEL, made, seeds, 24, 2)


def test_what_the_judges_own_answers_are_compared_with_are_those_of_their_stage() -> None:
    points = [(key, stage) for key in ("v0", "v1", "v2") for stage in ("before_sft", "after_sft")] + [("v3", "served")]
    (figure,) = (one for one in judge(MODEL, "talk", ("v2",)) if one.figure == OWN)
    figures = [
        *(one for one in judge(MODEL, "talk") if one.figure != OWN),
        *(figure, replace(figure, variant_key="v1"), replace(figure, variant_key="v3", stage="served")),
    ]
    rated = replace(numbers(figures), cells=tuple(make_cell(*point) for point in points))
    (own,) = (table for table in build_bias_section(rated).tables if table.name == "judge_own")
    first, second, served = ([name.split("|")[:2] for name in origin] for origin in own.origins)
    assert first == [["v0", "after_sft"], ["v2", "after_sft"]]
    assert second == [["v0", "after_sft"], ["v1", "after_sft"]]
    assert served == [["v0", "after_sft"], ["v3", "served"]]
