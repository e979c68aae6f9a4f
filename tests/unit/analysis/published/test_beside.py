"""A study's target beside the published table: matched by the published table's own labels."""

from pathlib import Path
from typing import Any

import pytest
from paper_tables import write_rows, write_tables

from mixlab.analysis.published.beside import compare_target
from mixlab.analysis.published.tables import FORMS, load_tables
from mixlab.config.problems import DataError


def build_cell(variant: str, measure: str, mean: float | None, **more: Any) -> dict[str, Any]:
    place = {"variant": variant, "base_model": "llmjp3", "stage": "after_sft", "measure": measure}
    state = "" if mean is not None else "not run"
    return {"place": place, "mean": mean, "error": None, "difference": None, "gain": None, "state": state, **more}


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
