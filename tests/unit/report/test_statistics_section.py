"""The page's part on statistics, and the tidy table: what is said is what the aggregate found."""

import csv

import pyarrow.parquet as pq
import pytest

from mixlab.analysis.effects import comparison_id
from mixlab.analysis.statistics_tables import read_statistics
from mixlab.report.numbers import load_numbers
from mixlab.report.statistics import build_statistics_section
from mixlab.report.terminal import render_tests


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def section(settings, aggregate):
    return build_statistics_section(settings, load_numbers(settings, aggregate))


def test_the_section_says_at_each_level_how_much_could_be_tested(section):
    # three effects after SFT, which seeds of both variants move alike; one before it, where no seed varies
    said = list(map(str, section.sentences))
    assert said[0] == "Claims about these models: not estimable, for all 4 differences."
    assert said[1] == "Claims about this recipe: not estimable, for all 4 differences."
    assert said[-1] == "Judge scores are by rule judge (not a language model)."


def test_every_test_of_every_effect_is_a_row_with_its_name(report, settings):
    rows = read(report / "tables" / "tests.csv")
    assert {row["name"] for row in rows} == {effect.name for effect in settings.effects}
    keys = settings.variant_keys()
    assert {row["effect"] for row in rows} == {comparison_id(one.to_comparison(keys)) for one in settings.effects}
    assert {row["level"] for row in rows} == {"these models", "this recipe"}
    assert {row["test"] for row in rows} >= {"item_bootstrap", "kodama_oda_t"}


def test_a_mixture_that_is_not_estimable_says_why_in_its_row(report):
    rows = [row for row in read(report / "tables" / "ranking.csv") if row["level"] == "this recipe"]
    notes = [row["note"] for row in rows if row["rank"] == "2"]
    assert notes
    assert all(one.startswith("not estimable: one IPT seed; SFT seeds do not contain") for one in notes)


def test_improvement_by_sft_has_an_interval_over_the_seeds(report):
    rows = read(report / "tables" / "relative.csv")
    (row,) = [
        row for row in rows
        if (row["variant"], row["benchmarks"], row["level"]) == ("混合 A", "math_en", "these models")
    ]  # fmt: skip
    # 8 of 10 before, 8 9 10 after
    assert float(row["improvement"]) == pytest.approx(0.125)
    assert float(row["low"]) < 0.125 < float(row["high"])


def test_the_aggregates_tables_are_read_by_name_and_absent_ones_are_left_out(aggregate):
    assert set(read_statistics(aggregate)) == {"tests", "ranking", "relative", "intervals", "variance"}
    (aggregate / "tests.csv").unlink()
    assert "tests" not in read_statistics(aggregate)


def test_the_tidy_table_has_names_ratios_seeds_and_keys(report):
    table = pq.read_table(report / "scores.parquet")
    rows = read(report / "scores.csv")
    assert len(rows) == len(table) > 100
    assert table.schema.names[:3] == ["study", "variant", "base_model"]
    wanted = {
        *("stage", "mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run", "verdict_id", "benchmark"),
        *("language", "category", "item", "score", "parsed", "model_key", "mixture_key", "variant_key"),
        *("instruction_ratio", "raw_ratio", "language_en_ratio", "category_math_ratio", "raw_ja_ratio"),
    }
    assert wanted <= set(table.schema.names)
    row = next(row for row in rows if row["variant_key"] == "aa11")
    assert (row["variant"], row["study"]) == ("混合 A", "A small <study> & its numbers")
    assert float(row["instruction_ratio"]) == pytest.approx(1 / 3)
    assert float(row["category_math_ratio"]) == 1.0


def test_a_terminal_shows_the_primary_tests_with_p_or_with_the_reason():
    common = {"name": "more is more", "role": "primary", "unit": "sft_seed", "note": "", "test": "paired_t"}
    tested = {**common, "level": "these models", "p": "0.012", "p_holm": "0.024", "family": "2"}
    tested |= {"n_variant": "3", "n_against": "3"}
    open_one = {**common, "level": "this recipe", "p": "", "note": "not estimable: one IPT seed"}
    assert render_tests([tested, {**tested, "role": "beside"}, open_one]) == [
        "more is more, these models: p 0.012, Holm 0.024 over 2 (paired t, 3 and 3 sft seeds)",
        "more is more, this recipe: not estimable: one IPT seed",
    ]
