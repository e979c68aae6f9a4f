"""`mixlab canary`, as far as nothing is made: what it would test, and how mistakes are told."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mixlab.artifacts.store import Store, write_json
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node, Plan
from mixlab.plan.planfile import PlanFile
from mixlab.stages import rerunning
from mixlab.stages.canary import Laboratory, Outcome

Invoke = Callable[..., Result]


@pytest.fixture
def plan(micro: Path) -> Plan:
    """The micro study, whose artifacts all look whole and took ten seconds each."""
    plan = build_plan(micro, check_files=False).plan
    for node in plan.nodes.values():
        write_json(Store(micro).manifest_path(*node.name), {})
        write_json(micro / "provenance" / node.stage / node.key / "a.json", {"seconds": 10.0})
    return plan


def test_a_dry_run_draws_as_many_as_fit_into_the_time_one_of_each_stage(plan: Plan, invoke: Invoke) -> None:
    drawn = json.loads(invoke("canary", "--hours", "0.05", "--dry-run", "--json").stdout)
    stages = [one["stage"] for one in drawn["would_test"]]
    assert len(stages) == len(set(stages)) == 12
    assert drawn["unfit"] == len(plan.nodes) - 12
    text = invoke("canary", "--hours", "0.05", "--dry-run").stdout
    assert "12 canaries would be made, in about 3 min; 73 more do not fit." in text


def test_what_was_compared_is_drawn_after_what_was_not_and_what_was_refused_counts_for_nothing(
    plan: Plan, micro: Path, invoke: Invoke
) -> None:
    compared, refused, *_ = nodes = plan.by_stage("sft")
    write_json(micro / "canaries/sft" / compared.key / "a.json", {"verdict": "equal"})
    write_json(micro / "canaries/sft" / refused.key / "a.json", {"verdict": "refused"})
    (micro / "canaries/sft" / nodes[2].key).mkdir()
    (micro / "canaries/sft" / nodes[2].key / "a.json").write_text("{cut off")
    drawn = json.loads(invoke("canary", "--hours", "1", "--stage", "sft", "--dry-run", "--json").stdout)["would_test"]
    assert [one["tested"] for one in drawn] == [0, 0, 0, 1]
    assert drawn[-1]["key"] == compared.key


def test_a_dry_run_touches_nothing(plan: Plan, micro: Path, invoke: Invoke) -> None:
    before = sorted(micro.rglob("*"))
    assert invoke("canary", "--hours", "1", "--dry-run").exit_code == 0
    assert sorted(micro.rglob("*")) == before


def test_canaries_ask_for_what_the_size_of_their_model_says(
    plan: Plan, micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (micro / "config.yaml").open("a") as file:
        file.write("  sizes: [{up_to_parameters: 1e9, stages: {sft: {threads: 3}}}]\n")
    for node in [*plan.by_stage("tokenizer"), *plan.by_stage("pretrain")]:  # so that its size is what the study says
        Store(micro).manifest_path(*node.name).unlink()
    asked = []

    def make(host: Any, planned: PlanFile, node: Node, *_: Any) -> None:
        asked.append((node.stage, planned.machine_for(node).resources("sft").threads, os.environ["RAYON_NUM_THREADS"]))

    def test(laboratory: Laboratory, node: Node) -> Outcome:
        rerunning.main(["--plan", str(laboratory.plan_file), "--folder", str(laboratory.folder), node.stage, node.key])
        return Outcome(node, "equal", "equal", 1.0)

    monkeypatch.setenv("RAYON_NUM_THREADS", "1")  # so that it is undone
    monkeypatch.delenv("RAYON_NUM_THREADS")
    monkeypatch.setattr(rerunning, "make_artifact", make)
    monkeypatch.setattr(Laboratory, "test", test)
    monkeypatch.setattr(Laboratory, "write_record", lambda *_: None)
    result = invoke("canary", "--hours", "0.005", "--stage", "sft")
    assert result.exit_code == 0, result.output
    assert set(asked) == {("sft", 3, "3")}


def test_a_failure_taints_what_other_studies_of_the_folder_made_of_it(
    plan: Plan, micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study in a folder shares all data with micro and trains otherwise; nobody asked for it."""
    text = (micro / "studies/micro.yaml").read_text().replace("sft_seed: [1, 2]", "sft_seed: [1, 3]")
    (micro / "studies/paper").mkdir()
    (micro / "studies/paper/other.yaml").write_text(text)
    for node in build_plan(micro, ["paper/other"], check_files=False).plan.nodes.values():
        write_json(Store(micro).manifest_path(*node.name), {})
        if node.key not in plan.nodes:
            record = {"seconds": 10.0, "label": node.label}
            write_json(micro / "provenance" / node.stage / node.key / "a.json", record)
    monkeypatch.setattr(Laboratory, "test", lambda _, node: Outcome(node, "failed", "other bytes", 1.0))
    monkeypatch.setattr(Laboratory, "write_record", lambda *_: None)
    result = invoke("canary", "--hours", "1", "--stage", "pretrain", "micro", "--json")
    assert result.exit_code == 1, result.output
    (tainted,) = [one["tainted"] for one in json.loads(result.stdout)["canaries"]]
    assert tainted["studies"] == ["micro", "paper/other"]
    tuned = [one["labels"][0].partition("/")[0] for one in tainted["descendants"] if one["stage"] == "sft"]
    assert tuned == ["micro"] * 4 + ["paper"] * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--hours", "1"], "nothing of what is asked for is finished here"),
        (["--hours", "0"], "0.0 is not in the range x>0"),
        (["--hours", "nan"], "nan is not in the range x>0"),
        ([], "Missing option '--hours'"),
        (["--hours", "1", "mikro"], "did you mean 'micro'"),
        (["--hours", "1", "--stage", "avrage"], "'avrage' is not one of"),
    ],
)
def test_mistakes_are_told(micro: Path, invoke: Invoke, arguments: list[str], told: str) -> None:
    result = invoke("canary", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
