"""A working folder with a finished run and a plan of averages of it, and hosts that write, err and break."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixlab.artifacts.store import Store
from mixlab.config.machine import MachineSettings, StageResources
from mixlab.config.problems import DataError
from mixlab.plan import specs
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.stages import doorway
from mixlab.stages.job import Inputs

SNAPSHOTS = ("last-00", "last-01", "last-02")
TRAINING = {
    "optimizer": {"name": "adamw", "learning_rate": 0.1},
    "schedule": {"name": "constant"},
    "global_batch_windows": 1,
}
DIGEST = "0" * 64

Host = Callable[[specs.Spec, Inputs, Path], Mapping[str, str] | None]


def write_spec(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
    """A host that writes what it was given."""
    (out / "spec.json").write_text(json.dumps(to_plain(spec)))


def mistake(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
    (out / "half.txt").write_text("half of it")
    raise DataError("texts.jsonl: record 3: no field `text`; mend it")


def bug(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
    (out / "half.txt").write_text("half of it")
    raise ZeroDivisionError("a bug")


@dataclass(frozen=True)
class Lab:
    """A working folder with a finished run of ipt, and a plan of three averages of it."""

    store: Store
    plan_file: Path
    ipt: Node
    pack: Node
    averages: tuple[Node, ...]

    def make(self, run: Host, *nodes: Node, stage: str = "average") -> None:
        """Go through the doorway as a job does."""
        doorway.main(stage, run, ["--plan", str(self.plan_file), "--key", *(node.key for node in nodes)])

    def fail(self, run: Host, *nodes: Node, stage: str = "average") -> None:
        with pytest.raises(SystemExit) as caught:
            self.make(run, *nodes, stage=stage)
        assert caught.value.code == 2

    def is_made(self, node: Node) -> bool:
        return self.store.is_complete(*node.name)

    def list_provenance(self, node: Node) -> list[dict[str, object]]:
        folder = self.store.root / "provenance" / node.stage / node.key
        return [json.loads(path.read_text()) for path in folder.glob("*.json")]

    def assert_nothing_is_left(self, node: Node) -> None:
        assert not self.store.folder(*node.name).exists()
        assert self.list_provenance(node) == []


def build_lab(root: Path) -> Lab:
    """Fill an empty folder."""
    plan, store = Plan(), Store(root)
    pack = plan.add(specs.PackSpec.model_validate({"pack": {"sequence_tokens": 8}}), {}, "a pack")
    run = specs.IptSpec.model_validate({"training": TRAINING, "ipt_seed": 1})
    ipt = plan.add(run, {}, "a run", reads={"packs": (pack.key,)})
    averages = []
    for last in (1, 2, 3):
        spec = specs.AverageSpec.model_validate({"averaging": {"last": last}})
        members = tuple(f"{ipt.key}:{member}" for member in SNAPSHOTS[:last])
        averages.append(plan.add(spec, {"snapshots": members}, f"平均 {last}"))
    with store.writing(*ipt.name) as draft:
        assert draft is not None
        for member in SNAPSHOTS:
            (draft.out / member).mkdir()
            (draft.out / member / "model.bin").write_text(f"weights of {member}")
        draft.publish({}, {})
    machine = MachineSettings(stages={"average": StageResources(threads=3)}, micro_batch_windows=5)
    plan_file = write_plan(store, render_plan(plan, machine, {DIGEST: "/data/texts.jsonl"}))
    return Lab(store, plan_file.relative_to(root), ipt, pack, tuple(averages))
