"""The plan file: all that a job needs, written once under the digest of what it says."""

import json
from pathlib import Path

import pytest
from golden import plan_micro
from pydantic import ValidationError

from mixlab.artifacts.keys import build_digest
from mixlab.artifacts.store import Store
from mixlab.config.machine import MachineSettings, StageResources
from mixlab.plan import specs
from mixlab.plan.graph import Node, Plan
from mixlab.plan.planfile import read_plan, render_plan, write_plan

MACHINE = MachineSettings(
    data_roots={"データ": "../a b"}, micro_batch_windows=3, stages={"ipt": StageResources(threads=2, gpus=1)}
)
FILES = {"0" * 64: "/somewhere/データ.jsonl"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_micro()


def list_facts(node: Node) -> tuple[object, ...]:
    return node.stage, node.key, node.spec, node.parents, node.reads, node.group, node.labels


def test_what_is_read_is_what_was_written(plan: Plan, tmp_path: Path) -> None:
    text = render_plan(plan, MACHINE, FILES)
    again = read_plan(write_plan(Store(tmp_path), text))
    assert [list_facts(node) for node in again.plan.nodes.values()] == [
        list_facts(node) for node in plan.nodes.values()
    ]
    assert again.plan.targets == plan.targets
    assert (again.machine, again.files) == (MACHINE, FILES)
    assert render_plan(again.plan, again.machine, again.files) == text


def test_an_empty_plan_can_be_read(tmp_path: Path) -> None:
    path = write_plan(Store(tmp_path), render_plan(Plan(), MachineSettings(), {}))
    assert read_plan(path).plan.nodes == {}


def test_a_spec_that_many_artifacts_share_is_written_and_read_once(plan: Plan, tmp_path: Path) -> None:
    text = render_plan(plan, MACHINE, FILES)
    cards = [json.loads(line) for line in text.splitlines()[1:]]
    assert sum(isinstance(card, dict) for card in cards) < sum(isinstance(card, list) for card in cards)
    again = read_plan(write_plan(Store(tmp_path), text)).plan
    first, second = again.by_stage("ipt")
    assert first.spec is second.spec


def test_the_path_is_the_digest_of_the_text(plan: Plan, tmp_path: Path) -> None:
    text = render_plan(plan, MACHINE, FILES)
    path = write_plan(Store(tmp_path), text)
    assert path == tmp_path / "work/plans" / f"{build_digest(text.encode())[:16]}.jsonl"
    assert path.read_text(encoding="utf-8") == text
    other = write_plan(Store(tmp_path), render_plan(plan, MachineSettings(), FILES))
    assert other != path
    assert sorted((tmp_path / "work/plans").iterdir()) == sorted([path, other])


def test_a_plan_that_is_there_is_never_written_again(plan: Plan, tmp_path: Path) -> None:
    text = render_plan(plan, MACHINE, FILES)
    path = write_plan(Store(tmp_path), text)
    path.chmod(0o444)
    before = path.stat()
    assert write_plan(Store(tmp_path), text) == path
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_write_that_fails_leaves_no_plan_to_be_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, text: str, **options: str) -> None:
        path.write_bytes(text[: len(text) // 2].encode())
        raise OSError("the disk is full")

    text = render_plan(plan_micro(), MACHINE, FILES)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_half)
        with pytest.raises(OSError, match="the disk is full"):
            write_plan(Store(tmp_path), text)
    assert list((tmp_path / "work/plans").glob("*.jsonl")) == []
    assert write_plan(Store(tmp_path), text).read_text(encoding="utf-8") == text


def test_specs_are_validated_again_when_they_are_read(tmp_path: Path) -> None:
    plan = Plan()
    plan.add(specs.AverageSpec.model_validate({"averaging": {"last": 2}}), {"snapshots": ("a:last-00",)}, "an average")
    text = render_plan(plan, MACHINE, {})
    assert '"last":2' in text
    path = write_plan(Store(tmp_path), text.replace('"last":2', '"last":0'))
    with pytest.raises(ValidationError, match="last"):
        read_plan(path)


def test_exact_numbers_stay_exact(tmp_path: Path) -> None:
    plan = Plan()
    settings = {"sources": [{"kind": "raw", "language": "en"}], "budget": {"epochs": "1/3"}, "max_epochs": "33.33 %"}
    node = plan.add(specs.MixtureSpec.model_validate({"mixture": settings}), {"packs": ("a",)}, "")
    again = read_plan(write_plan(Store(tmp_path), render_plan(plan, MACHINE, {}))).plan.nodes[node.key]
    assert isinstance(again.spec, specs.MixtureSpec)
    assert str(again.spec.mixture.budget.epochs) == "1/3"
    assert str(again.spec.mixture.max_epochs) == "3333/10000"
