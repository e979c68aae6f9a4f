"""What is compared answers the same questions, however many answers the judge could not read."""

import math

import numpy as np
import pandas as pd
import pytest

from mixlab.analysis.cells import build_cells
from mixlab.analysis.effects import build_effects
from mixlab.analysis.ranking import build_rankings
from mixlab.analysis.relative import build_improvements
from mixlab.analysis.same_items import IMPROVED, RANKED, keep_same_items
from mixlab.analysis.study_tests import build_study_tests
from mixlab.config.analysis import ComparisonSettings

LEFT_OUT = "6 of 20 items left out: not every model compared has a score"
COMPARED = ComparisonSettings(
    variant_key="a", against_key="b", stage="after_sft", at_least="1/10", measure="judge_score"
)


def rows(variant, unread=(), stage="after_sft", seeds=(1, 2, 3)):
    """Two equal points but for noise: twenty items from hard to easy; those `unread` could not be read."""
    noise = np.random.default_rng([ord(variant), len(stage)])
    shared = {
        "variant_key": variant, "stage": stage, "benchmark": "talk", "measure": "judge_score", "language": "en",
        "category": None, "judge": "rule", "mixture_seed": 1, "ipt_seed": 1, "generation_seed": 1, "judge_run": 1,
        "turn": 1, "verdict_id": None, "base_model_key": "base",
    }  # fmt: skip
    return [
        {
            **shared, "sft_seed": seed, "model_key": f"{variant}{stage}{seed}", "item": f"{item:02}",
            "score": math.nan if item in unread else 1 + 0.4 * item + noise.normal(0, 0.1),
            "parsed": item not in unread,
        }
        for seed in seeds for item in range(20)
    ]  # fmt: skip


@pytest.fixture
def frame():
    """The judge cannot read the six hardest answers of `a`."""
    return pd.DataFrame(rows("a", unread=range(6)) + rows("b"))


def test_points_are_compared_on_the_items_both_have_scores_for(frame):
    effects = build_effects([COMPARED], build_cells(frame), frame)
    (found,) = build_study_tests(effects, frame).values()
    primary = found[0]
    assert primary.difference == pytest.approx(0, abs=0.1)
    assert primary.p > 0.05
    assert primary.note == LEFT_OUT
    assert effects[0].result.difference == pytest.approx(primary.difference)
    by_test = {row.test: row for row in found if row.level == "these models"}
    assert by_test["kodama_oda_t"].difference == pytest.approx(primary.difference)
    assert LEFT_OUT in by_test["kodama_oda_t"].note
    assert by_test["item_bootstrap"].difference == pytest.approx(primary.difference)


def test_a_side_without_a_single_score_is_missing_and_its_items_are_counted(frame):
    lost = pd.DataFrame(rows("a", unread=range(20)) + rows("b"))
    (found,) = build_study_tests(build_effects([COMPARED], build_cells(lost), lost), lost).values()
    assert found[0].p is None
    assert found[0].note.startswith("missing: variant has no model with scores in all of 1")
    assert "20 of 20 items" in found[0].note


def test_points_are_ranked_on_the_items_all_have_scores_for(frame):
    ranked = build_rankings(build_cells(keep_same_items(frame, RANKED)), {"a": "base", "b": "base"})
    first, second = (one for one in ranked if one.level == "these models")
    assert second.behind_best < 0.1
    assert LEFT_OUT in first.note and LEFT_OUT in second.note


def test_improvement_is_of_the_items_that_have_scores_before_and_after():
    both = pd.DataFrame(rows("a", range(6)) + rows("a", (), "before_sft", (math.nan,)))
    one = next(iter(build_improvements(build_cells(keep_same_items(both, IMPROVED)))))
    assert one.improvement == pytest.approx(0, abs=0.05)
    assert one.note == LEFT_OUT


def test_a_model_without_any_score_takes_no_item_from_the_others():
    whole = pd.DataFrame(rows("a", range(20), seeds=(1,)) + rows("b", [3]) + rows("a", seeds=(2, 3)))
    kept = keep_same_items(whole, ("benchmark", "measure"))
    known = kept.groupby("model_key")["score"].count()
    assert known.to_dict() == {"aafter_sft1": 0} | {name: 19 for name in known.index if name != "aafter_sft1"}
