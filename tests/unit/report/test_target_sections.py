"""Targets in the report: a section each, its numbers led to the lineage, its figure in the page's colours."""

import re
from pathlib import Path
from typing import Any

import pytest

from mixlab.config.analysis import ReportSettings
from mixlab.config.targets import ScoreTarget, TargetPoint, TargetSettings
from mixlab.report.markdown import render_markdown
from mixlab.report.page import write_report
from mixlab.report.tables import Shown
from mixlab.report.target_grids import Grid, GridCell
from mixlab.report.target_sections import build_target_sections
from mixlab.report.targets import BuiltTarget, write_targets

SEEDS = {"sft_seed": 3, "judge_run": 1, "mixture_seed": 1, "ipt_seed": 1, "generation_seed": 1}


def build_settings(settings: ReportSettings, name: str, **more: Any) -> TargetSettings:
    asked = {
        "of": name.replace("_", " ").capitalize(),
        "title": "Math & code",
        "rows": ["variant"],
        "columns": ["base_model", "measure"],
        "measures": [{"label": "math", "measure": "accuracy", "benchmarks": ["math_en", "math_ja"]}],
    }
    points = tuple(
        TargetPoint(variant=one.label, base_model="tiny", variant_key=one.variant_key, mixture_key="mix-aa11")
        for one in settings.variants
    )
    target = ScoreTarget.model_validate({**asked, **more})
    return TargetSettings(name=name, target=target, points=points, seeds=SEEDS)


@pytest.fixture
def written(tmp_path: Path, settings: ReportSettings, aggregate: Path, folders: dict[str, Path]) -> Path:
    """A report with a table and a figure among its targets, as its stage writes it."""
    figure = {"x": {one.label: at for at, one in enumerate(settings.variants)}, "x_label": "x", "y_label": "y"}
    targets = [build_settings(settings, "table_3"), build_settings(settings, "figure_2", figure=figure)]
    out = tmp_path / "with targets"
    out.mkdir()
    built = write_targets(targets, aggregate, out, folders=folders, shown=settings.data)
    write_report(settings, aggregate, out, folders=folders, targets=build_target_sections(built))
    return out


def test_every_target_is_a_section_of_the_page_with_its_numbers_led_to_their_lineage(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    table = text.partition('<section id="target-table-3">')[2].partition("</section>")[0]
    assert "<h2>Table 3</h2>" in table and "Math &amp; code" in table
    links = re.findall(r'<a href="#(lineage-\w+)">\d\.\d\d ± \d\.\d\dᵘ</a>', table)
    assert links == ["lineage-aa11", "lineage-bb22"]
    assert all(f'id="{link}"' in text for link in links)
    figure = text.partition('<section id="target-figure-2">')[2].partition("</section>")[0]
    assert "<svg" in figure and "<details>" in figure and "± is the sample standard deviation" in figure
    assert "currentColor" in figure and "#ffffff" not in figure


def test_in_markdown_a_table_stands_and_a_figure_is_linked_beside_the_numbers_with_their_keys(written: Path) -> None:
    text = (written / "report.md").read_text(encoding="utf-8")
    table = text.partition("\n## Table 3\n")[2].partition("\n## ")[0]
    assert "| 混合 A | **0.90 ± 0.10ᵘ** |" in table and "[targets/table_3.csv](targets/table_3.csv)" in table
    figure = text.partition("\n## Figure 2\n")[2].partition("\n## ")[0]
    assert "![Figure 2. Math & code](targets/figure_2.svg)" in figure and "targets/figure_2.csv" in figure
    assert all((written / path).is_file() for path in re.findall(r"\((targets/[\w.]+)\)", text))
    # what has a file among the targets has no other
    assert not [path for name in ("tables", "figures") for path in (written / name).glob("*target*")]


def test_what_is_told_apart_is_marked_and_what_is_missing_leads_nowhere(settings: ReportSettings) -> None:
    target = build_settings(settings, "t")
    cells = {
        (("a", "x"), ("m",)): GridCell("5.0", "best", ("k|after_sft|b|accuracy",)),
        (("a", "y"), ("m",)): GridCell("4.0", "second", ("k|after_sft|b|accuracy", "j|after_sft|b|accuracy")),
        (("b", "x"), ("m",)): GridCell("not run"),
    }
    rows = tuple(row for row, _ in cells)
    grid = Grid("t", "Table 1", "T", ("Bold is best.", "more"), ("Mixture", "Stage"), rows, (("m",),), cells)
    (section,) = build_target_sections([BuiltTarget(target, grid)])
    (table,) = section.tables
    assert [[shown.text for shown in row[:2]] for row in table.rows] == [["a", "x"], ["", "y"], ["b", "x"]]
    found = [row[2] for row in table.rows]
    assert [(one.mark, one.anchor, len(one.of)) for one in found] == [
        ("best", "lineage-k", 1), ("second", "lineage", 2), ("", "", 0)
    ]  # fmt: skip
    assert found[2] == Shown("not run", tone="muted")
    assert table.note == "Bold is best. more."
    text = render_markdown(settings, [section])
    assert "| a | x | **5.0** |" in text and "|  | y | <u>4.0</u> |" in text
