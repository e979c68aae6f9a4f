"""`mixlab explain --why`: why an artifact would run, against the finished one most like it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mixlab.artifacts.recompute import write_recompute
from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan

Invoke = Callable[..., Result]
STUDY = Path("studies/micro.yaml")
EVEN = "micro/even/mixture_seed 1"


def edit(old: str, new: str) -> None:
    text = STUDY.read_text()
    assert old in text
    STUDY.write_text(text.replace(old, new, 1))


def make(root: Path, node: Node) -> None:
    """Let an artifact be here, with the manifest that its stage would have written."""
    path = Store(root).manifest_path(*node.name)
    path.parent.mkdir(parents=True)
    parents = {role: list(keys) for role, keys in node.parents.items()}
    card = {"stage": node.stage, "key": node.key, "spec": to_plain(node.spec), "parents": parents, "files": []}
    path.write_text(json.dumps(card))
    record = root / "provenance" / node.stage / node.key / "a.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"label": node.label, "finished": "2026-11-20T10:00:00+00:00"}))


@pytest.fixture
def made(micro: Path) -> Plan:
    """The micro study with all of it here."""
    plan = build_plan(micro).plan
    for node in plan.nodes.values():
        make(micro, node)
    return plan


def test_what_is_finished_has_no_reason_to_run(made: Plan, micro: Path, invoke: Invoke) -> None:
    (ipt, *_) = made.by_stage("ipt")
    assert invoke("explain", "--why", ipt.key).stdout.splitlines()[1] == "nothing: complete here"
    manifest = Store(micro).manifest_path(*ipt.name)
    pointer = Store(micro).pointer(*ipt.name)
    manifest.unlink()
    told = "nothing: not here, but nothing needs it: all that is made from it is finished"
    assert invoke("explain", "--why", f"artifacts/ipt/{ipt.key}/manifest.json").stdout.splitlines()[1] == told
    pointer.parent.mkdir(parents=True)
    pointer.write_text("outs: []\n")
    said = invoke("explain", "--why", f"tracked/ipt/{ipt.key}.dvc").stdout
    assert said.splitlines()[1] == "nothing: tracked; nothing here needs it"


def test_a_changed_ratio_is_found_from_far_below_one_step_a_line(made: Plan, invoke: Invoke) -> None:
    edit("math: 3, reasoning: 1", "math: 4, reasoning: 1")
    label = "micro/math heavy 数学/mixture_seed 1/ipt_seed 1/sft_seed 1/demo_math_en/generation_seed 1/score"
    lines = invoke("explain", "--why", label).stdout.splitlines()
    assert lines[1].startswith("would run: not here, not tracked, not discarded; scores '")
    assert [line.split()[1] for line in lines[2:]] == ["score", "generate", "sft", "average", "ipt", "mixture"]
    assert lines[2].endswith(", complete), but another artifact as responses")
    assert lines[-1].endswith(", complete), but category.math 3/4 -> 4/5; category.reasoning 1/4 -> 1/5")
    (old,) = (node for node in made.by_stage("mixture") if node.label.startswith("micro/math heavy"))
    assert f"'{old.label}' ({old.key}, complete)" in lines[-1]


def test_a_new_variant_is_compared_with_the_one_most_like_it(made: Plan, invoke: Invoke) -> None:
    new = "  more maths:\n    instruction: 1/2\n    category: {weights: {math: 5, reasoning: 1}}\n"
    edit("\nipt:\n", f"{new}\nipt:\n")
    answer = json.loads(invoke("explain", "--why", "more maths/mixture_seed 1/ipt_seed 1/ipt", "--json").stdout)
    assert answer["would_run"]
    assert [(step["stage"], len(step["changes"])) for step in answer["steps"]] == [("ipt", 0), ("mixture", 2)]
    labels = {node.label for node in made.by_stage("ipt")}
    assert answer["steps"][0]["relative"]["label"] in labels
    changed = {one["path"]: one["new"] for one in answer["steps"][1]["changes"]}
    assert changed == {"category.math": "5/6", "category.reasoning": "1/6"}


def test_two_causes_are_both_told_and_each_once(made: Plan, invoke: Invoke) -> None:
    edit("vocab_size: 400", "vocab_size: 420")
    edit("average: {last: 4}", "average: {last: 3}")
    said = invoke("explain", "--why", f"{EVEN}/ipt_seed 1/sft_seed 1/sft").stdout
    assert said.count("vocab_size 400 -> 420") == 1
    assert said.count("last 4 -> 3") == 1


def test_a_version_that_was_raised_and_a_missing_file_are_named(made: Plan, micro: Path, invoke: Invoke) -> None:
    (report,) = made.by_stage("report")
    path = Store(micro).manifest_path(*report.name)
    card = json.loads(path.read_text())
    path.unlink()
    said = invoke("explain", "--why", report.key).stdout
    place = f"artifacts/report/{report.key}"
    assert f"would run: {place} has no manifest.json, so it is no whole artifact; study micro asks for it" in said
    assert "no finished artifact of stage report is known" in said
    before = micro / "artifacts/report/0123456789abcdef/manifest.json"
    before.parent.mkdir()
    card |= {"key": "0123456789abcdef", "spec": {**card["spec"], "version": card["spec"]["version"] - 1}}
    before.write_text(json.dumps(card))
    assert "as report" in (said := invoke("explain", "--why", report.key).stdout)
    assert f"version {card['spec']['version']} -> {card['spec']['version'] + 1}" in said


def test_what_was_committed_and_tracked_is_a_relative_by_the_last_commits_study(micro: Path, invoke: Invoke) -> None:
    """A pointer says no spec; the study that asked for it does."""
    identity = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    for node in build_plan(micro).plan.nodes.values():
        path = Store(micro).pointer(*node.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"outs:\n- md5: {'0' * 32}.dir\n  size: 1\n  nfiles: 1\n  path: {node.key}\n")
    stray = Store(micro).pointer("report", "f" * 16)
    stray.write_text(f"outs:\n- md5: {'0' * 32}.dir\n  size: 1\n  nfiles: 1\n  path: {'f' * 16}\n")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "the study")):
        subprocess.run(["git", *identity, *command], check=True, capture_output=True)
    edit("Micro study", "Small study")
    said = invoke("explain", "--why", "micro/report").stdout
    assert ", tracked), but title Micro study -> Small study" in said
    assert "not compared: 1 of this stage that are known by pointer alone, which says no spec" in said
    report = build_plan(micro).plan.by_stage("report")[0]
    path = Store(micro).pointer(*report.name)
    path.write_text(stray.read_text())
    write_recompute(Store(micro), [report.name])
    assert "tracked, but its data is lost (work/recompute.json)" in invoke("explain", "--why", report.key).stdout


def test_a_mistake_is_told(micro: Path, invoke: Invoke) -> None:
    result = invoke("explain", "--why", "micro/reprot")
    assert result.exit_code == 2
    assert "did you mean" in result.stderr
