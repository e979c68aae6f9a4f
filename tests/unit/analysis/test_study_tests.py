"""The tests of a study's effects: families, gaps, and what a change of one score changes."""

import pandas as pd
import pytest

from mixlab.analysis.cells import build_cells, read_csv
from mixlab.analysis.effects import build_effects, comparison_id
from mixlab.analysis.study_tests import FILE, build_study_tests, trim, write_study_tests
from mixlab.config.analysis import ComparisonSettings


def compare(**changes):
    fields = {"variant_key": "rich", "against_key": "poor", "stage": "after_sft", "at_least": "1/10", **changes}
    return ComparisonSettings(**fields)


def rows(variant, seed, right, benchmark="gsm8k"):
    """Twelve items, so many of them right."""
    shared = {
        "variant_key": variant, "stage": "after_sft", "benchmark": benchmark, "measure": "accuracy",
        "language": "en", "category": "math", "judge": None, "mixture_seed": 1, "ipt_seed": 1, "sft_seed": seed,
        "generation_seed": 1, "judge_run": None, "turn": 1, "verdict_id": None, "parsed": True,
        "model_key": f"{variant}-{seed}",
    }  # fmt: skip
    return [{**shared, "item": f"{item:02}", "score": float(item < right)} for item in range(12)]


def run(frame, *comparisons):
    effects = build_effects(comparisons, build_cells(frame), frame)
    return build_study_tests(effects, frame)


@pytest.fixture
def frame():
    """`rich` has 9, 10, 12 of 12 right over three seeds, `poor` 3, 3, 4, `other` 8, 10, 11."""
    scores = {"rich": (9, 10, 12), "poor": (3, 3, 4), "other": (8, 10, 11)}
    return pd.DataFrame(
        [
            row
            for name, all_right in scores.items()
            for seed, right in enumerate(all_right)
            for row in rows(name, seed, right)
        ]
    )


def primary(tests, comparison, level="these models"):
    found = tests[comparison_id(comparison)]
    (row,) = [row for row in found if (row.role, row.level) == ("primary", level)]
    return row


def test_p_values_are_corrected_over_all_effects_that_one_test_could_be_made_of(frame):
    first, second, third = compare(), compare(against_key="other"), compare(against_key="nobody")
    tests = run(frame, first, second, third)
    p = [primary(tests, one).p for one in (first, second)]
    assert [primary(tests, one).family for one in (first, second)] == [2, 2]
    assert primary(tests, first).p_holm == pytest.approx(min(1, 2 * p[0]))
    assert primary(tests, second).p_holm == pytest.approx(max(2 * p[0], p[1]))
    assert primary(tests, second).p_bh == pytest.approx(max(p))
    assert primary(tests, third).note == "missing: against did not run it"


def test_every_test_has_a_row_at_its_level(frame):
    (found,) = run(frame, compare()).values()
    assert [(row.level, row.test) for row in found] == [
        ("these models", "paired_t"),
        ("these models", "welch_t"),
        ("these models", "pooled_t"),
        ("these models", "hierarchical_bootstrap"),
        ("these models", "mixed_model"),
        ("this recipe", "welch_t"),
        ("these models", "item_bootstrap"),
        ("these models", "mcnemar"),
        ("these models", "kodama_oda_t"),
    ]
    assert [row.difference for row in found[:5]] == pytest.approx([(31 - 10) / 36] * 5)


def test_a_benchmark_that_one_side_ran_is_missing_and_not_averaged_over(frame):
    more = pd.DataFrame([row for seed in range(3) for row in rows("rich", seed, 5, "mgsm_ja")])
    row = primary(run(pd.concat([frame, more]), compare()), compare())
    assert (row.p, row.difference) == (None, None)
    assert row.note == "missing: ran different benchmarks (gsm8k mgsm_ja / gsm8k)"


def test_a_seed_that_lacks_a_benchmark_is_left_out_with_its_number(frame):
    more = [row for name in ("rich", "poor") for seed in range(3) for row in rows(name, seed, 5 + seed, "mgsm_ja")]
    partial = [row for row in more if (row["variant_key"], row["sft_seed"]) != ("rich", 2)]
    row = primary(run(pd.concat([frame, pd.DataFrame(partial)]), compare()), compare())
    assert (row.test, row.n_variant, row.n_against) == ("paired_t", 2, 2)
    assert "paired over the 2 seeds that both have, of 2 and 3" in row.note
    assert row.note.endswith("1 of 6 models lack a benchmark or its scores and are left out")


def test_one_changed_score_changes_the_tests_of_its_point_alone(frame, tmp_path):
    first, second = compare(), compare(variant_key="poor", against_key="other")
    before = run(frame, first, second)
    # an item that `rich` had wrong with its first seed
    changed = frame.copy()
    place = changed[(changed["variant_key"] == "rich") & (changed["sft_seed"] == 0) & (changed["item"] == "11")].index
    changed.loc[place, "score"] = 1.0
    after = run(changed, first, second)
    assert primary(before, first).difference != primary(after, first).difference
    assert [row.p for row in before[comparison_id(second)]] == [row.p for row in after[comparison_id(second)]]
    write_study_tests(after, tmp_path)
    assert len(read_csv(tmp_path / FILE)) == sum(map(len, after.values()))


def test_a_study_that_claims_nothing_has_no_table(tmp_path):
    write_study_tests({}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_kept_to_ten_digits():
    assert (trim(1 / 3), trim(None), trim(2)) == (0.3333333333, None, 2)
