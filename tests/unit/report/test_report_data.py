"""The page's sections on data: each figure is one of an artifact's, and what is not known says so."""

import csv
import re

import pytest
from report_fakes import CHECK, DATA, DUPLICATES, FLAGGED, STORE_FIGURES, STORES, write_index

from mixlab.config.problems import DataError
from mixlab.config.report_data import DataShown
from mixlab.report.data import load_data_figures
from mixlab.report.data_sections import build_data_sections
from mixlab.report.page import write_report
from mixlab.report.tables import Sentence


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def section(report, name: str) -> str:
    """The text of one section, spaces and tags gone."""
    html = (report / "report.html").read_text(encoding="utf-8")
    found = re.search(rf'<section id="{name}">(.*?)</section>', html, re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", found[1]).replace("\u202f", "").split())


def write(tmp_path, settings, aggregate, folders, **data):
    """A report of the same study with other data."""
    out = tmp_path / "other"
    out.mkdir()
    shown = DATA.model_copy(update=data)
    write_report(settings.model_copy(update={"data": shown}), aggregate, out, folders=folders)
    return out


def test_each_cell_of_the_contamination_matrix_is_a_check_s_figure(report):
    rows = {(row["source"], row["benchmark"]): row for row in read(report / "tables" / "contamination.csv")}
    assert {name: int(rows["web", "gsm8k"][name]) for name in CHECK} == CHECK
    assert (rows["web", "gsm8k"]["records"], rows["web", "gsm8k"]["contaminated"]) == ("5000", "9")
    text = section(report, "data")
    # 12 of the 1300 items that could be compared; 19 of 1319 could not
    assert "web 12 of 1300 (19 not checked) 0 of 164 none comparable 9 of 5000" in text


def test_a_source_that_was_not_checked_is_not_shown_as_clean(report):
    rows = [row for row in read(report / "tables" / "contamination.csv") if row["source"] == "wiki"]
    assert {(row["state"], row["items_hit"]) for row in rows} == {("not checked", "")}
    text = section(report, "data")
    assert "wiki not checked not checked not checked –" in text
    assert "“not checked” does not mean clean" in text
    assert "1 of 1 checked sources hold benchmark items (web); 1 not checked; 69 items cannot be looked for: " in text
    assert (
        ": 50 too short, 18 of too few telling words (numbers, idioms of code), "
        "1 of text that many items of the benchmark share."
    ) in text


@pytest.mark.parametrize(
    ("on_found", "sentence"), [("warn", "stay in the data"), ("drop", "are left out of the data"), ("fail", "stops")]
)
def test_the_matrix_says_what_happens_to_records_that_are_hit(
    tmp_path, settings, aggregate, folders, on_found, sentence
):
    assert sentence in section(write(tmp_path, settings, aggregate, folders, on_found=on_found), "data")


def test_a_check_whose_artifact_is_missing_is_not_here_rather_than_clean(tmp_path, settings, aggregate, folders):
    del folders["check-web"]
    out = write(tmp_path, settings, aggregate, folders)
    assert {row["state"] for row in read(out / "tables" / "contamination.csv")} == {"not here", "not checked"}


def test_a_check_of_other_benchmarks_than_the_study_s_is_refused(tmp_path, folders):
    folders["check-web"] = write_index(tmp_path / "stale", {"records": 1, "contaminated": 0, "benchmarks": [CHECK]})
    with pytest.raises(DataError, match="source 'web/math': contamination check-web is of 1 benchmarks"):
        load_data_figures(DATA, folders)


def test_exclusions_show_every_reason_of_every_filter_in_order(report):
    rows = read(report / "tables" / "exclusions.csv")
    assert [(row["source"], row["step"], row["filter"], row["reason"], row["count"]) for row in rows] == [
        ("web/math", "0", "reading", "excluded: bad records", "13"),
        ("web/math", "0", "reading", "not selected", "250"),
        ("web/math", "1", "near_duplicates", "near duplicate", "60"),
        ("web/math", "1", "near_duplicates", "the same", "40"),
        ("web/math", "2", "personal_data", "flagged: email", str(FLAGGED["flagged"]["email"]["records"])),
    ]
    assert (
        sum(int(row["count"]) for row in rows if row["excluded"] == "True" and row["step"] == "1")
        == DUPLICATES["excluded"]
    )
    assert [(row["records_in"], row["records"]) for row in rows] == [
        *[("5263", "5000")] * 2,
        *[("5000", "4900")] * 2,
        ("4900", "4900"),
    ]
    assert "! Source web: file cdcdcdcdcdcdcdcd was not read to its end" in section(report, "data")


def test_licences_stand_beside_what_the_policy_says(report):
    rows = read(report / "tables" / "licences.csv")
    assert [tuple(row.values()) for row in rows] == [
        ("web/math", "MIT", "permissive", "allowed"),
        ("wiki", "unknown", "", "exception: asked <them>"),
    ]
    assert "exception: asked &lt;them&gt;" in section(report, "data")


def test_counts_are_those_of_the_token_stores(report):
    rows = {row["source"]: row for row in read(report / "tables" / "counts.csv")}
    for store, figures in zip(STORES, STORE_FIGURES, strict=True):
        row = rows[store.source]
        assert [int(row[name]) for name in ("samples", "tokens", "response_tokens", "excluded")] == [*figures.values()]
    text = section(report, "data")
    assert "English math 4,321 87.7" in text
    assert "byte, tokens [M]" in text
    assert read(report / "tables" / "table1.csv")[0]["tokens"] == "87654321"


def test_what_sft_draws_is_its_certificate_s_samples_and_response_tokens(report):
    text = section(report, "data")
    assert "What SFT draws: samples and response tokens Mixture Language Category Samples Response tokens" in text
    assert "sft en math 51 211 all total 51 211" in text
    assert [row["samples"] for row in read(report / "tables" / "drawn.csv")] == ["51", "51"]


def test_every_assumed_value_is_listed_with_address_and_reason(report):
    rows = read(report / "tables" / "assumptions.csv")
    assert [tuple(row.values()) for row in rows] == [tuple(one.model_dump().values()) for one in DATA.assumptions]
    assert "4 values of this study are assumed." in section(report, "assumptions")


def test_a_study_without_assumptions_says_so(tmp_path, settings, aggregate, folders):
    out = write(tmp_path, settings, aggregate, folders, assumptions=())
    assert "0 values of this study are assumed." in section(out, "assumptions")


def test_a_report_without_names_of_data_shows_scores_alone(tmp_path, settings, aggregate):
    out = tmp_path / "plain"
    out.mkdir()
    write_report(settings.model_copy(update={"data": None}), aggregate, out)
    assert 'id="data"' not in (out / "report.html").read_text(encoding="utf-8")
    assert not (out / "certificates").exists()


def test_what_a_sentence_sums_up_leads_to_its_table(folders):
    (data, _) = build_data_sections(DATA, load_data_figures(DATA, folders), {})
    led = {
        part.text: part.anchor
        for one in data.sentences
        if isinstance(one, Sentence)
        for part in one.parts
        if part.anchor
    }
    assert led["1 of 2"] == "data-overview"
    assert set(led.values()) == {"data-overview", "data-exclusions", "data-contamination"}
    assert set(led.values()) <= {table.anchor for table in data.tables}


def test_a_mixture_of_a_source_without_a_name_is_refused():
    with pytest.raises(ValueError, match="mixture 'sft': no source 'wikia'; did you mean 'wiki'"):
        mixture = DATA.mixtures[1].model_copy(update={"sources": ("wikia",)})
        DataShown(mixtures=(mixture,), sources=DATA.sources)


def test_markdown_has_the_same_matrix_and_leads_to_the_certificates(report):
    text = (report / "report.md").read_text(encoding="utf-8")
    assert "| web | 12 of 1 300 (19 not checked) | 0 of 164 | none comparable | 9 of 5 000 |" in text
    links = re.findall(r"\]\((certificates/[^)]*)\)", text)
    assert len(links) == 2
    assert all((report / link).is_file() for link in links)
