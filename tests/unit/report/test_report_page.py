"""The report's files: what they say, that they need nothing beside them, and that they repeat byte for byte."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mixlab.config.analysis import BenchmarkGroup
from mixlab.report.judges import build_judge_tables
from mixlab.report.numbers import load_numbers
from mixlab.report.page import write_report
from mixlab.report.scores import build_main_table
from mixlab.report.terminal import render_main_table

JUDGE = "rule judge (not a language model)"


class Page(HTMLParser):
    """Collects ids, links inside the page, and whatever would be loaded from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids, self.anchors, self.loaded, self.text = [], set(), [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        got = dict(attrs)
        self.ids += [got["id"]] if "id" in got else []
        for name in ("href", "xlink:href", "src"):
            target = got.get(name)
            if target and target.startswith("#"):
                self.anchors.add(target[1:])
            elif target:
                self.loaded.append(target)

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(report):
    return Page((report / "report.html").read_text(encoding="utf-8"))


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_two_reports_of_one_aggregate_are_equal_byte_for_byte(tmp_path, settings, aggregate, folders, report):
    again = tmp_path / "again"
    again.mkdir()
    write_report(settings, aggregate, again, folders=folders)
    files = sorted(path.relative_to(report) for path in report.rglob("*") if path.is_file())
    assert [path for path in files if (report / path).read_bytes() != (again / path).read_bytes()] == []
    assert {path.suffix for path in files} == {".html", ".md", ".svg", ".csv", ".json", ".parquet"}


def test_the_page_loads_nothing_from_elsewhere(page, report):
    # certificates lie beside the page and are led to, not loaded
    assert {target.partition("/")[0] for target in page.loaded} == {"certificates"}
    for path in (report / "report.html", *(report / "certificates").glob("*.html")):
        html = path.read_text(encoding="utf-8")
        assert re.findall(r"https?://|@import|url\((?!#)|<script src|<link|<img", html) == []


def test_every_link_on_a_page_leads_to_exactly_one_place(report):
    for path in (report / "report.html", *(report / "certificates").glob("*.html")):
        page = Page(path.read_text(encoding="utf-8"))
        assert sorted(page.anchors - set(page.ids)) == []
        assert sorted({name for name in page.ids if page.ids.count(name) > 1}) == []
        assert [target for target in page.loaded if not (path.parent / target).is_file()] == []


def test_the_main_table_shows_means_and_errors_before_and_after_sft(report):
    lines = (report / "report.md").read_text(encoding="utf-8").splitlines()
    # 8 of 10 before SFT, one seed: p' = 9/12, sqrt(.75 * .25 / 12) = 12.5 %; after: 8 9 10 of 10, error 10 / sqrt(3)
    assert any(re.match(r"\| 混合 A \| before SFT \| .*\| 80\.0 ± 12\.5ⁱ \|", line) for line in lines)
    assert "|  | after SFT | 90.0 ± 5.8 | 90.0 ± 5.8 | 90.0 ± 5.8 | 90.0 ± 5.8 | 90.0 ± 5.8 |" in lines


def test_effects_say_what_was_claimed_and_whether_it_was_met(report):
    rows = {row["name"]: row for row in read(report / "tables" / "effects.csv")}
    assert {name: (float(row["at_least"]), row["verdict"]) for name, row in rows.items()} == {
        "math helps math": (0.3, "met"),
        "数学": (0.95, "not met"),
        "math before SFT": (0.3, "met on items only"),
        "the judge agrees": (1.0, "met"),
    }
    assert "2 met, 1 met on items only, 1 not met" in (report / "report.md").read_text(encoding="utf-8")


def test_judge_scores_always_stand_beside_the_judges_name(page, report):
    sections = (report / "report.html").read_text(encoding="utf-8").split("<section ")
    judged = [section for section in sections if "mt_bench_en" in section or "judge score" in section]
    assert len(judged) == 6  # effects, statistics, judge, bias of the judge, every cell, lineage
    assert all(JUDGE in section for section in judged if 'id="lineage"' not in section)
    assert {row["judge"] for row in read(report / "tables" / "judge.csv")} == {JUDGE}
    assert "16 verdicts could not be read" in page.text


def test_labels_are_escaped_in_html_and_markdown(page, report):
    assert "A small <study> & its numbers" in page.text
    assert "its prompt <is> broken" in page.text
    assert "with math \\| and code" in (report / "report.md").read_text(encoding="utf-8")


def test_an_unsolvable_item_is_named_with_its_reason(report):
    (row,) = read(report / "tables" / "unsolvable.csv")
    assert row == {"benchmark": "code_en", "item": "9", "reason": "its prompt <is> broken"}


def test_certificates_show_requested_beside_observed_ratios(report):
    rows = read(report / "tables" / "mixtures.csv")
    row = next(row for row in rows if (row["variant"], row["axis"], row["part"]) == ("混合 A", "instruction", "raw"))
    assert (row["requested_ratio"], row["requested"], row["allocated_tokens"]) == ("2/3", "667", "666")
    assert float(row["observed_ratio"]) == pytest.approx(0.667335)
    assert len(row["certificate_digest"]) == 64


def test_lineage_leads_from_each_score_to_its_keys(report):
    rows = read(report / "tables" / "lineage.csv")
    assert len(rows) == 2 * 4 * 5  # variants, models, parts
    row = next(row for row in rows if (row["benchmark"], row["sft_seed"]) == ("math_ja", "1"))
    assert (row["model_key"], row["mixture_key"]) == ("model-aa11-1", "mix-aa11")
    assert (row["score_key"], row["generate_key"]) == ("score-aa11-1-math_ja", "generate-aa11-1")


def test_renaming_a_variant_changes_labels_and_no_number(tmp_path, settings, aggregate, report):
    plain = settings.model_dump()
    plain["variants"][1]["label"] = "nothing"
    for effect in plain["effects"]:
        effect["against"] = "nothing"
    out = tmp_path / "renamed"
    out.mkdir()
    write_report(type(settings).model_validate(plain), aggregate, out)
    for name in ("main", "effects", "cells", "mixtures"):
        before = (report / "tables" / f"{name}.csv").read_text(encoding="utf-8")
        after = (out / "tables" / f"{name}.csv").read_text(encoding="utf-8")
        assert after.replace("nothing", "none") == before != after


def test_a_variant_without_a_label_is_shown_under_its_key(tmp_path, settings, aggregate):
    fewer = settings.model_copy(update={"variants": settings.variants[:1], "effects": ()})
    out = tmp_path / "fewer"
    out.mkdir()
    write_report(fewer, aggregate, out)
    assert {row["variant"] for row in read(out / "tables" / "main.csv")} == {"混合 A", "bb22"}


def test_a_group_that_was_not_run_says_so(tmp_path, settings, aggregate):
    groups = (BenchmarkGroup(label="reasoning", categories=("reasoning",)), BenchmarkGroup(label="all"))
    out = tmp_path / "groups"
    out.mkdir()
    write_report(settings.model_copy(update={"groups": groups}), aggregate, out)
    assert "| 混合 A | before SFT | not run (n 0 of 1) | 80.0" in (out / "report.md").read_text(encoding="utf-8")
    assert "not run" in render_main_table(out)


def test_a_point_that_is_scored_after_sft_alone_has_one_row_and_no_empty_one(settings, aggregate):
    numbers = load_numbers(settings, aggregate)
    key = numbers.variants[0].variant_key
    fewer = tuple(cell for cell in numbers.cells if (cell.variant_key, cell.stage) != (key, "before_sft"))
    left = replace(numbers, cells=fewer)
    tables = [build_main_table(left), *build_judge_tables(left)]
    stages = [{(record[-1], record[1]) for record in table.records} for table in tables]
    assert stages == [{(key, "after_sft"), ("bb22", "before_sft"), ("bb22", "after_sft")}] * 2
    assert all(record[5] is not None for table in tables for record in table.records)


def test_figures_keep_text_as_text_and_number_labels_they_have_no_letters_for(report):
    drawn = (report / "figures" / "scores.svg").read_text(encoding="utf-8")
    assert ">no. 1<" in drawn
    assert ">none<" in drawn
    assert "混" not in drawn
    assert ">effect 2<" in (report / "figures" / "effects.svg").read_text(encoding="utf-8")


def test_metrics_are_filed_under_labels(report):
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["scores"]["混合 A"]["after_sft"]["math_en"]["accuracy"]["mean"] == pytest.approx(0.9)
    assert metrics["effects"]["math helps math"]["met"] == 1


def test_the_terminal_table_is_aligned_despite_full_width_letters(report):
    lines = render_main_table(report).splitlines()
    assert lines[0].split() == ["variant", "all", "code", "math", "en", "ja"]
    assert lines[1].split() == [
        "混合",
        "A",
        "before",
        "SFT",
        *["80.0±7.2ⁱ", "80.0±12.5ⁱ", "80.0±8.8ⁱ", "80.0±8.8ⁱ", "80.0±12.5ⁱ"],
    ]
    assert lines[1].index("before") + 2 == lines[3].index("before")  # two letters take four columns
    assert lines[2].startswith(" " * 9 + "after SFT")
