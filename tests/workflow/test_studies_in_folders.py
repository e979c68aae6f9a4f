"""Studies in folders of `studies/` count wherever all studies do: what they need is kept, what they made is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mixlab.artifacts.store import Store, write_json
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan

Invoke = Callable[..., Result]
NAME = "papers/deep"


@pytest.fixture
def plan(micro: Path) -> Plan:
    """A study in a folder that shares all but the averages, and what is below them, with the finished micro study."""
    for node in build_plan(micro, ["micro"], check_files=False).plan.nodes.values():
        write_json(Store(micro).manifest_path(*node.name), {})
        write_json(micro / "provenance" / node.stage / node.key / "a.json", {"versions": {"torch": "2.13.0"}})
    (micro / "studies/papers").mkdir()
    (micro / f"studies/{NAME}.yaml").write_text("extends: ../micro.yaml\ntitle: Deep\naverage: {last: 3}\n")
    return build_plan(micro, [NAME], check_files=False).plan


def test_what_a_study_in_a_folder_still_needs_is_not_discarded(plan: Plan, micro: Path, invoke: Invoke) -> None:
    result = invoke("discard", "ipt", "--reason", "averaged")
    assert result.exit_code == 2
    assert f"needed by average {NAME}/even/mixture_seed 1/ipt_seed 1/average" in result.stderr
    assert all(Store(micro).manifest_path(*node.name).exists() for node in plan.by_stage("ipt"))


def test_its_artifacts_are_explained_by_key_and_label(plan: Plan, invoke: Invoke) -> None:
    average = plan.by_stage("average")[0]
    for what in (average.key, average.label):
        said = invoke("explain", "--why", what).stdout
        assert said.startswith(f"average {average.key} '{average.label}'\nwould run: ")
        assert ", complete) for '" in said
        assert "but last 4 -> 3" in said


def test_it_is_named_without_its_folder_where_its_study_goes_without_saying(
    plan: Plan, micro: Path, invoke: Invoke
) -> None:
    (report,) = plan.by_stage("report")
    assert [one.label for one in report.spec.report.data.mixtures] == [
        "even, mixture_seed 1",
        "math heavy 数学, mixture_seed 1",
        "sft",
        "tiny",
    ]
    shutil.rmtree(micro / "artifacts")
    said = invoke("price", NAME, "--edit", "average.last=2").stdout
    assert "\naverage 'even/mixture_seed 1/ipt_seed 1': last 3 -> 2" in said
    (micro / "studies/papers/other.yaml").write_text(
        "extends: ../micro.yaml\ntitle: Other\nbase_models: {tiny: {pretrain_seed: 2}}\n"
    )
    lines = json.loads(invoke("price", NAME, "papers/other", "--json").stdout)["lines"]
    # one base model of each, which were added up under the name of their folder
    assert {one["base_model"] for one in lines} == {"papers/deep/tiny", "papers/other/tiny"}


def test_what_it_mixed_is_found_when_everything_is_looked_at(plan: Plan, micro: Path, invoke: Invoke) -> None:
    for version, node in zip(("2.12.0", "2.13.0"), plan.by_stage("average"), strict=True):
        write_json(Store(micro).manifest_path(*node.name), {})
        write_json(micro / "provenance/average" / node.key / "a.json", {"versions": {"torch": version}})
    mixed = json.loads(invoke("drift", "--all", "--json").stdout)["mixed"]
    assert [(one["what"], one["stage"], one["condition"]) for one in mixed] == [(f"study {NAME}", "average", "torch")]


def test_what_its_judges_may_cost_can_be_capped(plan: Plan, micro: Path, invoke: Invoke) -> None:
    with (micro / "config.yaml").open("a") as file:
        file.write(f"  judging: {{budgets: {{{NAME}: {{max_cost: 5}}}}}}\n")
    assert invoke("plan", NAME).exit_code == 0
    (micro / f"studies/{NAME}.yaml").rename(micro / "studies/papers/deeper.yaml")
    told = invoke("plan", "micro").stderr
    assert f"no study is named '{NAME}'; did you mean 'papers/deeper'? (studies: micro, papers/deeper)" in told
