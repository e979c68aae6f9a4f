"""Read a user's YAML file into a document: plain data, and the file and line of every value in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.wording import HIDDEN, KeyPath, find_secrets, render_key, render_value
from mixlab.config.yaml_nodes import Address, Tree, parse

EXTENDS = "extends"

_SHORTEST_REDACTED = 6


@dataclass(frozen=True)
class Document:
    """What a file says after its `extends:` were merged.

    `addresses` holds every path of `data`, and those that a null removed. `files` are all files read, the one that
    was asked for first.
    """

    data: dict[str, Any]
    addresses: Mapping[KeyPath, Address] = field(repr=False)
    files: tuple[Path, ...]

    def address(self, path: KeyPath) -> Address:
        """Find where `path` was written; when it was not, where its nearest parent was."""
        for length in range(len(path), -1, -1):
            if address := self.addresses.get(path[:length]):
                return address
        return Address(str(self.files[0]), 1)


def load_document(path: Path) -> Document:
    """Read a YAML file and what it `extends:` (a path relative to it, which may extend another in turn).

    Mappings merge; lists and scalars replace; null removes a key of the extended file. Addresses follow the file
    that a value came from. Raises ConfigError with every problem of every file.
    """
    trees: list[Tree] = []
    files: list[Path] = []
    problems: list[Problem] = []
    current: Path | None = path
    asked_at: Address | None = None
    while current is not None:
        tree = _read_tree(current, asked_at)
        trees.append(tree)
        files.append(current)
        problems += tree.problems
        current = _take_extends(tree, files, problems)
        asked_at = tree.addresses.get((EXTENDS,))
    if problems:
        raise ConfigError(sort_problems(problems))
    merged = trees.pop()
    while trees:
        merged = _merge_trees(merged, trees.pop())
    return Document(merged.data, merged.addresses, tuple(files))


def problem_at(document: Document, path: KeyPath, message: str) -> Problem:
    """Build a problem with the address of `path`, or of its nearest parent when the path was not written.

    Secrets of the document that the message repeats are hidden.
    """
    file, line = document.address(path)
    return Problem(_redact(message, document, path), file, line, render_key(path))


def sort_problems(problems: list[Problem]) -> list[Problem]:
    """Sort by file, line and key; equal problems become one."""
    return sorted(set(problems), key=lambda problem: (problem.file, problem.line, problem.key, problem.message))


def _redact(message: str, document: Document, path: KeyPath) -> str:
    for secret in sorted(set(find_secrets(document.data)), key=len, reverse=True):
        if len(secret) >= _SHORTEST_REDACTED:
            message = message.replace(secret, HIDDEN)
    value = document.data
    for part in path:
        try:
            value = value[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return message
    for secret in find_secrets(value, path):
        message = message.replace(secret or HIDDEN, HIDDEN)
    return message


def _read_tree(path: Path, asked_at: Address | None) -> Tree:
    """Read one file; when it cannot be read the problem stands where it was asked for."""
    tree = Tree()
    file, line = asked_at or Address(str(path), 0)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        siblings = sorted(other.name for other in path.parent.glob("*.y*ml"))
        name = f" '{path}'" if asked_at else ""
        tree.problems.append(Problem(f"no such file{name}{did_you_mean(path.name, siblings)}", file, line))
        return tree
    except OSError as error:
        tree.problems.append(Problem(f"cannot be read: {error.strerror} ('{path}')", file, line))
        return tree
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8"
        tree.problems.append(Problem(message, str(path), line))
        return tree
    tree = parse(text, str(path))
    if not tree.problems and not isinstance(tree.data, dict):
        got = render_value(tree.data)
        tree.problems.append(Problem(f"expected a mapping of keys, got {got}", *tree.addresses[()]))
    return tree


def _take_extends(tree: Tree, files: list[Path], problems: list[Problem]) -> Path | None:
    """Take `extends:` out of the tree; the path that it names, or None at the end of the chain."""
    if not isinstance(tree.data, dict) or EXTENDS not in tree.data:
        return None
    name = tree.data.pop(EXTENDS)
    address = tree.addresses[(EXTENDS,)]
    if not isinstance(name, str) or not name:
        problems.append(Problem(f"expected the path of a file, got {render_value(name)}", *address, EXTENDS))
        return None
    base = files[-1].parent / name
    places = [file.resolve() for file in files]
    if base.resolve() in places:
        circle = [*files[places.index(base.resolve()) :], base]
        message = "a cycle of files that extend each other: " + " -> ".join(file.name for file in circle)
        problems.append(Problem(message, *address, EXTENDS))
        return None
    return base


def _merge_trees(base: Tree, over: Tree) -> Tree:
    gone: set[KeyPath] = set()
    data = _merge(base.data, over.data, (), gone)
    kept = base.addresses.items()
    addresses = {path: address for path, address in kept if not _is_under(path, gone)} | over.addresses
    addresses.pop((EXTENDS,), None)
    return Tree(data, addresses)


def _merge(base: dict[str, Any], over: dict[str, Any], path: KeyPath, gone: set[KeyPath]) -> dict[str, Any]:
    """Lay `over` on `base`; the paths of base that are no more are added to `gone`."""
    merged = dict(base)
    for key, value in over.items():
        here = (*path, key)
        if key not in base:
            merged[key] = value
        elif isinstance(value, dict) and isinstance(base[key], dict):
            merged[key] = _merge(base[key], value, here, gone)
        else:
            gone.add(here)
            if value is None:
                del merged[key]
            else:
                merged[key] = value
    return merged


def _is_under(path: KeyPath, parents: set[KeyPath]) -> bool:
    return bool(parents) and any(path[:length] in parents for length in range(1, len(path) + 1))
