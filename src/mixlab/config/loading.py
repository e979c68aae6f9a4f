"""Read a user's YAML file into a document: plain data, and the file and line of every value in it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.config.assumed import Assumption, take_assumptions
from mixlab.config.merging import join_trees, merge_trees
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.wording import HIDDEN, KeyPath, find_secrets, render_key, render_value
from mixlab.config.yaml_nodes import Address, Tree, parse

EXTENDS = "extends"

_SHORTEST_REDACTED = 6
"""A shorter secret is hidden only in what is said of its own place."""
_SHORTEST_WITHIN = 4
"""A shorter one is hidden only where it stands alone as the value told: within words it would garble them."""


@dataclass(frozen=True)
class Document:
    """What a file says after its `extends:` were merged.

    `addresses` holds every path of `data`, and those that a null removed. `files` are all files read, the one that
    was asked for first. `written` tells under which path a value was written where that is another one.
    """

    data: dict[str, Any]
    addresses: Mapping[KeyPath, Address] = field(repr=False)
    files: tuple[Path, ...]
    assumptions: tuple[Assumption, ...] = ()
    written: Mapping[KeyPath, KeyPath] = field(default_factory=dict, repr=False)

    def address(self, path: KeyPath) -> Address:
        """Find where `path` was written; when it was not, where its nearest parent was."""
        for length in range(len(path), -1, -1):
            if address := self.addresses.get(path[:length]):
                return address
        return Address(str(self.files[0]), 1)

    def written_path(self, path: KeyPath) -> KeyPath:
        """Return the path as its user wrote it: below `overrides` where that is where the value came from."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.written:
                return (*self.written[path[:length]], *path[length:])
            if path[:length] in self.addresses:
                break
        return path


def load_document(path: Path, types: Mapping[str, Any] | None = None) -> Document:
    """Read a YAML file and what it `extends:` (a path relative to it, or a list; those may extend others in turn).

    Mappings merge; lists and scalars replace; null removes a key of the extended file. Addresses follow the file
    that a value came from. With `types`, the annotations of the top-level keys, any value may be written
    `{value: …, assumed: reason}`, and null stays where it is a value of its own. Raises ConfigError with every
    problem of every file.
    """
    files: list[Path] = []
    tree = _load_tree(path, None, (), files, types)
    if tree.problems:
        raise ConfigError(sort_problems(tree.problems))
    assumptions = sorted(tree.assumptions.values(), key=lambda one: one.address)
    return Document(tree.data, tree.addresses, tuple(files), tuple(assumptions))


def problem_at(document: Document, path: KeyPath, message: str) -> Problem:
    """Build a problem with the address of `path`, or of its nearest parent when the path was not written.

    Secrets of the document that the message repeats are hidden.
    """
    file, line = document.address(path)
    return Problem(_redact(message, document, path), file, line, render_key(document.written_path(path)))


def sort_problems(problems: list[Problem]) -> list[Problem]:
    """Sort by file, line and key; equal problems become one."""
    return sorted(set(problems), key=lambda problem: (problem.file, problem.line, problem.key, problem.message))


def _redact(message: str, document: Document, path: KeyPath) -> str:
    for secret in sorted(set(find_secrets(document.data)), key=len, reverse=True):
        if len(secret) >= _SHORTEST_REDACTED:
            message = message.replace(secret, HIDDEN)
    value: Any = document.data
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return message
    for secret in sorted(filter(None, find_secrets(value, path)), key=len, reverse=True):
        if len(secret) >= _SHORTEST_WITHIN:
            message = message.replace(secret, HIDDEN)
        else:
            told = re.escape(secret)
            message = re.sub(rf"(?<=['\"`]){told}(?=['\"`])|(?<=got ){told}(?!\w)", HIDDEN, message)
    return message


def _load_tree(
    path: Path, asked_at: Address | None, chain: Sequence[Path], files: list[Path], types: Mapping[str, Any] | None
) -> Tree:
    """Read a file and those below it; `chain` are the files that led here, `files` grows by every file read."""
    tree = _read_tree(path, asked_at)
    if path not in files:
        files.append(path)
    bases = _take_extends(tree, (*chain, path))
    if types is not None:
        take_assumptions(tree, types)
    if not bases:
        return tree
    below = join_trees([_load_tree(base, at, (*chain, path), files, types) for base, at in bases], types or {})
    problems = [*below.problems, *tree.problems]
    if problems or not isinstance(tree.data, dict):
        return Tree(tree.data, tree.addresses, problems)
    return merge_trees(below, tree, types or {})


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


def _take_extends(tree: Tree, chain: Sequence[Path]) -> list[tuple[Path, Address]]:
    """Take `extends:` out of the tree; the paths that it names, and where it does."""
    if not isinstance(tree.data, dict) or EXTENDS not in tree.data:
        return []
    named = tree.data.pop(EXTENDS)
    addresses = {path: tree.addresses.pop(path) for path in list(tree.addresses) if path[:1] == (EXTENDS,)}
    names = list(enumerate(named)) if isinstance(named, list) else [(None, named)]
    bases: list[tuple[Path, Address]] = []
    for position, name in names:
        here: KeyPath = (EXTENDS,) if position is None else (EXTENDS, position)
        if not isinstance(name, str) or not name:
            message = f"expected the path of a file, got {render_value(name)}"
            tree.problems.append(Problem(message, *addresses[here], render_key(here)))
            continue
        base = chain[-1].parent / name
        if problem := _find_cycle(base, chain):
            tree.problems.append(Problem(problem, *addresses[here], render_key(here)))
        elif any(base.resolve() == other.resolve() for other, _ in bases):
            tree.problems.append(Problem(f"'{name}' is named twice", *addresses[here], render_key(here)))
        else:
            bases.append((base, addresses[here]))
    return bases


def _find_cycle(base: Path, chain: Sequence[Path]) -> str | None:
    places = [file.resolve() for file in chain]
    if base.resolve() not in places:
        return None
    circle = [*chain[places.index(base.resolve()) :], base]
    return "a cycle of files that extend each other: " + " -> ".join(file.name for file in circle)
