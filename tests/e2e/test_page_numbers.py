"""A page of everything a study can hold: each number of a score leads down to the digests of sources."""

import re
from pathlib import Path

import pytest
from compared_study import HOSTED, ITEMS, MIXED, MIXTURE, RAW, make_compared_study
from page_numbers import (
    NOT_SCORES,
    PageReader,
    find_digests,
    list_dead_ends,
    list_unlinked,
    read_lineage,
    read_page,
)

from mixlab.report.site.site import write_site

ITEM_DIGEST, DATA_DIGEST = "ef" * 32, "ab" * 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    out = root / "page"
    out.mkdir()
    write_site(make_compared_study(root / "made"), out)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> PageReader:
    return read_page(folder)


def test_the_page_holds_every_table_of_scores(page: PageReader) -> None:
    of_effects = {"main", "effects", "tests", "ranking", "relative", "intervals", "variance"}
    of_judges = {"judge", "judge_runs", "judge_lengths", "judge_scale", "judge_spread", "judge_own"}
    assert {name for name in page.tables if name not in NOT_SCORES} == {
        *of_effects,
        *of_judges,
        *("pairwise", "pairwise_flips", "cells"),
    }
    assert all(any(cell.states_a_number for cell in page.tables[name]) for name in page.tables if name != "variance")


def test_every_number_of_every_table_of_scores_leads_somewhere(page: PageReader) -> None:
    assert list_unlinked(page) == []


def test_wherever_a_number_leads_the_digest_of_a_source_is_behind_it(page: PageReader, folder: Path) -> None:
    assert list_dead_ends(page, read_lineage(folder)) == []


def test_a_model_that_leads_to_its_questions_alone_is_a_dead_end(page: PageReader, folder: Path) -> None:
    lineage = read_lineage(folder)
    # a mixture that does not name the packs it is made of
    nodes = {key: {**node, "parents": []} if key == MIXTURE else node for key, node in lineage["nodes"].items()}
    ends = {name for _, _, name in list_dead_ends(page, {**lineage, "nodes": nodes})}
    assert {name for name in lineage["cells"] if "|served|" not in name} <= ends
    assert {f"9{number:015x}" for number in range(9)} <= ends
    assert not [name for name in ends if "|served|" in name]


def test_a_trained_model_goes_back_to_its_data_and_a_served_one_to_its_questions_alone(folder: Path) -> None:
    lineage = read_lineage(folder)
    assert find_digests(lineage, f"{MIXED}|after_sft|gsm8k|accuracy") == {ITEM_DIGEST, DATA_DIGEST}
    assert find_digests(lineage, f"{HOSTED}|served|gsm8k|accuracy") == {ITEM_DIGEST}
    assert find_digests(lineage, f"{HOSTED}|after_sft|gsm8k|accuracy") == set()
    assert find_digests({**lineage, "nodes": {ITEMS: {"stage": "pack", "parents": []}}}, ITEMS) == set()


def test_a_win_rate_leads_to_its_comparisons_and_to_the_ratings_of_both_sides(page: PageReader) -> None:
    by_row = [cell.of for cell in page.tables["pairwise"] if cell.column == "Win rate, %"]
    (raw,) = (of for of in by_row if f"{RAW}|after_sft|mt_bench_ja|judge_score" in of)
    assert raw[:6] == [f"9{number:015x}" for number in range(6)]
    (served,) = (of for of in by_row if f"{HOSTED}|served|mt_bench_ja|judge_score" in of)
    assert served[:3] == [f"9{number:015x}" for number in (6, 7, 8)]
    assert served[3:] == [f"{HOSTED}|served|mt_bench_ja|judge_score", f"{MIXED}|after_sft|mt_bench_ja|judge_score"]


def test_every_measured_number_of_a_finding_leads_to_its_cells(page: PageReader) -> None:
    assert len(page.findings) > 6
    for parts in page.findings:
        plain = "".join(part.text for part in parts if not part.of)
        # what a study stated, the rule and the number of claims are no measurements
        stated = r"claimed were at least \S+:|rule of 3 standard errors|Of \d effects|“[^”]*”|gsm8k|from 0"
        assert not re.search(r"\d", re.sub(stated, "", plain)), plain
    effect = next(parts for parts in page.findings if parts[0].text.startswith("“code helps”"))
    assert {name for part in effect for name in part.of} == {
        f"{MIXED}|after_sft|gsm8k|accuracy",
        f"{RAW}|after_sft|gsm8k|accuracy",
    }
