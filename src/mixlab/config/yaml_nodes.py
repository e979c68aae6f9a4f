"""YAML 1.2 text to plain data in which the line of every value is known.

PyYAML's C parser finds the nodes (2 to 6 ms for 300 lines); what a plain scalar means is decided here by the core
schema of YAML 1.2.2 (section 10.3.2): `no` is a word, `1e-4` is a number, `0o17` is fifteen. Keys are always text.
Left out on purpose: tags and merge keys (`<<`, not part of YAML 1.2; `extends:` serves instead). Aliases work.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from yaml import MappingNode, MarkedYAMLError, Node, ScalarNode, YAMLError
from yaml._yaml import CParser

from mixlab.config.exact import ExactFloat
from mixlab.config.problems import Problem
from mixlab.config.wording import KeyPath, render_key, render_value

MAX_DEPTH = 50
MAX_VALUES = 200_000

_PLAIN, _QUOTED, _COLLECTION = "plain", "quoted", "collection"

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((sign + word for sign in ("", "+") for word in (".inf", ".Inf", ".INF")), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMBER_STARTS = frozenset("0123456789+-.")
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_PLAIN_WORDS = {
    "mapping values are not allowed in this context": "a ':' stands where none may; is this line indented as its "
    "neighbours are, and is text that contains ': ' in quotes?",
    "found unexpected end of stream": "the file ends inside quotes that were never closed",
    "did not find expected key": "this line fits no key above it; is it indented as its neighbours are?",
    "did not find expected '-' indicator": "expected a list entry ('- '); is this line indented as its neighbours are?",
    "did not find expected ',' or ']'": "expected ',' or ']' in a list",
    "did not find expected ',' or '}'": "expected ',' or '}' in a mapping",
    "found undefined alias": "an alias (*name) whose anchor (&name) does not stand above it",
    "but found another document": "a second document ('---') begins here; only one is allowed",
    "second occurrence": "this anchor (&name) is defined twice",
    "found character that cannot start any token": "a value cannot begin with this character; put it in quotes",
    "could not find expected ':'": "expected ':' after a key",
}


class Address(NamedTuple):
    """Where a value was written; lines count from 1."""

    file: str
    line: int


@dataclass
class Tree:
    """What one YAML text says: plain data, the address of each path in it, and what is wrong with it.

    `assumptions` stay empty until mixlab.config.assumed takes them out of the data.
    """

    data: Any = None
    addresses: dict[KeyPath, Address] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    assumptions: dict[KeyPath, Any] = field(default_factory=dict)


def parse(text: str, file: str) -> Tree:
    """Parse YAML 1.2 text; never raises, mistakes become the tree's problems.

    A value of a mapping has the line of its key, an entry of a list its own. What is reached through an alias has the
    lines of the anchor.
    """
    tree = Tree()
    if bad := _NOT_PRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        tree.problems.append(Problem(f"control character U+{ord(bad[0]):04X} is not allowed", file, line))
        return tree
    try:
        node = _Parser(text).get_single_node()
    except YAMLError as error:
        tree.problems.append(_syntax_problem(error, text, file))
        return tree
    if node is None:
        tree.problems.append(Problem("the file is empty; expected a mapping of keys", file, 1))
        return tree
    tree.addresses[()] = Address(file, node.start_mark.line + 1)
    tree.data = _Reader(tree, file).read(node, ())
    return tree


def parse_scalar(text: str) -> bool | int | float | str | None:
    """Read a plain scalar by the YAML 1.2 core schema; a float keeps its digits.

    Raises ValueError for a number too large or too small for Python to hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = ExactFloat(text)
        mantissa = re.split("[eE]", text)[0]
        if math.isinf(number) or (not number and re.search("[1-9]", mantissa)):
            raise ValueError(text)
        return number
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    return text


class _Parser(CParser):
    """Composes nodes whose tag says only how they were written, without YAML 1.1's guesses."""

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _QUOTED
        return _COLLECTION

    def descend_resolver(self, node: Node | None, index: Any) -> None:
        """Called by the C parser; there is nothing to prepare."""

    def ascend_resolver(self) -> None:
        """Called by the C parser; there is nothing to undo."""


class _Reader:
    def __init__(self, tree: Tree, file: str) -> None:
        self._tree = tree
        self._file = file
        self._values = 0

    def read(self, node: Node, path: KeyPath) -> Any:
        self._values += 1
        if len(path) > MAX_DEPTH or self._values > MAX_VALUES:
            return self._refuse_size(node, path)
        if node.tag == _QUOTED:
            return node.value
        if node.tag == _PLAIN:
            return self._read_plain(node, path)
        if node.tag != _COLLECTION:
            self._report(node, path, f"tags are not supported, got {_render_tag(node.tag)}; quotes make text")
            return None
        if isinstance(node, MappingNode):
            return self._read_mapping(node, path)
        return self._read_list(node, path)

    def _read_plain(self, node: Node, path: KeyPath) -> Any:
        try:
            return parse_scalar(node.value)
        except ValueError:
            got = render_value(node.value, path)
            self._report(node, path, f"expected a number that a computer can hold, got {got}")
            return None

    def _read_list(self, node: Node, path: KeyPath) -> list[Any]:
        entries = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self._tree.addresses[here] = Address(self._file, item.start_mark.line + 1)
            entries.append(self.read(item, here))
        return entries

    def _read_mapping(self, node: Node, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._read_key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in mapping:
                first, second = self._tree.addresses[here].line, key_node.start_mark.line + 1
                where = f"lines {first} and {second}" if first != second else f"both times on line {first}"
                self._report(key_node, here, f"key {key!r} is written twice ({where})")
                continue
            self._tree.addresses[here] = Address(self._file, key_node.start_mark.line + 1)
            mapping[key] = self.read(value_node, here)
        return mapping

    def _read_key(self, node: Node, path: KeyPath) -> str | None:
        if node.tag not in (_PLAIN, _QUOTED):
            self._report(node, path, "a key must be plain text")
        elif node.value == "":
            self._report(node, path, "a key is empty")
        elif node.tag == _PLAIN and node.value == "<<":
            message = "merge keys (<<) are not part of YAML 1.2; repeat the keys, or put them in a file to `extends:`"
            self._report(node, path, message)
        else:
            return str(node.value)
        return None

    def _refuse_size(self, node: Node, path: KeyPath) -> None:
        if len(path) > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels; does an alias (*name) stand inside its own anchor?"
            self._report(node, path[:3], message)
        elif self._values == MAX_VALUES + 1:
            self._report(node, path[:3], f"more than {MAX_VALUES} values; do aliases (*name) multiply?")

    def _report(self, node: Node, path: KeyPath, message: str) -> None:
        line = node.start_mark.line + 1
        problem = Problem(message, self._file, line, render_key(path))
        if problem not in self._tree.problems[-1:]:
            self._tree.problems.append(problem)


def _render_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _syntax_problem(error: YAMLError, text: str, file: str) -> Problem:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Problem(f"not valid YAML: {error}", file, 1)
    mark, what = error.problem_mark, error.problem or "cannot be read"
    lines = text.split("\n")
    source = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in source[: len(source) - len(source.lstrip())]:
        return Problem("not valid YAML: this line is indented with a tab; use spaces", file, mark.line + 1)
    message = f"not valid YAML: {_PLAIN_WORDS.get(what, what)}"
    line, context = mark.line + 1, error.context_mark
    if context is not None and context.line != mark.line and what != "did not find expected key":
        message += f" (opened on line {context.line + 1})"
    return Problem(message, file, min(line, max(1, len(text.splitlines()))))
