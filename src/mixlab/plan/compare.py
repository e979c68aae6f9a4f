"""Two plans side by side: what is kept, what is new, what is gone, and which change of a spec began it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixlab.artifacts.keys import canonical_json, split_reference
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan, Roles
from mixlab.plan.specs import Spec

_ABSENT = object()
ORDERED_BY_KEY = frozenset({"aggregate"})
"""Stages whose spec lists things in order of keys, so that it changes all over when a key above it does."""
_UNORDERED = "sources"
"""Field whose entries stand in order of keys, so that only which ones there are means something."""
_KEY = re.compile(r"[0-9a-f]{16}")
"""What a field holds that names an artifact: it changes because something else did."""


@dataclass(frozen=True)
class Comparison:
    """Keys of two plans: in both, only in the new one, only in the old one; each in order of planning."""

    kept: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One difference between two specs or their parents: where, what it was, what it is."""

    path: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path} {self.old} -> {self.new}"


@dataclass(frozen=True)
class Cause:
    """New artifacts of one stage that share their changes, while nothing above them is new.

    `label` is that of the first; `relative` that of the old artifact it differs least from, empty for none.
    """

    stage: str
    keys: tuple[str, ...]
    label: str
    relative: str
    changes: tuple[Change, ...]


def compare_plans(old: Plan, new: Plan) -> Comparison:
    """Compare two plans by key."""
    return Comparison(
        tuple(key for key in new.nodes if key in old.nodes),
        tuple(key for key in new.nodes if key not in old.nodes),
        tuple(key for key in old.nodes if key not in new.nodes),
    )


def list_causes(old: Plan, new: Plan) -> list[Cause]:
    """List where the difference between two plans begins, with the nearest relative of what is new.

    The relative is the old artifact of the same label, else the one of the same stage whose spec differs least. What
    merely follows from new parents is left out.
    """
    finder = _Finder(old, new)
    found: dict[tuple[str, tuple[Change, ...]], list[Node]] = {}
    relatives: dict[str, str] = {}
    for node in new.nodes.values():
        if node.key in old.nodes or not finder.may_begin(node):
            continue
        relative, changes = finder.nearest(node)
        if changes or relative is None:
            relatives[node.key] = relative.label if relative else ""
            found.setdefault((node.stage, changes), []).append(node)
    return [
        Cause(stage, tuple(node.key for node in nodes), nodes[0].label, relatives[nodes[0].key], changes)
        for (stage, changes), nodes in found.items()
    ]


class _Finder:
    """Finds relatives; thousands of nodes share a few specs, so specs are compared once per pair."""

    def __init__(self, old: Plan, new: Plan) -> None:
        self.old, self.new = old, new
        self.by_label = {(node.stage, label): node for node in old.nodes.values() for label in node.labels}
        self.by_spec: dict[str, dict[int, Node]] = {}
        for node in old.nodes.values():
            self.by_spec.setdefault(node.stage, {}).setdefault(id(node.spec), node)
        self.known: dict[tuple[int, int], tuple[Change, ...]] = {}

    def namesake(self, node: Node) -> Node | None:
        """Return the old node with a label of this one."""
        same = (self.by_label.get((node.stage, label)) for label in node.labels)
        return next((other for other in same if other is not None), None)

    def is_topmost(self, node: Node) -> bool:
        """Whether all that a node is made from is old."""
        return all(key in self.old.nodes for key in node.inputs())

    def may_begin(self, node: Node) -> bool:
        """Whether a new node can differ by more than its parents."""
        if self.is_topmost(node):
            return True
        if self.namesake(node) is not None:
            return node.stage not in ORDERED_BY_KEY
        return all(key in self.old.nodes or self.namesake(self.new.nodes[key]) for key in node.inputs())

    def nearest(self, node: Node) -> tuple[Node | None, tuple[Change, ...]]:
        """Return a node's nearest relative and how the node differs from it."""
        relative = self.namesake(node)
        if relative is None:
            others = self.by_spec.get(node.stage, {}).values()
            relative = min(others, key=lambda other: len(self.changes(other, node)), default=None)
        if relative is None:
            return None, ()
        if not self.is_topmost(node):
            return relative, self.changes(relative, node)
        roles = find_role_changes(relative.parents, node.parents, self.label)
        return relative, (*self.changes(relative, node), *roles)

    def changes(self, old: Node, new: Node) -> tuple[Change, ...]:
        """Return what differs between the specs of two nodes."""
        pair = (id(old.spec), id(new.spec))
        if pair not in self.known:
            self.known[pair] = tuple(find_changes(old.spec, new.spec))
        return self.known[pair]

    def label(self, reference: str) -> str:
        """Return what people call a parent."""
        key, member = split_reference(reference)
        node = self.new.nodes.get(key) or self.old.nodes.get(key)
        name = node.label if node else key
        return f"{name}:{member}" if member else name


def find_changes(old: Spec, new: Spec) -> Iterator[Change]:
    """Yield what differs between two specs of a stage, field by field."""
    yield from find_plain_changes(to_plain(old), to_plain(new))


def find_plain_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what differs between two specs as manifests hold them."""
    sections = [name for name, value in after.items() if isinstance(value, dict)]
    for path, was, now in _walk(before, after, ()):
        if path[-1].endswith("_key") or all(isinstance(one, str) and _KEY.fullmatch(one) for one in (was, now)):
            continue
        # a spec with one section needs no name for it: `mixture.category.math` is the mixture's `category.math`
        shown = path[1:] if len(sections) == 1 and path[:1] == (sections[0],) and len(path) > 1 else path
        yield Change(".".join(shown), _render(was), _render(now))


def find_role_changes(old: Roles, new: Roles, label: Any) -> tuple[Change, ...]:
    """List the roles whose artifacts differ, by label where few differ, else by number."""
    changes = []
    for role in sorted({*old, *new}):
        before, after = old.get(role, ()), new.get(role, ())
        if before != after:
            lost = [label(item) for item in before if item not in after]
            came = [label(item) for item in after if item not in before]
            if len(lost) + len(came) > 4:
                lost, came = [f"{len(before)} artifacts"], [f"{len(after)} artifacts"]
            changes.append(Change(role, ", ".join(lost) or "nothing", ", ".join(came) or "nothing"))
    return tuple(changes)


def _walk(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys((*old, *new)):
            yield from _walk(old.get(name, _ABSENT), new.get(name, _ABSENT), (*path, str(name)))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        if path[-1:] == (_UNORDERED,):
            old, new = sorted(old, key=canonical_json), sorted(new, key=canonical_json)
        for number, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _walk(was, now, (*path, str(number)))
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _render(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_render(item)}" for name, item in value.items()) + "}"
    text = "null" if value is None else str(value).replace("\n", "\\n")
    return text if len(text) <= 60 else f"{text[:57]}..."
