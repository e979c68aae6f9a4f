"""Values that a study takes without a source: written `{value: 0.1, assumed: "why this value"}`, anywhere.

They are unwrapped before anything else looks at the document, so that every key takes part and every message keeps the
address of the value. What is assumed decides no key: the value does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixlab.config.kinds import expand_kind, is_mapping, step_down
from mixlab.config.problems import Problem
from mixlab.config.wording import HIDDEN, KeyPath, is_secret, render_key, render_value
from mixlab.config.yaml_nodes import Address, Tree

VALUE, ASSUMED = "value", "assumed"

_LONGEST = 200


@dataclass(frozen=True)
class Assumption:
    """A value without a source: where it stands, what it is, why it was taken."""

    path: KeyPath
    file: str
    line: int
    value: str
    reason: str

    @property
    def address(self) -> str:
        """Where it stands in the study: `ipt.training.weight_decay`."""
        return render_key(self.path)


def take_assumptions(tree: Tree, types: Mapping[str, Any]) -> None:
    """Replace every assumption of the tree by its value; the tree keeps them, and what is wrong with them.

    `types` are the annotations of the top-level keys: where a mapping has keys of the user's own, a benchmark item for
    one, `value` and `assumed` may be two of them.
    """
    if isinstance(tree.data, dict) and any(path[-1] == ASSUMED for path in tree.addresses if path):
        for key in list(tree.data):
            tree.data[key] = _take(tree, (key,), tree.data[key], expand_kind(types.get(key, Any)))


def _take(tree: Tree, path: KeyPath, value: Any, kinds: tuple[Any, ...]) -> Any:
    if isinstance(value, dict):
        if ASSUMED in value and _is_assumption(value, kinds):
            problem = _find_mistake(value)
            if problem is None:
                return _take(tree, path, _unwrap(tree, path, value), kinds)
            tree.problems.append(Problem(problem, *_address(tree, (*path, ASSUMED)), render_key((*path, ASSUMED))))
            return value
        return {key: _take(tree, (*path, key), one, step_down(kinds, key)) for key, one in value.items()}
    if isinstance(value, list):
        return [_take(tree, (*path, at), one, step_down(kinds, at)) for at, one in enumerate(value)]
    return value


def _is_assumption(value: dict[str, Any], kinds: tuple[Any, ...]) -> bool:
    """Where keys are free, only a collection with a reason can be assumed; elsewhere nothing is named `assumed`."""
    if not any(is_mapping(kind) for kind in kinds):
        return True
    is_collection = isinstance(value.get(VALUE), dict | list)
    return set(value) == {VALUE, ASSUMED} and isinstance(value[ASSUMED], str) and is_collection


def _find_mistake(value: dict[str, Any]) -> str | None:
    reason = value[ASSUMED]
    if VALUE not in value:
        return f"a reason without a value; write {{{VALUE}: …, {ASSUMED}: {render_value(reason)}}}"
    if others := sorted(set(value) - {VALUE, ASSUMED}):
        return f"{', '.join(map(repr, others))} stands beside `{ASSUMED}`; put it below `{VALUE}`"
    if not isinstance(reason, str) or not reason.strip():
        return f"expected the reason for this value, in words, got {render_value(reason)}"
    return None


def _unwrap(tree: Tree, path: KeyPath, value: dict[str, Any]) -> Any:
    inner, reason = value[VALUE], " ".join(value[ASSUMED].split())
    file, line = _address(tree, path)
    text = HIDDEN if is_secret(path) else render_assumed(inner)
    tree.assumptions[path] = Assumption(path, file, line, text, reason)
    below = len(path)
    moved = {place: tree.addresses.pop(place) for place in _list_below(value, path) if place in tree.addresses}
    for place, address in moved.items():
        if place[below] == VALUE and len(place) > below + 1:
            tree.addresses[(*path, *place[below + 1 :])] = address
    return inner


def _list_below(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """List the paths of everything within a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, one in entries:
        yield (*path, part)
        yield from _list_below(one, (*path, part))


def _address(tree: Tree, path: KeyPath) -> Address:
    return next(tree.addresses[path[:length]] for length in range(len(path), -1, -1) if path[:length] in tree.addresses)


def render_assumed(value: Any) -> str:
    """Render a value as YAML on one line, cut to 200 characters."""
    text = _render(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _render(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_render(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_render(one) for one in value) + "]"
    if isinstance(value, str):
        return value
    return "null" if value is None else render_value(value)
