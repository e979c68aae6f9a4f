"""The page itself: what it says, where its numbers lead, and that nothing in it reaches beyond its folder."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from test_site_files import NASTY, read_data

from mixlab.config.analysis import ReportSettings
from mixlab.report.numbers import load_numbers
from mixlab.report.site.answers import Answerer, AnswerSet, Asked, Compared, Place
from mixlab.report.site.findings import list_findings
from mixlab.report.site.lineage import Held
from mixlab.report.site.site import PAGE, SiteInputs, build_missing_section, read_script, write_site
from mixlab.report.site.training import TrainedRun
from mixlab.report.tables import Section


@pytest.fixture
def inputs(tmp_path: Path, settings: ReportSettings, aggregate: Path, folders: dict[str, Path]) -> SiteInputs:
    """A page of which one set of answers is here and one is not."""
    responses = tmp_path / "answers"
    responses.mkdir()
    row = {"item": "q1", "turn_prompts": [NASTY], "responses": [NASTY], "prompt_tokens": [1], "response_tokens": [1]}
    (responses / "responses.jsonl").write_text(json.dumps({**row, "finish_reasons": ["stop"]}) + "\n")
    lineage = json.loads((aggregate / "lineage.json").read_text())
    first = next(iter(lineage["ancestry"]))
    return SiteInputs(
        study="small",
        settings=settings,
        aggregate=aggregate,
        folders=folders,
        held={first: Held("a label", "discarded", "ab" * 32)},
        beside={},
        answerers=[Answerer("m1", settings.variants[0].variant_key, "A", "tiny", "half", "after_sft", {"sft_seed": 1})],
        benchmarks=[Asked("gsm8k", "accuracy", "en", "math")],
        sets=[
            AnswerSet(Place("aa", responses), 0, "gsm8k", 0),
            AnswerSet(Place("bb", None, "generate bb is discarded: <old>"), 0, "gsm8k", 1),
        ],
        runs=[TrainedRun("k1", "sft", "A", None, "not here")],
        price=Section("price", "Price", ["It took 3 s."], stays=True),
        cautions=["2 of 4 scores come from a run without a sandbox."],
    )


@pytest.fixture
def page(inputs: SiteInputs, tmp_path: Path) -> str:
    (tmp_path / "page").mkdir()
    assert write_site(inputs, tmp_path / "page") == 1
    return (tmp_path / "page" / PAGE).read_text(encoding="utf-8")


def test_every_section_of_the_report_and_of_the_page_is_there(page: str) -> None:
    anchors = re.findall(r'<section id="([\w-]+)">', page)
    assert len(anchors) == len(set(anchors))
    wanted = {"findings", "scores", "effects", "judge", "mixtures", "data", "assumptions", "cells", "price"}
    assert wanted | {"training", "answers", "lineage", "missing"} <= set(anchors)
    links = re.findall(r'<a href="#([\w-]+)">', page.partition("</nav>")[0])
    assert set(links) - {"main"} == set(anchors)


def test_each_number_of_the_main_table_names_the_cells_that_made_it(
    page: str, aggregate: Path, settings: ReportSettings
) -> None:
    known = {
        "|".join(cell[name] for name in ("variant_key", "stage", "benchmark", "measure"))
        for cell in json.loads((aggregate / "lineage.json").read_text())["cells"]
    }
    (table,) = re.findall(r'<table data-name="main">.*?</table>', page, re.S)
    named = re.findall(r'data-of="([^"]+)"', table)
    assert len(named) == table.count('<td class="number"') > 4
    assert {cell for one in named for cell in one.split(";")} <= known


def test_a_label_that_begins_with_a_digit_is_no_number(inputs: SiteInputs, tmp_path: Path) -> None:
    first, *others = inputs.settings.variants
    variants = (first.model_copy(update={"label": "25-25-25-25"}), *others)
    effects = tuple(one.model_copy(update={"variant": "25-25-25-25"}) for one in inputs.settings.effects)
    named = inputs.settings.model_copy(update={"variants": variants, "effects": effects})
    (tmp_path / "named").mkdir()
    write_site(replace(inputs, settings=named), tmp_path / "named")
    text = (tmp_path / "named" / PAGE).read_text(encoding="utf-8")
    fields = re.findall(r"<td[^>]*>(?:(?!</td>).)*25-25-25-25.*?</td>", text)
    assert len(fields) > 10 and [field for field in fields if "<button" in field] == []
    assert "intervals" in set(re.findall(r'<table data-name="(\w+)">', text))


def test_the_policy_lets_the_page_run_its_own_script_and_nothing_else(page: str) -> None:
    script = page.partition("<script>")[2].partition("</script>")[0]
    assert script == read_script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.replace("&#39;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == ["'self'", "file:", f"'sha256-{digest}'"]
    assert "connect-src" not in rules and rules["form-action"] == "'none'" and rules["img-src"] == "data:"
    assert page.count("<script") == 1 and "://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_no_part_of_the_script_reads_text_as_html_or_asks_for_the_network() -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|fetch\(|XMLHttpRequest|WebSocket"
    )
    assert re.findall(forbidden, read_script()) == []


def test_texts_of_people_are_escaped(inputs: SiteInputs, tmp_path: Path) -> None:
    out = tmp_path / "escaped"
    out.mkdir()
    titled = inputs.settings.model_copy(update={"title": NASTY, "notes": (NASTY,)})
    write_site(replace(inputs, settings=titled, study=NASTY, cautions=[NASTY]), out)
    text = (out / PAGE).read_text(encoding="utf-8")
    assert text.count("<script") == 1 and "<img" not in text
    assert text.count("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;") >= 4


def test_what_is_missing_is_on_the_page(page: str) -> None:
    part = page.partition('<section id="missing">')[2]
    assert "1 of 2 sets of answers, scores, verdicts and comparisons cannot be shown: generate bb is " in part
    assert "discarded: &lt;old&gt;." in part
    assert "discarded on purpose; their digests are kept" in part


def test_a_whole_page_says_that_nothing_is_missing(inputs: SiteInputs, tmp_path: Path) -> None:
    out = tmp_path / "whole"
    out.mkdir()
    write_site(replace(inputs, sets=inputs.sets[:1], held={}), out)
    assert "Everything that this page is made from is here." in (out / PAGE).read_text(encoding="utf-8")


def test_equal_inputs_give_equal_bytes(inputs: SiteInputs, tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_site(inputs, tmp_path / name)
        files = (path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert {"index.html", "data/index.js", "data/lineage.js", "data/training.js"} <= set(written[0])


def test_data_beside_the_page_are_those_of_the_aggregate(page: str, aggregate: Path, tmp_path: Path) -> None:
    _, data = read_data(tmp_path / "page/data/lineage.js")
    assert isinstance(data, dict)
    lineage = json.loads((aggregate / "lineage.json").read_text())
    assert len(data["cells"]) == len(lineage["cells"]) > 0
    assert set(data["nodes"]) == set(lineage["ancestry"])


def test_findings_say_what_came_of_each_claim_and_who_leads(settings: ReportSettings, aggregate: Path) -> None:
    findings = list(map(str, list_findings(settings, load_numbers(settings, aggregate))))
    assert len(findings) > 3
    claims = [effect.name for effect in settings.effects]
    assert all(any(f"“{name}”" in sentence for sentence in findings) for name in claims)
    assert any(re.search(r"the highest mean is that of .*, \d+\.\d ± \d", sentence) for sentence in findings)
    assert any("verdicts held no rating" in sentence for sentence in findings)


def test_a_change_of_one_score_changes_what_is_said_of_it(settings: ReportSettings, aggregate: Path) -> None:
    before = list_findings(settings, load_numbers(settings, aggregate))
    path = aggregate / "effects.csv"
    text = path.read_text(encoding="utf-8")
    header, row = text.splitlines()[:2]
    place = header.split(",").index("verdict")
    fields = row.split(",")
    fields[place] = "not met" if fields[place] != "not met" else "met"
    path.write_text(text.replace(row, ",".join(fields)), encoding="utf-8")
    after = list_findings(settings, load_numbers(settings, aggregate))
    assert before != after
    assert sum(one != other for one, other in zip(before, after, strict=True)) <= 3


def test_comparisons_that_are_not_here_are_told_once_and_what_is_cut_is_counted(inputs: SiteInputs) -> None:
    pair = Place("pp", None, "judge_pairs pp is discarded")
    both = [AnswerSet(Place(key, Path()), 0, "gsm8k", 0, compared=(Compared(pair, "zz", 1, False),)) for key in "ab"]
    said = build_missing_section([], replace(inputs, sets=both)).sentences
    assert said == [
        "1 of 3 sets of answers, scores, verdicts and comparisons cannot be shown: judge_pairs pp is discarded."
    ]
    gone = [AnswerSet(Place(f"{at}", None, f"reason {at:02}"), 0, "gsm8k", 0) for at in range(13)]
    (text,) = build_missing_section([], replace(inputs, sets=gone)).sentences
    assert text.endswith("reason 09; and 3 more.")
