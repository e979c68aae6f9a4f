"""Two plans side by side: what is kept, what is new, what is gone, and which change of a spec began it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mixlab.artifacts.keys import canonical_json, split_reference
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan, Roles, drop_study, find_study
from mixlab.plan.specs import Spec

_ABSENT = object()
_Role = tuple[str, tuple[str, ...]]
"""A role and the references that have it."""
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

    `label` is that of the first; `relative` that of the old artifact it differs least from, empty for none. `short` and
    `short_relative` are both without their study.
    """

    stage: str
    keys: tuple[str, ...]
    label: str
    relative: str
    changes: tuple[Change, ...]
    short: str
    short_relative: str


def compare_plans(old: Plan, new: Plan) -> Comparison:
    """Compare two plans by key."""
    return Comparison(
        tuple(key for key in new.nodes if key in old.nodes),
        tuple(key for key in new.nodes if key not in old.nodes),
        tuple(key for key in old.nodes if key not in new.nodes),
    )


def list_causes(old: Plan, new: Plan) -> list[Cause]:
    """List where the difference between two plans begins, with the nearest relative of what is new.

    The relative is the old artifact of the same label, in a renamed study too, else the one of the same stage whose
    spec differs least and, of equals, that has most of the parents. What merely follows from new parents is left out.
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
    causes = []
    for (stage, changes), nodes in found.items():
        label, like = nodes[0].label, relatives[nodes[0].key]
        shorts = drop_study(label, new.targets), drop_study(like, old.targets)
        causes.append(Cause(stage, tuple(node.key for node in nodes), label, like, changes, *shorts))
    return causes


class _Finder:
    """Finds relatives; thousands of nodes share a few specs, so specs are compared once per pair."""

    def __init__(self, old: Plan, new: Plan) -> None:
        self.old, self.new = old, new
        self.by_label = {(node.stage, label): node for node in old.nodes.values() for label in node.labels}
        named = self.by_label.items() if old.targets.keys() - new.targets.keys() else ()
        shorts = (((stage, _drop_renamed(label, old, new)), node) for (stage, label), node in named)
        self.by_short = {name: node for name, node in shorts if name[1]}
        self.by_spec: dict[str, dict[int, _Siblings]] = {}
        for node in old.nodes.values():
            self.by_spec.setdefault(node.stage, {}).setdefault(id(node.spec), _Siblings()).nodes.append(node)
        self.known: dict[tuple[int, int], tuple[Change, ...]] = {}

    def namesake(self, node: Node) -> Node | None:
        """Return the old node with a label of this one, or with the same one in a study that was renamed."""
        same = (self.by_label.get((node.stage, label)) for label in node.labels)
        found = next((other for other in same if other is not None), None)
        if found is not None or not self.by_short:
            return found
        shorts = (_drop_renamed(label, self.new, self.old) for label in node.labels)
        renamed = (self.by_short.get((node.stage, short)) for short in shorts)
        return next((other for other in renamed if other is not None), None)

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
        relative = self.namesake(node) or self._find_nearest(node)
        if relative is None:
            return None, ()
        if not self.is_topmost(node):
            return relative, self.changes(relative, node)
        roles = find_role_changes(relative.parents, node.parents, self.label)
        return relative, (*self.changes(relative, node), *roles)

    def _find_nearest(self, node: Node) -> Node | None:
        """Return the old node of the stage whose spec differs least; of equals the one with most of the parents.

        Of these equals the one with the likest label.
        """
        groups = [
            (len(self.changes(group.nodes[0], node)), group) for group in self.by_spec.get(node.stage, {}).values()
        ]
        least = min((count for count, _ in groups), default=0)
        found = [group.find_nearest(node.parents, node.label) for count, group in groups if count == least]
        return min(found, key=lambda one: (one[0], -_count_alike(one[1], node.label)), default=(0, None))[1]

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


@dataclass
class _Siblings:
    """Old nodes of one spec, looked up by their parents: there may be thousands, and as many that look for one."""

    nodes: list[Node] = field(default_factory=list)

    @cached_property
    def exact(self) -> dict[frozenset[_Role], Node]:
        """The first node that has all of these parents."""
        return {frozenset(node.parents.items()): node for node in reversed(self.nodes)}

    @cached_property
    def by_role(self) -> dict[_Role, list[int]]:
        """Places of the nodes that have these parents in this role."""
        found: dict[_Role, list[int]] = {}
        for place, node in enumerate(self.nodes):
            for role in node.parents.items():
                found.setdefault(role, []).append(place)
        return found

    def find_nearest(self, parents: Roles, label: str) -> tuple[int, Node]:
        """Return the node with the fewest roles whose parents are others, and their number; of equals the first.

        Where all parents are others, the node of the likest label: the filter of the same source.
        """
        roles = frozenset(parents.items())
        if roles in self.exact:
            return 0, self.exact[roles]
        shared = Counter(place for role in roles for place in self.by_role.get(role, ()))
        best = min(shared, key=lambda place: (-shared[place], place), default=None)
        if best is None:
            best = max(range(len(self.nodes)), key=lambda place: _count_alike(self.nodes[place], label))
        return len({*parents, *self.nodes[best].parents}) - shared[best], self.nodes[best]


def _count_alike(node: Node, label: str) -> int:
    """Count the parts that two labels share."""
    return len({*label.split("/")} & {*node.label.split("/")})


def _drop_renamed(label: str, own: Plan, other: Plan) -> str:
    """Return a label without its study where the other plan lacks that study; else nothing."""
    study = find_study([label], own.targets)
    return "" if study in other.targets else label.removeprefix(f"{study}/")


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
            # references stand in order of keys: what has the same names is told alike
            came = lost if sorted(came) == sorted(lost) else came
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
            old, new = _align(old, new)
        for number, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _walk(was, now, (*path, str(number)))
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _align(old: list[Any], new: list[Any]) -> tuple[list[Any], list[Any]]:
    """Put entries beside those of the same name, the others beside each other as they say alike things."""
    new, left = sorted(new, key=_order), sorted(old, key=_order)
    names = [one.get("name") if isinstance(one, Mapping) else None for one in new]
    named = {one["name"]: one for one in left if isinstance(one, Mapping) and one.get("name") in {*names} - {None}}
    rest = iter([one for one in left if not (isinstance(one, Mapping) and one.get("name") in named)])
    return [named[name] if name in named else next(rest) for name in names], new


def _order(entry: Any) -> tuple[str, str]:
    """Order entries by what they say; keys in them, which change with what is above, decide between equals alone."""
    return canonical_json(_without_keys(entry)), canonical_json(entry)


def _without_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_keys(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_keys(one) for one in value]
    return "" if isinstance(value, str) and _KEY.fullmatch(value) else value


def _render(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_render(item)}" for name, item in value.items()) + "}"
    text = "null" if value is None else str(value).replace("\n", "\\n")
    return text if len(text) <= 60 else f"{text[:57]}..."
