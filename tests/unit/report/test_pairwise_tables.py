"""Pairwise judging on the page: wins of n, limits, flips by place, and what the judge's own model may mean."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from mixlab.analysis.cells import read_csv, write_csv
from mixlab.analysis.pairwise import PairCell
from mixlab.config.analysis import ReportSettings, VariantLabel
from mixlab.report.numbers import Numbers
from mixlab.report.page import write_report
from mixlab.report.pairwise import build_pairwise_section
from mixlab.report.tables import Table

JUDGE = "gpt (temperature 0, seed 0)"
CELL = PairCell(
    variant_key="aa",
    against_key="bb",
    stage="after_sft",
    benchmark="talk",
    category="",
    judge=JUDGE,
    own="",
    comparisons=20,
    wins=10,
    ties=5,
    losses=3,
    unparsed=2,
    identical=2,
    flipped=3,
    flipped_to_first=2,
    win_rate=0.65,
    low=0.4321,
    high=0.8012,
    n_items=10,
    se_seeds=0.0512,
    n_seeds=2,
    n_pairs=2,
    spread=0.02,
    n_runs=3,
)


def cell(**changes: Any) -> PairCell:
    return PairCell(**{**vars(CELL), **changes})


def numbers(*cells: PairCell) -> Numbers:
    labels = {"aa": "A", "bb": "B", "cc": "C"}
    return Numbers(
        variants=tuple(VariantLabel(label=label, variant_key=key) for key, label in labels.items()),
        groups=(),
        cells=(),
        effects={},
        unsolvable=[],
        certificates={},
        lineage={},
        source_names={},
        pair_cells=cells,
    )


def read_row(table: Table, at: int = 0) -> dict[str, str]:
    return {column.label: shown.text for column, shown in zip(table.columns, table.rows[at], strict=True)}


def test_a_row_says_wins_of_all_and_both_errors() -> None:
    results, _ = build_pairwise_section(numbers(CELL)).tables
    assert results.title == f"Answers compared by: {JUDGE}"
    assert read_row(results) == {
        "Variant": "A",
        "Against": "B",
        "Stage": "after SFT",
        "Benchmark": "talk",
        "Category": "all",
        "Wins": "10",
        "Ties": "5",
        "Losses": "3",
        "Unread": "2",
        "Win rate, %": "65.0",
        "95 % limits": "43.2 to 80.1",
        "SE seeds": "5.1",
        "Pairs": "2",
        "Spread": "2.0",
    }
    record = dict(zip(results.header, results.records[0], strict=True))
    assert (record["variant"], record["low"], record["n_runs"], record["against_key"]) == ("A", 0.4321, 3, "bb")


def test_flips_are_shares_of_what_was_asked_and_read() -> None:
    _, flips = build_pairwise_section(numbers(CELL)).tables
    row = read_row(flips)
    assert (row["Asked"], row["Flips"], row["Flips, % of asked"]) == ("16", "3", "18.8")
    assert (row["For the first place"], row["% of flips"], row["Equal answers"]) == ("2", "66.7", "2")


def test_what_is_not_known_is_no_number() -> None:
    unread = cell(win_rate=None, low=None, high=None, se_seeds=None, spread=None, flipped=0, flipped_to_first=0)
    results, flips = build_pairwise_section(numbers(unread)).tables
    assert read_row(results)["Win rate, %"] == "none parsed of 20"
    assert [read_row(results)[name] for name in ("95 % limits", "SE seeds", "Spread")] == ["–"] * 3
    assert read_row(flips)["% of flips"] == "–"


def test_each_judge_has_tables_of_its_own() -> None:
    section = build_pairwise_section(numbers(CELL, cell(judge="other")))
    assert [table.title.rpartition(": ")[2] for table in section.tables] == [JUDGE, JUDGE, "other", "other"]
    assert [len(table.rows) for table in section.tables] == [1, 1, 1, 1]


def test_rows_stand_in_the_order_of_the_reports_variants() -> None:
    results, _ = build_pairwise_section(numbers(cell(variant_key="cc"), CELL)).tables
    assert [read_row(results, at)["Variant"] for at in (0, 1)] == ["A", "C"]


def test_the_judges_own_model_is_marked_and_its_win_rate_told_with_what_it_can_mean() -> None:
    section = build_pairwise_section(numbers(cell(own="against"), cell(own="against", category="math"), CELL))
    (sentence,) = section.sentences
    assert f"B is the judge's own model, {JUDGE}: against A" in sentence
    assert "win rate of 35.0 % in 18 comparisons of talk (after SFT)" in sentence
    assert "self-preference only as far as another judge, or people, would say otherwise" in sentence
    assert [read_row(section.tables[0], at)["Against"] for at in range(3)] == ["B (the judge itself)"] * 2 + ["B"]


def test_each_stage_of_the_judges_own_model_has_a_sentence_that_names_it() -> None:
    cells = (cell(own="variant", stage=stage) for stage in ("before_sft", "after_sft", "served"))
    sentences = build_pairwise_section(numbers(*cells)).sentences
    named = [re.findall(r"comparisons of talk \(([^)]*)\)", sentence) for sentence in sentences]
    assert named == [["before SFT"], ["after SFT"], ["served"]]


def test_nothing_compared_is_no_section() -> None:
    section = build_pairwise_section(numbers())
    assert not section.tables and not section.sentences


def test_the_page_and_the_tables_of_a_report_hold_it(tmp_path: Path, settings: ReportSettings, aggregate: Path) -> None:
    names = [field.name for field in fields(PairCell)]
    shown = cell(variant_key="aa11", against_key="bb22", own="variant")
    write_csv(aggregate / "pairwise.csv", names, [[getattr(shown, name) for name in names]])
    out = tmp_path / "compared"
    out.mkdir()
    write_report(settings.model_copy(update={"data": None}), aggregate, out)
    page, text = ((out / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
    for told in (
        "Pairwise comparisons",
        "混合 A (the judge itself)",
        "混合 A is the judge",
        "43.2 to 80.1",
    ):
        assert told in page and told in text
    (row,) = read_csv(out / "tables/pairwise.csv")
    assert (row["variant"], row["against"], row["win_rate"], row["own"]) == ("混合 A", "none", "0.65", "variant")
    (row,) = read_csv(out / "tables/pairwise_flips.csv")
    assert (row["asked"], row["flipped"], row["flip_rate"]) == ("16", "3", "0.1875")
