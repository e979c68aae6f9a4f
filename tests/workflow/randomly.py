"""Edit studies at random, plan them, and say where plan and oracle differ."""

import copy
import difflib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from checkouts import CONFIG, REPOSITORY
from drafts import Draft
from mutations import WITHOUT_MEANING, draw, edit
from oracle_models import expect, foresee

from mixlab.artifacts.states import States
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Plan

SEED = os.environ.get("MIXLAB_MUTATION_SEED", "2026")
"""Other edits than those of every day: MIXLAB_MUTATION_SEED=17 pytest tests/workflow/test_mutations.py."""

COUNTS = {"micro": 186, "demo": 14}
"""How many edits of each study are planned."""

Labels = set[tuple[str, str]]


@dataclass
class Bench:
    """A folder with one study and its lock, to be edited at random and planned after each edit."""

    root: Path
    name: str
    study: dict[str, Any] = field(init=False)
    lock: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        text = (REPOSITORY / f"studies/{self.name}.yaml").read_text(encoding="utf-8")
        self.text = text
        self.study = yaml.load(text, yaml.CSafeLoader)
        self.lock = json.loads((REPOSITORY / "sources.lock").read_text(encoding="utf-8"))["sources"]
        (self.root / "studies").mkdir(parents=True, exist_ok=True)
        self.write(text, self.lock, "")
        self.before = self.plan()
        self.oracle, _ = foresee(self.name, self.study, self.lock)

    def write(self, text: str, lock: dict[str, Any], machine: str) -> None:
        """Write study, lock and config.yaml."""
        (self.root / f"studies/{self.name}.yaml").write_text(text, encoding="utf-8")
        (self.root / "sources.lock").write_text(json.dumps({"sources": lock}), encoding="utf-8")
        (self.root / "config.yaml").write_text(CONFIG.replace("micro\n", f"{self.name}\n", 1) + machine)

    def plan(self) -> Plan:
        """Plan the study as it is written, without a look at its sources."""
        return build_plan(self.root, [self.name], check_files=False).plan

    def draft(self, names: tuple[str, ...], seed: str) -> tuple[Draft, str]:
        """Make an edit of the study; return it with the text of the study."""
        draft = Draft(copy.deepcopy(self.study), copy.deepcopy(self.lock))
        edit(draft, names, seed)
        text = draft.render(random.Random(seed)) if names else self.text
        self.write(text, draft.lock, draft.machine)
        return draft, text

    def run(self, plan: Plan) -> Labels:
        """What a run of a plan would make, where all of the unedited study is finished."""
        finished = frozenset(node.name for node in self.before.nodes.values())
        states = States(finished, frozenset(), frozenset())
        demand = build_demand(plan, states, [key for keys in plan.targets.values() for key in keys])
        return {(plan.nodes[key].stage, label) for key in demand.run for label in plan.nodes[key].labels}

    def compare(self, names: tuple[str, ...], seed: str) -> list[str]:
        """Make an edit and say what is wrongly made again, and what is wrongly taken for finished."""
        draft, text = self.draft(names, seed)
        after, report = foresee(self.name, yaml.load(text, yaml.CSafeLoader), draft.lock)
        expected = expect(self.oracle.made, after, report)
        try:
            wanted = self.run(self.plan())
        except ConfigError as error:
            return [f"refused: {error}"]
        wrong = [f"false rerun: {stage} {label}" for stage, label in sorted(wanted - expected)]
        wrong += [f"false reuse: {stage} {label}" for stage, label in sorted(expected - wanted)]
        if expected and WITHOUT_MEANING.issuperset(names):
            wrong.append("the oracle says that an edit without meaning means something")
        return wrong

    def shrink(self, names: tuple[str, ...], seed: str) -> tuple[str, ...]:
        """Leave out what is not needed for an edit to go wrong."""
        for name in names:
            fewer = tuple(one for one in names if one != name)
            if fewer and self.compare(fewer, seed):
                return self.shrink(fewer, seed)
        return names

    def explain(self, names: tuple[str, ...], seed: str) -> str:
        """Say what went wrong after the smallest edit that does, and what that edit is."""
        names = self.shrink(names, seed)
        wrong = self.compare(names, seed)
        _, text = self.draft(names, seed)
        before, after = (yaml.dump(one, Dumper=yaml.CSafeDumper, allow_unicode=True) for one in
                         (self.study, yaml.load(text, yaml.CSafeLoader)))  # fmt: skip
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", "", "", 1, "")
        return "\n".join([f"edit {', '.join(names)} (seed {seed!r})", *wrong[:10], *lines])


def list_edits(study: str, count: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield so many random edits, each with its seed; of other studies than micro only several edits together."""
    first = 0 if study == "micro" else 1000
    for number in range(first, first + count):
        seed = f"{SEED}/{study}/{number}"
        yield draw(number, random.Random(seed)), seed
