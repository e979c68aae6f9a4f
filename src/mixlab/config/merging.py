"""Lay the trees of several files over each other; the address of every value follows the file that it came from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixlab.config.kinds import means_null
from mixlab.config.problems import Problem
from mixlab.config.wording import KeyPath, render_key
from mixlab.config.yaml_nodes import Address, Tree


def merge_trees(base: Tree, over: Tree, types: Mapping[str, Any]) -> Tree:
    """Lay `over` on `base`: mappings merge, lists and scalars replace, null removes where it is no value itself.

    `types` are the annotations of the top-level keys, which say where null is one (`means_null`).
    """
    gone: set[KeyPath] = set()
    data = merge_data(base.data, over.data, gone, types)
    addresses = {path: address for path, address in base.addresses.items() if not is_under(path, gone)}
    assumptions = {path: one for path, one in base.assumptions.items() if not is_under(path, gone)}
    return Tree(data, addresses | over.addresses, assumptions=assumptions | over.assumptions)


def merge_data(
    base: dict[str, Any], over: dict[str, Any], gone: set[KeyPath], types: Mapping[str, Any], path: KeyPath = ()
) -> dict[str, Any]:
    """Lay `over` on `base`, as `merge_trees` does; the paths of base that are no more are added to `gone`."""
    merged = dict(base)
    for key, value in over.items():
        here = (*path, key)
        if key not in base:
            merged[key] = value
        elif isinstance(value, dict) and isinstance(base[key], dict):
            merged[key] = merge_data(base[key], value, gone, types, here)
        else:
            gone.add(here)
            if value is None and not means_null(types, here):
                del merged[key]
            else:
                merged[key] = value
    return merged


def is_under(path: KeyPath, parents: set[KeyPath]) -> bool:
    """Whether `path` is one of `parents` or lies below one."""
    return bool(parents) and any(path[:length] in parents for length in range(1, len(path) + 1))


def join_trees(trees: Sequence[Tree], types: Mapping[str, Any]) -> Tree:
    """Join files that one file extends side by side.

    What two of them say differently becomes a problem of the tree: neither is meant to change the other.
    """
    if any(tree.problems for tree in trees):
        return Tree(problems=[problem for tree in trees for problem in tree.problems])
    joined = trees[0]
    for tree in trees[1:]:
        conflicts = [*joined.problems, *_find_conflicts(joined, tree)]
        joined = merge_trees(joined, tree, types)
        joined.problems += conflicts
    return joined


def _find_conflicts(one: Tree, other: Tree) -> Iterator[Problem]:
    """Entries of sections, and sections that have none, that two trees write differently in different places."""
    for path in _list_entries(one.data):
        here, there = one.addresses.get(path), other.addresses.get(path)
        if here is None or there is None or here == there:
            continue
        if _look_up(one.data, path) != _look_up(other.data, path):
            yield Problem(_render_conflict(here), there.file, there.line, render_key(path))


def _render_conflict(here: Address) -> str:
    told = f"{here.file}:{here.line} says another thing of this key, and both files are extended side by side"
    return f"{told}; remove or rename one of them, or let one file extend the other"


def _list_entries(data: Any) -> Iterator[KeyPath]:
    for key, section in data.items() if isinstance(data, dict) else ():
        if isinstance(section, dict):
            yield from ((key, name) for name in section)
        else:
            yield (key,)


def _look_up(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data
