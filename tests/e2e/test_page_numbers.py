"""A page of everything a study can hold: each number of a score leads down to the digests of sources."""

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
    of_targets = {f"target_{name}" for name in ("figure_one", "table_one", "table_two", "table_three")}
    assert {name for name in page.tables if name not in NOT_SCORES} == {
        *of_effects,
        *of_judges,
        *of_targets,
        *("pairwise", "pairwise_flips", "cells"),
    }
    assert all(any(cell.states_a_number for cell in page.tables[name]) for name in page.tables if name != "variance")


def test_every_number_of_a_table_or_a_sentence_leads_somewhere(page: PageReader) -> None:
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


def test_the_numbers_of_a_finding_lead_to_the_cells_of_both_sides(page: PageReader) -> None:
    assert len(page.findings) > 6
    effect = next(parts for parts in page.findings if parts[0].text.startswith("“code helps”"))
    assert {name for part in effect for name in part.of} == {
        f"{MIXED}|after_sft|gsm8k|accuracy",
        f"{RAW}|after_sft|gsm8k|accuracy",
    }


def test_the_numbers_of_a_target_lead_to_both_sides_of_what_is_compared(page: PageReader) -> None:
    sides = {
        "target_figure_one": [(MIXED, "before_sft"), (MIXED, "after_sft")],
        "target_table_one": [(MIXED, "after_sft"), (RAW, "after_sft")],
        "target_table_two": [(MIXED, "after_sft"), (MIXED, "before_sft")],
    }
    found = {
        name: {cell for one in page.tables[name] for cell in one.of if MIXED in "".join(one.of) and "gsm8k" in cell}
        for name in sides
    }
    assert found == {
        name: {f"{key}|{stage}|gsm8k|accuracy" for key, stage in members} for name, members in sides.items()
    }
    assert {tuple(cell.of) for cell in page.tables["target_table_three"] if cell.is_number} == {(MIXTURE,)}


def test_a_target_is_a_section_and_one_that_is_not_here_says_so(page: PageReader, folder: Path) -> None:
    targets = [name for name in page.sections if name.startswith("target-")]
    assert targets == [
        f"target-{name}" for name in ("figure-one", "table-one", "table-two", "table-three", "table-four")
    ]
    text = (folder / "index.html").read_text(encoding="utf-8")
    drawn = text.partition('<section id="target-figure-one">')[2].partition("</section>")[0]
    assert "<svg" in drawn and "GSM8K" in drawn and "var(--paper)" in drawn and "#ffffff" not in drawn
    assert "Samples and tokens: cannot be shown, since the artifact it is read from is not here." in text
