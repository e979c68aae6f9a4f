"""Edits of a study that are tried without touching its file: `variants.even.instruction=7/8`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_origin

from mixlab.config.assumed import ASSUMED, VALUE, render_assumed, take_assumptions
from mixlab.config.kinds import means_null
from mixlab.config.loading import EXTENDS, Document
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.wording import KeyPath, render_key, render_value
from mixlab.config.yaml_nodes import Address, Tree, parse

EDIT = "--edit"
"""What stands where problems name a file."""

_PART = re.compile(
    r"""(?P<dot>\.)?(?:
        \[(?P<number>\d+)\]
      | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]
      | (?P<mark>['"])(?P<marked>.*?)(?P=mark)
      | (?P<plain>[^.\[\]'"=]+)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Edit:
    """What is to stand at a path; None removes what stands there, unless null is a value of its own there."""

    path: KeyPath
    value: Any
    text: str


def parse_edit(text: str) -> Edit:
    """Read `a.b[2].c=VALUE`; the value is YAML. A key with dots or brackets is quoted: `variants.'v 1.5'.instruction`.

    Raises ConfigError for what is no path, and for a value that is no YAML.
    """
    parts: list[str | int] = []
    at = 0
    while at < len(text) and text[at] != "=":
        part = _PART.match(text, at)
        # a dot stands between keys, and nowhere else
        if part is None or bool(part["dot"]) != (bool(parts) and part["number"] is None and part["quote"] is None):
            break
        named = part["quoted"] or part["marked"] or (part["plain"] or "").strip()
        parts.append(int(part["number"]) if part["number"] else named)
        at = part.end()
    if not parts or text[at : at + 1] != "=":
        shown = "a.b.c=VALUE, such as variants.even.instruction=7/8; quote keys with dots: variants.'v 1.5'.instruction"
        raise ConfigError(Problem(f"expected {shown}, got {text!r}", EDIT))
    value = text[at + 1 :]
    if not value.strip():
        message = "a value is missing; write null to remove what stands there"
        raise ConfigError(Problem(message, EDIT, key=render_key(tuple(parts))))
    tree = parse(value, EDIT)
    if tree.problems:
        key, shown = render_key(tuple(parts)), render_value(value, tuple(parts))
        raise ConfigError([Problem(f"{one.message}, in {shown}", EDIT, key=key) for one in tree.problems])
    return Edit(tuple(parts), tree.data, text)


def edit_document(document: Document, edits: Sequence[Edit], types: Mapping[str, Any]) -> Document:
    """Return the document as it would be read if its file said what the edits say.

    A value replaces what stands at its path, a list's next number adds to it, null removes where it is no value itself.
    What was assumed there is assumed no longer, but for an edit of `….value`. Raises ConfigError for a path that leads
    nowhere.
    """
    data = _copy(document.data)
    addresses = dict(document.addresses)
    assumptions = {one.path: one for one in document.assumptions}
    problems: list[Problem] = []
    for edit in edits:
        keeps = edit.path[-1] == VALUE and edit.path[:-1] in assumptions
        path = edit.path[:-1] if keeps else edit.path
        tree = _read_value(path, edit.value, types)
        try:
            place = _set(data, path, tree.data, types)
        except ValueError as error:
            problems.append(Problem(str(error), EDIT, key=render_key(path)))
            continue
        problems += tree.problems
        former = assumptions.get(place)
        addresses = {one: address for one, address in addresses.items() if one[: len(place)] != place}
        addresses |= {one: Address(EDIT, 0) for one in _list_paths(tree.data, place)}
        assumptions = {one: told for one, told in assumptions.items() if one[: len(place)] != place}
        assumptions |= tree.assumptions
        if keeps and former is not None:
            assumptions[place] = replace(former, value=render_assumed(tree.data))
    if problems:
        raise ConfigError(problems)
    told = sorted(assumptions.values(), key=lambda one: one.address)
    return replace(document, data=data, addresses=addresses, assumptions=tuple(told))


def _read_value(path: KeyPath, value: Any, types: Mapping[str, Any]) -> Tree:
    """Take `{value: …, assumed: reason}` out of a value, as it is taken out of a file."""
    if any(isinstance(part, int) for part in path) or ASSUMED not in str(value):
        return Tree(value)
    nested = value
    for part in reversed(path):
        nested = {part: nested}
    tree = Tree(nested, {one: Address(EDIT, 0) for one in _list_paths(nested, ())})
    take_assumptions(tree, types)
    inner = tree.data
    for part in path:
        inner = inner[part]
    return Tree(inner, problems=tree.problems, assumptions=tree.assumptions)


def _set(data: dict[str, Any], path: KeyPath, value: Any, types: Mapping[str, Any]) -> KeyPath:
    """Put a value at a path and return where it stands; raises ValueError where the path leads nowhere."""
    here: Any = data
    taken: tuple[str | int, ...] = ()
    for part in path[:-1]:
        number = _find(here, part, taken, types, is_last=False)
        if isinstance(here, dict) and here.get(number) is None:
            here[number] = {}
        here, taken = here[number], (*taken, number)
    last = _find(here, path[-1], taken, types, is_last=True)
    if value is None and not means_null(types, (*taken, last)):
        if (isinstance(here, dict) and last not in here) or (isinstance(here, list) and last == len(here)):
            hint = did_you_mean(str(last), map(str, here)) if isinstance(here, dict) else ""
            raise ValueError(f"nothing stands there that could be removed{hint}")
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value
    return (*taken, last)


def _find(here: Any, part: str | int, taken: KeyPath, types: Mapping[str, Any], *, is_last: bool) -> Any:
    """Return the key or number that `part` means; raises ValueError where there is no such thing."""
    where = f"'{render_key(taken)}'" if taken else "a study"
    if isinstance(here, list):
        number = int(part) if str(part).isdigit() else None
        most = len(here) if is_last else len(here) - 1
        if number is None or number > most:
            raise ValueError(f"{where} is a list with {len(here)} entries, counted from 0; got {part!r}")
        return number
    if not isinstance(here, dict):
        raise ValueError(f"{where} is {render_value(here, taken)}, and has nothing named '{part}'")
    name = str(part)
    if not taken and name == EXTENDS:
        raise ValueError("what a file extends is read before edits; edit what should change, or change the file")
    if not taken and name not in types:
        raise ValueError(f"a study has no key '{name}'{did_you_mean(name, types)}; known: {', '.join(types)}")
    # sections whose names are the user's: a name that is not there, with something below it, is misspelt
    is_named = len(taken) == 1 and get_origin(types.get(str(taken[0]))) is dict
    if is_named and not is_last and name not in here:
        cure = f"`{render_key((*taken, name))}={{…}}`, with all of it, adds one"
        known = ", ".join(here)
        raise ValueError(f"nothing in {where} is named '{name}'{did_you_mean(name, here)}; known: {known}; {cure}")
    return name


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def _list_paths(value: Any, path: KeyPath) -> list[KeyPath]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for part, one in entries for below in _list_paths(one, (*path, part)))]
