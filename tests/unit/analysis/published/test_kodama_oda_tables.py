"""What follows from the published tables, and what does not; and that a changed number is found."""

import csv
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from mixlab.analysis.published.derivations import Derivation
from mixlab.analysis.published.kodama_oda import CATEGORIES, GENERAL, derive_all
from mixlab.analysis.published.rounded import average
from mixlab.analysis.published.significance import compare_table_3
from mixlab.analysis.published.tables import PublishedTable, load_tables


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "published/kodama-oda"


@pytest.fixture(scope="module")
def derived(folder: Path) -> dict[str, Derivation]:
    return {one.name: one for one in derive_all(load_tables(folder))}


def test_all_numbers_follow_but_a_total_of_table_2_and_the_means_called_general(derived: dict[str, Derivation]) -> None:
    counts = {name: (len(one.checks), len(one.failing)) for name, one in derived.items()}
    assert counts == {
        "totals of Table 1": (4, 0),
        "totals of Table 2": (4, 1),
        "totals of Table 13": (2, 0),
        "ratios of Table 9": (12, 0),
        "averages of Table 12": (32, 0),
        "baselines of Table 12": (88, 0),
        "averages of Table 16": (12, 0),
        "measures of Table 4": (160, 0),
        "`general` of Table 4": (32, 16),
        "baseline of Table 12 in Table 16": (18, 0),
        "cells of Table 1": (7, 0),
        "cells of Table 13": (4, 0),
        "claim of section 4.1.3": (1, 0),
    }


def test_a_cell_whose_datasets_cannot_all_be_read_is_not_computed_and_says_why(derived: dict[str, Derivation]) -> None:
    gaps = {name: one.gaps for name, one in derived.items() if one.gaps}
    assert list(gaps) == ["cells of Table 1"]
    (gap,) = gaps["cells of Table 1"]
    assert (gap.where, gap.printed) == ("Japanese, code", "10.8")
    assert "logical-wizardlm8x22b-ja cannot be read in the table; the other rows give 0.245" in gap.why


def test_what_does_not_follow_is_named_with_its_computation(derived: dict[str, Derivation]) -> None:
    (samples,) = derived["totals of Table 2"].failing
    assert (samples.printed, samples.computed, samples.apart) == ("1005313", "1005170", -143.0)
    assert samples.computation == "90748 + 179531 + 10980 + 2712 + 89985 + 549870 + 37498 + 43846"
    general = derived["`general` of Table 4"].failing
    assert {check.where.rpartition(", ")[2] for check in general} == {"mean"}
    assert all("writing alone" in check.computation for check in general)
    assert general[0].computation.startswith("(4.17 + 6.12 + 5.78 + 5.39) / 4; printed is the number of writing")


def test_no_other_set_of_categories_explains_the_differences_called_general(folder: Path) -> None:
    tables = load_tables(folder)
    column, rows = "delta_abs_vs_baseline", tables["04"].select(category="general")
    parts = [
        {one: tables["12"].one(**{**row.labels, "category": one}).read(column) for one in CATEGORIES} for row in rows
    ]
    sets = [chosen for size in range(1, len(CATEGORIES) + 1) for chosen in combinations(CATEGORIES, size)]
    explained = {
        chosen: sum(
            average(part[one] for one in chosen).meets(row.read(column)) for part, row in zip(parts, rows, strict=True)
        )
        for chosen in sets
    }
    best, second = sorted(explained.values(), reverse=True)[:2]
    assert explained[GENERAL] == best == len(rows) == 16
    assert second == 4


def test_the_claim_shows_all_eight_comparisons(derived: dict[str, Derivation]) -> None:
    (claim,) = derived["claim of section 4.1.3"].checks
    assert (claim.printed, claim.computed, claim.follows) == ("7", "7", True)
    assert claim.computation.count(";") == 7
    assert "llama-inhouse EN: 4.51 < 4.60" in claim.computation


@pytest.mark.parametrize(
    ("table", "old", "new", "name"),
    [
        ("01", "13.3", "13.9", "totals of Table 1"),
        ("09", "36.80", "36.90", "ratios of Table 9"),
        ("16", "AVG,4.52", "AVG,4.55", "averages of Table 16"),
        ("12", "MT-Bench,EN,AVG,4.78", "MT-Bench,EN,AVG,4.80", "averages of Table 12"),
        ("12", "HumanEval,EN,,0.27,-0.03", "HumanEval,EN,,0.27,-0.09", "baselines of Table 12"),
        ("04", "coding,4.58,-0.35", "coding,4.68,-0.35", "measures of Table 4"),
        ("16", "1.8B,25k,yes,EN,coding,4.", "1.8B,25k,yes,EN,coding,3.", "baseline of Table 12 in Table 16"),
        (
            "17",
            "llm-jp-reasoning-qwen32b-en,en,reasoning,3.3",
            "llm-jp-reasoning-qwen32b-en,en,reasoning,2.3",
            "cells of Table 1",
        ),
        ("13", "Japanese,math,37498,20.8", "Japanese,math,37498,21.8", "cells of Table 13"),
        ("03", "EN,AVG,5.12,0.13", "EN,AVG,5.02,0.13", "claim of section 4.1.3"),
    ],
)
def test_a_changed_number_no_longer_follows(
    folder: Path, tmp_path: Path, derived: dict[str, Derivation], table: str, old: str, new: str, name: str
) -> None:
    copied = tmp_path / "tables"
    shutil.copytree(folder, copied)
    path = copied / f"table{table}.csv"
    path.chmod(0o644)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    changed = {one.name: len(one.failing) for one in derive_all(load_tables(copied))}
    assert changed[name] > len(derived[name].failing)


def find_row(table: PublishedTable, model: str, language: str, config: str) -> list[str]:
    with table.path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["model"], row["language"]) == (model, language)]
    return [row["mean"] for row in rows if row["config"] == config]


def test_half_reasoning_against_balanced_is_tested_for_both_n_with_and_without_holm(folder: Path) -> None:
    table = load_tables(folder)["03"]
    tested = compare_table_3(table)
    assert [(one.n, one.model, one.language) for one in tested] == [
        (n, model, language)
        for n in (3, 9)
        for model in ("llmjp3", "qwen2.5", "llama-inhouse", "llama3.2")
        for language in ("EN", "JA")
    ]
    by_place = {(one.n, one.model, one.language): one for one in tested}
    one = by_place[3, "llama-inhouse", "JA"]
    assert [f"{one.mean:.2f}"] == find_row(table, "llama-inhouse", "JA", "17/17/17/50")
    assert [f"{one.against_mean:.2f}"] == find_row(table, "llama-inhouse", "JA", "25/25/25/25")
    # Welch by hand: sd 0.08 and 0.14, n 3: t = 0.32 / sqrt((0.0064 + 0.0196) / 3)
    assert one.test.t == pytest.approx(0.32 / (0.026 / 3) ** 0.5)
    for n in (3, 9):
        some = [by_place[n, *pair] for pair in {(one.model, one.language) for one in tested}]
        smallest = min(some, key=lambda found: found.test.p or 1)
        assert smallest.p_holm == pytest.approx(min(1.0, 8 * (smallest.test.p or 1)))
    assert all((by_place[9, m, lang].test.p or 0) < (by_place[3, m, lang].test.p or 0) for m, lang in
               {(one.model, one.language) for one in tested})  # fmt: skip
