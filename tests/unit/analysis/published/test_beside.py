"""A study's target beside the published table: matched by the published table's own labels."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from paper_tables import write_rows, write_tables

from mixlab.analysis.published.beside import compare_target, list_lacking
from mixlab.analysis.published.tables import FORMS, load_tables
from mixlab.analysis.targets import Place, TargetCell
from mixlab.cli._compare_text import describe_study, print_study
from mixlab.config.problems import DataError


def build_cell(variant: str, measure: str, mean: float | None, **more: Any) -> dict[str, Any]:
    place = {"variant": variant, "base_model": "llmjp3", "stage": "after_sft", "measure": measure}
    state = "" if mean is not None else "not run"
    shown = TargetCell(Place(**place), mean, None, 4, 4, 0, state=state)
    return {**asdict(shown), **more}


def build_target(*cells: dict[str, Any], table: str = "03") -> dict[str, Any]:
    labels = {"EN AVG": {"benchmark": "MT-Bench", "language": "EN", "category": "AVG"}}
    variants = {"25-25-25-25": {"config": "25/25/25/25"}}
    published = {"table": table, "variants": variants, "base_models": {}, "stages": {}, "measures": labels}
    return {"published": published, "cells": list(cells)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tables(tmp_path)
    header = [*FORMS["03"].keys, *FORMS["03"].numbers]
    rows = [[config, "llmjp3", "MT-Bench", "EN", "AVG", mean, "0.08"] for config, mean in
            (("25/25/25/25", "5.07"), ("0/33/33/33", "5.01"))]  # fmt: skip
    write_rows(tmp_path / "table03.csv", header, rows)
    return tmp_path


def test_numbers_stand_beside_each_other_with_differences_and_what_is_missing_says_so(folder: Path) -> None:
    target = build_target(build_cell("25-25-25-25", "EN AVG", 5.57), build_cell("other", "EN AVG", 4.0))
    found = compare_target("table_03", target, load_tables(folder))
    assert found is not None
    assert [(row.labels["config"], row.value, row.printed, row.ours, row.state) for row in found.rows] == [
        ("25/25/25/25", "mean", "5.07", 5.57, ""),
        ("25/25/25/25", "sd", "0.08", None, "not known"),
        ("0/33/33/33", "mean", "5.01", None, "no such cell"),
        ("0/33/33/33", "sd", "0.08", None, "no such cell"),
    ]
    assert found.rows[0].difference == pytest.approx(0.5)
    assert (found.matched, found.unmatched, found.table) == (1, 1, "Table 3")


def test_a_cell_without_a_mean_says_why(folder: Path) -> None:
    found = compare_target("t", build_target(build_cell("25-25-25-25", "EN AVG", None)), load_tables(folder))
    assert found is not None
    assert [row.state for row in found.rows[:2]] == ["not run", "not run"]


def test_a_target_without_published_numbers_is_left_out_and_an_unknown_table_refused(folder: Path) -> None:
    tables = load_tables(folder)
    assert compare_target("t", {"published": None, "cells": []}, tables) is None
    with pytest.raises(DataError, match="no published table 99 is known"):
        compare_target("t", build_target(build_cell("25-25-25-25", "EN AVG", 5.0), table="99"), tables)


def test_n_and_unparsed_of_both_sides_stand_beside_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(tmp_path)
    header = [*FORMS["04"].keys, *FORMS["04"].numbers]
    labels = ["llmjp3", "en_only", "MT-Bench", "EN", "coding"]
    write_rows(tmp_path / "table04.csv", header, [[*labels, "4.58", "-0.35"]])
    counts = {"n": 3, "unparsed": 2, "items": 29, "items_wanted": 30}
    behind = {"difference": -0.5, "difference_n": 2, "against_n": 2, "against_unparsed": 1, "difference_left_out": 3,
              "items_asked": 10}  # fmt: skip
    target = build_target(build_cell("en", "coding", 4.5, **counts, **behind), table="04")
    target["published"] |= {
        "variants": {"en": {"setting": "en_only"}},
        "measures": {"coding": {"benchmark": "MT-Bench", "language": "EN", "category": "coding"}},
    }
    found = compare_target("table_04", target, load_tables(tmp_path))
    assert found is not None
    assert [(row.n, row.n_wanted, row.unparsed, row.items, row.other_n, row.other_unparsed) for row in found.rows] == [
        (3, 4, 2, 29, None, None), (2, 4, 2, 29, 2, 1)
    ]  # fmt: skip
    print_study({"s": [found]})
    text = capsys.readouterr().out
    assert "n 3 of 4, items 29 of 30, 2 unparsed" in text
    assert "n 2 of 4, items 29 of 30, 2 unparsed; other side n 2 of 4, 1 unparsed; 3 of 10 items left out" in text
    told = describe_study({"s": [found]})["s"][0]["rows"][1]
    assert (told["n"], told["n_wanted"], told["other_wanted"]) == (2, 4, 4)


@pytest.mark.parametrize(
    ("low", "obstacle", "told"),
    [
        (12.0, "", "other side n 1 of 2; 95 %: +12.0 to +22.0"),
        (None, "not estimable", "interval not estimable"),
        (None, "3 seeds agree", "of 2; 3 seeds agree"),
    ],
)
def test_a_gain_is_told_with_its_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], low: float | None, obstacle: str, told: str
) -> None:
    write_tables(tmp_path)
    header = [*FORMS["05"].keys, *FORMS["05"].numbers]
    write_rows(tmp_path / "table05.csv", header, [["25/25/25/25", "MT-Bench", "EN", "AVG", "4.58", "17.0"]])
    behind = {"gain": 17.0, "gain_low": low, "gain_high": low and low + 10, "before_n": 1, "before_wanted": 2}
    behind |= {"gain_obstacle": obstacle}
    target = build_target(build_cell("25-25-25-25", "EN AVG", 4.5, **behind), table="05")
    found = compare_target("table_05", target, load_tables(tmp_path))
    assert found is not None
    print_study({"s": [found]})
    assert told in capsys.readouterr().out


def test_what_a_cell_was_computed_from_is_not_asked_for_beside_a_published_table() -> None:
    cell = build_cell("25-25-25-25", "EN AVG", 5.57)
    untraced = {name: value for name, value in cell.items() if name not in ("made_of", "compared")}
    assert len(untraced) == len(cell) - 2 and list_lacking(build_target(untraced)) == []
    del untraced["mean"]
    assert list_lacking(build_target(untraced)) == ["cells.mean"]
