"""Trainers that are not ours in a plan: keys, what is read, and a machine that cannot run them."""

from pathlib import Path

import pytest
from golden import REPOSITORY

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.trainers import trainer_of
from mixlab.plan.workflow import open_workflow

STUDY = """\
extends: micro.yaml
ipt:
  training:
    trainer: {type: external, name: second, version: VERSION, export: windows, settings: {momentum: 0.9}}
sft:
  training:
    trainer: {type: external, name: megatron, version: core_v0.14, export: megatron}
"""
CONFIG = "study: outside\nmachine:\n  data_roots: {micro: absent}\n"
SECOND = (
    "  trainers:\n    second: {commands: [[train, '{spec}', '{settings.lr}']]}\n    megatro: {commands: [['{out}']]}\n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "studies").mkdir()
    for name in ("sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(root: Path, version: str) -> Plan:
    (root / "studies/outside.yaml").write_text(STUDY.replace("VERSION", version))
    return build_plan(root, ["outside"], check_files=False).plan


def keys(one: Plan, stage: str) -> list[str]:
    return [node.key for node in one.by_stage(stage)]


def test_name_and_version_enter_the_keys_and_the_machine_does_not(root: Path) -> None:
    first, second = plan(root, "'1'"), plan(root, "'2'")
    assert keys(first, "mixture") == keys(second, "mixture")
    assert set(keys(first, "ipt")).isdisjoint(keys(second, "ipt"))
    (root / "config.yaml").write_text(CONFIG + SECOND)
    assert list(plan(root, "'2'").nodes) == list(second.nodes)
    assert set(keys(first, "ipt")).isdisjoint(keys(build_plan(root, ["micro"], check_files=False).plan, "ipt"))


def test_a_trainer_that_is_not_ours_reads_the_tokenizer_as_well(root: Path) -> None:
    planned = plan(root, "'1'")
    tokenizer = tuple(keys(planned, "tokenizer"))
    nodes = [*planned.by_stage("ipt"), *planned.by_stage("sft")]
    assert len(nodes) == 6
    assert {trainer.title for node in nodes if (trainer := trainer_of(node.spec))} == {
        "second 1 (external)",
        "megatron core_v0.14 (external)",
    }
    assert {node.reads.get("tokenizer") for node in nodes} == {tokenizer}
    ours = build_plan(root, ["micro"], check_files=False).plan.by_stage("ipt")
    assert {tuple(node.reads) for node in ours} == {("packs", "stores")}


def test_snakemake_is_told_before_any_job_of_all_that_this_machine_cannot_run(root: Path) -> None:
    (root / "config.yaml").write_text(CONFIG + SECOND)
    planned = plan(root, "'1'")
    with pytest.raises(ConfigError) as caught:
        open_workflow(root, {}, True, {})
    ipt, sft = planned.by_stage("ipt")[0], planned.by_stage("sft")[0]
    assert sorted(map(str, caught.value.problems)) == [
        "config.yaml: machine.trainers.megatron: this machine has no such trainer; did you mean 'megatro'?; "
        f"needed by sft '{sft.label}' and 3 more",
        "config.yaml: machine.trainers.second: placeholder {settings.lr}: there is no 'lr'; "
        f"there is momentum; needed by ipt '{ipt.label}' and 1 more",
    ]


def test_models_that_are_there_need_no_trainer(root: Path) -> None:
    planned = plan(root, "'1'")
    for node in planned.by_stage("report"):
        path = root / "artifacts" / node.stage / node.key / "manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    assert open_workflow(root, {}, True, {}).demand.run == ()
