"""Certificates with names: as JSON and as a page, each figure that of the mixture's own certificate."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_fakes import CERTIFICATE, DATA, SFT_CERTIFICATE, write_data, write_index

from mixlab.artifacts.keys import build_digest
from mixlab.config.mixtures import MixtureSettings
from mixlab.config.problems import DataError
from mixlab.config.report_data import DataShown, ShownAssumption
from mixlab.config.tokenizers import PackSettings
from mixlab.data.mixtures.certificate_rows import read_certificate
from mixlab.data.mixtures.mixing import build_mixture
from mixlab.data.packs.packing import write_pack
from mixlab.report.certificate_figures import list_sources
from mixlab.report.certificate_page import list_cautions, render_certificate_page
from mixlab.report.certificates import join_certificate, list_assumptions
from mixlab.report.data import load_data_figures
from mixlab.report.data_sections import list_data_cautions
from mixlab.report.tables import Column, Shown, Table
from mixlab.report.terminal import render_table

IPT, SFT = DATA.mixtures
VOID = {"meta", "rect", "br", "input", "link", "path", "use"}


class Strict(HTMLParser):
    """Follows every element from its beginning to its end; collects pictures and what they say to those who listen."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.faults, self.pictures = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        self.faults += [f"{tag}: {name} twice" for name in set(names) if names.count(name) > 1]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("svg", "img"):
            self.pictures.append(dict(attrs))

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes what is not open")


def read_text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html.partition("<body>")[2]).replace("\u202f", "").split())


@pytest.fixture
def certificates(report) -> dict[str, tuple[dict, str]]:
    """JSON and page of each certificate by the mixture's key."""
    found = {}
    for path in (report / "certificates").glob("*.json"):
        joined = json.loads(path.read_text(encoding="utf-8"))
        found[joined["mixture"]["key"]] = joined, path.with_suffix(".html").read_text(encoding="utf-8")
    return found


@pytest.mark.parametrize(("key", "written"), [("mix-aa11", CERTIFICATE), ("mix-sft", SFT_CERTIFICATE)])
def test_the_json_has_every_figure_of_the_certificate_under_the_sources_names(certificates, key, written):
    joined, _ = certificates[key]
    names = next(mixture.sources for mixture in DATA.mixtures if mixture.key == key)
    assert [source["name"] for source in joined["sources"]] == [*names]
    for column, values in written["sources"].items():
        assert [source[column] for source in joined["sources"]] == values
    assert {name: joined[name] for name in ("seed", "budget", "windows", "deviation", "unit")} == {
        name: written[name] for name in ("seed", "budget", "windows", "deviation", "unit")
    }
    assert joined["mixture"]["certificate_digest"] == build_digest(json.dumps(written, ensure_ascii=False).encode())


def test_each_figure_of_a_source_stands_in_its_row_of_the_page(certificates):
    text = read_text(certificates["mix-aa11"][1])
    shares = "1/3 33.3 33.3 33.3 100.0"  # asked, in percent, taken; 329 of 989 learnt by a loss on all, 211 of 211
    assert f"web/math en/math {shares} 332 wiki ja raw 2/3 66.7 66.7 66.7 0.0 666" in text
    assert "web/math 40000 0.01 3 5 to 87 28 0 wiki 20000 0.03 6 0 to 41 54 17" in text
    assert "instruction raw 2/3 66.7 66.7 66.8 66.7 666" in text


def test_the_page_begins_with_what_the_mixture_is(certificates):
    text = read_text(certificates["mix-aa11"][1])
    for said in (
        "Mixture mix-aa11 Certificate sha256",
        "Tokenizer byte (tok1)",
        "Budget 1000 tokens",
        "Taken 998 tokens in 9 windows of 120 tokens",
        "Learnt 989 tokens where the loss is on all, 211 where it is on responses",
        "Lost 82 tokens of room in windows, 17 tokens of the sources in no window",
        "Off its due at most 0.417 windows at block borders, source wiki; everywhere less than 1",
        "Reading 13 bad records excluded, 250 records not selected; 1 files not read to their ends; 1 sources not here",
        "At most 4 epochs of a source",
    ):
        assert said in text


def test_more_than_four_epochs_are_marked_in_words_wherever_they_stand(report, certificates):
    joined, page = certificates["mix-sft"]
    assert [source["repeated_often"] for source in joined["sources"]] == [True]
    text = read_text(page)
    assert "Source web/math is repeated 5.25 times: more than 4 epochs." in text
    assert "5.25 (more than 4)" in text
    assert "more than 4 epochs." not in read_text(certificates["mix-aa11"][1])
    whole = read_text((report / "report.html").read_text(encoding="utf-8"))
    assert "1 of 2 mixtures repeat a source more than 4 epochs." in whole
    assert "sft sft byte 332 1 5.25 (more than 4) certificate" in whole


def test_an_infeasible_request_that_was_bent_shows_both_shares(certificates):
    assert "language en: asked for 1/2; the nearest that data allow is 1." in read_text(certificates["mix-sft"][1])


def test_phases_show_what_each_asks_for_and_takes(certificates):
    text = read_text(certificates["mix-sft"][1])
    assert "0, from 0.0 % of the budget web/math 1 100.0 100.0 34" in text
    assert "1, from 66.7 % of the budget web/math 1 100.0 100.0 17" in text
    assert "Shares by phase" not in certificates["mix-aa11"][1]


def test_licences_contamination_and_filters_of_the_sources_are_on_the_page(certificates):
    joined, page = certificates["mix-aa11"]
    web, wiki = joined["sources"]
    assert (web["licence"], web["licence_tiers"], web["permission"]) == ("MIT", ["permissive"], "allowed")
    assert web["contamination"]["benchmarks"]["gsm8k"]["items_hit"] == 12
    assert [one["reasons"] for one in web["filters"]] == [{"near duplicate": 60, "the same": 40}, {}]
    assert wiki["contamination"] == {"state": "not checked"}
    text = read_text(page)
    for said in ("web 12 of 1300 (19 not checked)", "wiki not checked", "near duplicate 60", "Licence unknown: wiki."):
        assert said in text


def test_only_assumed_values_about_the_mixture_s_data_are_listed():
    assert [one.address for one in list_assumptions(DATA, IPT)] == ["sources.wiki.licence", "variants['混合 A'].budget"]
    assert [one.address for one in list_assumptions(DATA, SFT)] == []


def assume(*addresses: str) -> DataShown:
    listed = tuple(ShownAssumption(address=one, value="1", reason="why") for one in addresses)
    return DATA.model_copy(update={"assumptions": listed})


@pytest.mark.parametrize(
    ("address", "ipt", "sft"),
    [
        # names are compared whole: a variant `混合` or `A` is not 混合 A, a base model `t` is not tiny
        ("variants['混合 A'].budget", True, False),
        ("variants.混合.budget", False, False),
        ("variants.A.budget", False, False),
        ("variant_defaults.max_epochs", True, False),
        ("sft.mixture.budget", False, True),
        ("base_models.tiny.overrides.sft.mixture.budget", False, True),
        ("base_models.tiny.overrides.variant_defaults.budget", True, False),
        ("base_models.tiny.overrides.variants['混合 A'].budget", True, False),
        ("base_models.tiny.overrides.variants.other.budget", False, False),
        ("base_models.t.overrides.sft.mixture.budget", False, False),
        ("base_models.tiny.mixture.budget", False, False),
    ],
)
def test_an_assumed_value_reaches_the_certificates_of_its_variant_and_base_model_alone(address, ipt, sft):
    shown = assume(address)
    assert [bool([*list_assumptions(shown, mixture)]) for mixture in (IPT, SFT)] == [ipt, sft]


def test_what_a_base_model_is_trained_on_is_told_from_what_it_overrides():
    before = IPT.model_copy(update={"purposes": ("pretrain",), "variants": ()})
    shown = assume("base_models.tiny.mixture.budget", "base_models.tiny.overrides.variants['混合 A'].budget")
    assert [one.address for one in list_assumptions(shown, before)] == ["base_models.tiny.mixture.budget"]


def test_what_reading_left_out_is_on_the_page_and_in_the_json(certificates):
    joined, page = certificates["mix-aa11"]
    text = read_text(page)
    assert "web/math 0 reading 5263 excluded: bad records 13 5000 not selected 250 5000" in " ".join(
        text.replace("0 reading 5263 not", "not").split()
    )
    caution = "Source web: file cdcdcdcdcdcdcdcd was not read to its end, so records are lost: the gzip file is broken"
    assert caution in text
    assert joined["sources"][0]["reading"] == {
        "key": "src-web",
        "records_in": 5263,
        "records": 5000,
        "reasons": {"excluded: bad records": 13, "not selected": 250},
        "truncated_files": [{"digest": "cd" * 32, "why": "the gzip file is broken: it ends <early>"}],
    }
    assert joined["sources"][1]["reading"] == {"state": "not here"}


@pytest.mark.parametrize(
    ("column", "values", "caution"),
    [
        ("windows", [0, 6], "Source web/math has no window in this mixture: nothing is learnt from it."),
        ("cut_tokens", [0, 1053], "Source wiki: 5.0 % of its tokens fit no window: cut or dropped."),
        ("cut_tokens", [0, 1052], None),
        ("cut_tokens", [2106, 0], "Source web/math: 5.0 % of its tokens fit no window: cut or dropped."),
    ],
)
def test_a_source_that_hardly_reaches_the_mixture_is_a_caution(tmp_path, column, values, caution):
    changed = {**CERTIFICATE, "sources": {**CERTIFICATE["sources"], column: values}}
    figures = load_data_figures(DATA, write_data(tmp_path, {"mix-aa11": changed}))
    found = [one for one in list_cautions(DATA, IPT, figures) if "window" in one]
    assert found == ([caution] if caution else [])
    told = [one for one in list_data_cautions(DATA, figures) if "window" in one]
    assert told == [f"! Mixture {IPT.label}: {one}" for one in found]


@pytest.mark.parametrize(("licence", "tiers"), [("my words", ("unknown",)), ("LicenseRef-x", ("unknown",))])
def test_a_licence_in_no_tier_is_a_caution_without_any_policy(tmp_path, licence, tiers):
    sources = tuple(one.model_copy(update={"licence": licence, "tiers": tiers}) for one in DATA.sources)
    shown = DATA.model_copy(update={"sources": sources})
    figures = load_data_figures(shown, write_data(tmp_path, {"mix-aa11": CERTIFICATE}))
    assert "Licence unknown: web/math, wiki." in list_cautions(shown, IPT, figures)
    assert "! Licence unknown: web/math, wiki." in list_data_cautions(shown, figures)


def test_pages_are_well_formed_and_each_picture_says_what_it_shows(report):
    for path in (report / "report.html", *(report / "certificates").glob("*.html")):
        page = Strict(path.read_text(encoding="utf-8"))
        assert (page.faults, page.open) == ([], [])
        bars = [one for one in page.pictures if one.get("class") == "bar"]
        assert all(one["role"] == "img" and re.match(r"asked .* %, achieved .* %", one["aria-label"]) for one in bars)
        assert bars or path.name == "report.html"


def test_names_are_escaped_and_files_named_after_labels_that_have_latin_letters(report):
    names = sorted(path.stem for path in (report / "certificates").glob("*.html"))
    assert names == ["a-mixture-seed-0-mix-aa11", "sft-mix-sft"]
    html = (report / "certificates" / "a-mixture-seed-0-mix-aa11.html").read_text(encoding="utf-8")
    assert "no &lt;card&gt;" in html
    assert "混合 A" in html


def test_a_certificate_of_other_sources_than_the_study_names_is_refused(tmp_path):
    folders = write_data(tmp_path, {"mix-aa11": SFT_CERTIFICATE})
    with pytest.raises(DataError, match="its certificate is of 1 sources, the study names 2"):
        load_data_figures(DATA, folders)


def write_store(folder: Path, documents: int, responses: bool) -> Path:
    """A token store of documents of 20 tokens, the last five of each a response."""
    ends = np.arange(documents + 1) * 20
    spans = np.stack([ends[1:] - 5, ends[1:]], axis=1) if responses else np.empty((0, 2))
    index = {"dtype": "uint16", "vocab_size": 300, "tokens": int(ends[-1]), "documents": documents}
    index |= {"response_tokens": 5 * len(spans), "excluded": 0}
    write_index(folder, index)
    (folder / "tokens.bin").write_bytes(np.arange(ends[-1], dtype="<u2").tobytes())
    np.save(folder / "document_offsets.npy", ends.astype("<i8"))
    np.save(folder / "response_spans.npy", spans.astype("<i8"))
    return folder


def test_the_certificate_of_a_mixture_that_was_really_built_becomes_a_page(tmp_path):
    packs = []
    for name, kind, documents in (("math", "instruction", 6), ("wiki", "raw", 300)):
        packs.append(tmp_path / f"pack {name}")
        packs[-1].mkdir()
        store = write_store(tmp_path / name, documents, kind == "instruction")
        write_pack(PackSettings(sequence_tokens=40), store, kind, packs[-1])
    settings = MixtureSettings.model_validate(
        {
            "sources": [
                {"kind": "instruction", "language": "en", "category": "math"},
                {"kind": "raw", "language": "ja"},
            ],
            "instruction": "1/4",
            "budget": {"tokens": 4000},
            "max_epochs": 10,
        }
    )
    mixture = tmp_path / "mixture"
    mixture.mkdir()
    build_mixture(settings, packs, mixture)
    figures = load_data_figures(DATA, {"mix-aa11": mixture})
    joined = join_certificate(DATA, IPT, figures)
    math, wiki = joined["sources"]
    assert math["allocated_tokens"] + wiki["allocated_tokens"] == joined["total"]["allocated_tokens"]
    assert abs(math["allocated_tokens"] - 1000) <= 40
    assert math["repetition"] == pytest.approx(math["allocated_tokens"] / 120, rel=1e-4)
    assert [line.is_repeated_often for line in list_sources(read_certificate(mixture / "certificate.json"))] == [
        True,
        False,
    ]
    text = read_text(render_certificate_page(DATA, IPT, figures, ()))
    assert f"web/math en/math 1/4 25.0 {math['observed_ratio'] * 100:.1f}" in text
    assert "web not here not here not here" in text


def test_a_table_for_a_terminal_leaves_out_what_is_only_drawn():
    columns = (Column("Source"), Column("Drawn"), Column("Tokens", "number"))
    rows = [
        [Shown("日本"), Shown("", bar=(0.5, 0.4)), Shown("7")],
        [Shown("web"), Shown("", bar=(0.5, 0.6)), Shown("12")],
    ]
    text = render_table(Table("sources", "Sources", columns, rows, note="All."))
    assert text.splitlines() == ["Source  Tokens", "日本         7", "web         12", "All."]
