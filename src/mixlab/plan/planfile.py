"""The plan as an immutable file: jobs read it, so that an edit during a run changes no running job."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.artifacts.store import Store
from mixlab.config.machine import MachineSettings
from mixlab.plan.graph import Node, Plan
from mixlab.plan.model_resources import ModelResources
from mixlab.plan.stages import STAGES

PLANS = "plans"


@dataclass(frozen=True)
class PlanFile:
    """A plan as a job sees it, with the machine it was made for and where the sources' files are."""

    plan: Plan
    machine: MachineSettings
    files: Mapping[str, str]
    """Digest of a source file -> its path on this machine."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Key of a base model -> its parameters, where the machine's settings go by sizes."""

    def machine_for(self, node: Node) -> MachineSettings:
        """The machine's settings, those of the node's stage as its own model has them."""
        if not self.machine.sizes:
            return self.machine
        asked = ModelResources(self.machine, self.plan, self.parameters).find(node)
        return self.machine.model_copy(update={"stages": {**self.machine.stages, node.stage: asked}})


def render_plan(
    plan: Plan, machine: MachineSettings, files: Mapping[str, str], parameters: Mapping[str, int] | None = None
) -> str:
    """Render a plan as JSON lines: machine and files, then each spec once, then each node."""
    # as it was written: what is not given is what a row of the table of sizes may give
    settings = machine.model_dump(mode="json", exclude_unset=True)
    head = {"machine": settings, "files": files, "targets": plan.targets, "parameters": parameters or {}}
    lines = [canonical_json(head)]
    numbers: dict[int, int] = {}
    for node in plan.nodes.values():
        number = numbers.get(id(node.spec))
        if number is None:
            number = numbers[id(node.spec)] = len(numbers)
            lines.append(f'{{"spec":{number},"stage":"{node.stage}","value":{plan.spec_json(node.spec)}}}')
        lines.append(
            json.dumps([number, node.key, node.parents, node.reads, node.group, node.labels], ensure_ascii=False)
        )
    return "\n".join(lines) + "\n"


def write_plan(store: Store, text: str) -> Path:
    """Write a rendered plan to `work/plans/<digest>.jsonl`, once; the path is its identity."""
    path = store.work / PLANS / f"{build_digest(text.encode())[:16]}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    return path


def read_plan(path: Path) -> PlanFile:
    """Read a plan that `write_plan` wrote; specs are validated again, so a job never runs on a malformed one."""
    with path.open(encoding="utf-8") as file:
        head: dict[str, Any] = json.loads(file.readline())
        plan = Plan(targets=head["targets"])
        specs: list[Any] = []
        for line in file:
            card = json.loads(line)
            if isinstance(card, dict):
                specs.append((card["stage"], card["value"]))
                continue
            number, key, parents, reads, group, labels = card
            stage, spec = specs[number]
            if isinstance(spec, dict):
                spec = STAGES[stage].spec.model_validate(spec)
                specs[number] = (stage, spec)
            plan.nodes[key] = Node(stage, key, spec, _to_roles(parents), _to_roles(reads), group, labels)
    return PlanFile(plan, MachineSettings.model_validate(head["machine"]), head["files"], head["parameters"])


def _to_roles(roles: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {role: tuple(references) for role, references in roles.items()}
