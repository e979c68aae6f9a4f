"""The plan: every artifact a study needs, with its key, its spec, its parents and what it reads."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mixlab.artifacts.keys import build_key, split_reference
from mixlab.plan.canonical import render_spec
from mixlab.plan.specs import Spec
from mixlab.plan.stages import STAGE_OF_SPEC, Stage

Roles = Mapping[str, tuple[str, ...]]


MODEL_ROLES = ("base_model", "model", "snapshots")
"""Roles by which a model's origin is reached."""


@dataclass(slots=True)
class Node:
    """One artifact of the plan.

    `parents` maps roles to references (`key` or `key:member`) and enters the key; `reads` are further artifacts that
    must be present while it is made. `group` is the artifact whose process serves this one, or its own key.
    """

    stage: str
    key: str
    spec: Spec
    parents: Roles
    reads: Roles
    group: str
    labels: list[str] = field(default_factory=list)

    @property
    def name(self) -> tuple[str, str]:
        """Stage and key."""
        return self.stage, self.key

    @property
    def label(self) -> str:
        """The first of the names people gave it."""
        return self.labels[0] if self.labels else ""

    def inputs(self) -> Iterator[str]:
        """Yield the keys that must be present while it is made, parents first; a key may come twice."""
        for roles in (self.parents, self.reads):
            for references in roles.values():
                for reference in references:
                    yield split_reference(reference)[0]


def find_study(labels: Iterable[str], studies: Iterable[str]) -> str:
    """Return the study that pays for a node: of those that want it, the first in its labels."""
    label = next(iter(labels))
    return max((name for name in studies if label.startswith(f"{name}/")), key=len, default=label.partition("/")[0])


def drop_study(label: str, studies: Iterable[str]) -> str:
    """Return a label without its study, which may lie in a folder and have a `/` in its name."""
    return label.removeprefix(f"{find_study([label], studies)}/")


@dataclass
class Plan:
    """All nodes by key, parents before children, and the keys each study asks for in the end."""

    nodes: dict[str, Node] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)
    _spec_json: dict[int, tuple[Spec, str]] = field(default_factory=dict, repr=False)

    def spec_json(self, spec: Spec) -> str:
        """Return a spec's canonical JSON, rendered once per object: thousands of nodes share a few specs."""
        known = self._spec_json.get(id(spec))
        if known is None:
            known = self._spec_json[id(spec)] = (spec, render_spec(spec))
        return known[1]

    def add(self, spec: Spec, parents: Roles, label: str, reads: Roles | None = None, group: str = "") -> Node:
        """Add what a spec and its parents ask for; equal requests are one node with several labels."""
        stage = STAGE_OF_SPEC[type(spec)]
        key = build_key(stage, self.spec_json(spec), parents)
        node = self.nodes.get(key)
        if node is None:
            node = self.nodes[key] = Node(stage, key, spec, parents, reads or {}, group or key)
        if label and label not in node.labels:
            node.labels.append(label)
        return node

    def by_stage(self, stage: Stage | str) -> list[Node]:
        """List a stage's nodes in order of planning."""
        name = stage if isinstance(stage, str) else stage.name
        return [node for node in self.nodes.values() if node.stage == name]

    def find_base(self, node: Node) -> Node:
        """Return the node that a model, or what is made with one, goes back to: itself where it starts from nothing."""
        above = (references for role in MODEL_ROLES if (references := node.parents.get(role)))
        references = next(above, None)
        return node if references is None else self.find_base(self.nodes[split_reference(references[0])[0]])

    def children(self) -> dict[str, list[str]]:
        """Map each key to the keys that have it among their parents or reads."""
        below: dict[str, list[str]] = {key: [] for key in self.nodes}
        for node in self.nodes.values():
            for key in dict.fromkeys(node.inputs()):
                below[key].append(node.key)
        return below

    def closure(self, keys: Iterable[str]) -> set[str]:
        """Return `keys` and everything above them, by parents and by reads."""
        seen: set[str] = set()
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in seen:
                seen.add(key)
                waiting.extend(self.nodes[key].inputs())
        return seen
