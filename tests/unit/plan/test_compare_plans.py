"""Where the difference between two plans begins: the relative that is named shares the parents."""

import re
from pathlib import Path

from mixlab.config.editing import parse_edit
from mixlab.plan.build import build_plan
from mixlab.plan.compare import find_plain_changes, list_causes
from mixlab.plan.graph import Plan

REPOSITORY = Path(__file__).resolve().parents[3]


def plan_micro(*edits: str) -> Plan:
    return build_plan(REPOSITORY, ["micro"], check_files=False, edits=[parse_edit(one) for one in edits]).plan


def test_another_seed_of_every_model_is_one_cause() -> None:
    old, new = plan_micro(), plan_micro("seeds.sft_seed=[1, 2, 3]")
    (sft,) = list_causes(old, new)
    assert (sft.stage, len(sft.keys), [str(change) for change in sft.changes]) == ("sft", 2, ["sft_seed 1 -> 3"])
    assert sft.relative == sft.label.replace("sft_seed 3", "sft_seed 1")


def test_of_equal_specs_the_relative_has_most_of_the_parents() -> None:
    """Judges of the second run are nearest to those of the first that rated the same answers."""
    old, new = plan_micro("seeds.judge_run=[1]"), plan_micro()
    judged = [one for one in list_causes(old, new) if one.stage == "judge"]
    assert [(len(one.keys), [str(change) for change in one.changes]) for one in judged] == [(6, ["judge_run 1 -> 2"])]
    assert judged[0].relative == judged[0].label.replace("judge_run 2", "judge_run 1")


def test_what_an_edit_does_to_keys_puts_no_source_beside_another() -> None:
    old = plan_micro()
    assert [one.stage for one in list_causes(old, plan_micro("contamination.words=12"))] == ["contamination"]
    new = plan_micro("contamination.words=12", "sources.raw_ja.licence=PDDL-1.0")
    (told,) = [[str(change) for change in one.changes] for one in list_causes(old, new) if one.stage == "report"]
    assert [re.sub(r"\d", "N", change) for change in told] == ["data.sources.N.licence CCN-N.N -> PDDL-N.N"]
    (told,) = [one for one in list_causes(old, plan_micro("sources.math_file.filters=[]")) if one.stage == "report"]
    assert [re.sub(r"\d", "N", str(one)) for one in told.changes] == ["data.sources.N.filters N entries -> N entries"]


def test_a_renamed_source_stands_beside_what_it_was_called() -> None:
    before = {"report": {"sources": [{"name": name, "licence": name} for name in "abc"]}}
    after = {"report": {"sources": [{"name": name, "licence": name.replace("z", "a")} for name in "zcb"]}}
    assert [str(one) for one in find_plain_changes(before, after)] == ["sources.0.name a -> z"]


def test_a_second_filter_is_nearest_to_the_first_of_the_same_source() -> None:
    old, new = plan_micro(), plan_micro("filters[1]={type: exact_duplicates}")
    causes = [one for one in list_causes(old, new) if one.stage == "filter"]
    assert {one.relative for one in causes} == {one.label.replace("/2 exact", "/1 exact") for one in causes}
    assert len(causes) == 4
