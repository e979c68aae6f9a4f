"""Reader of JSON files with a list of records: element by element, so that no file need fit into memory.

An own splitter and not a parser library with events: what keeps memory bounded is to know where a value ends before
it is parsed. An event parser hands over a string of 200 MB whole, and cannot go on after one malformed element.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mixlab.config.origins import FileLayout
from mixlab.data.files.rows import MIB, Row, Stretch, too_large
from mixlab.data.files.text import parse_json
from mixlab.data.files.unpacking import open_unpacked

_CHUNK_BYTES = 1 << 18
_SPACE = re.compile(rb"[ \t\r\n]*+")
_MARK = re.compile(rb'["{}\[\]]')
_SCALAR = re.compile(rb"[^,\]}\s]*+")
_BOM = b"\xef\xbb\xbf"
_JSONL = "JSON lines are format jsonl"

Around = dict[str, Any]


class _Malformed(ValueError):
    """What stands here cannot be the list of records; the rest of the file cannot be read."""


class _Scanner:
    """Takes JSON values one after the other from a file, each as bytes."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._file, self._limit = file, limit_bytes
        self._buffer, self._at = b"", 0
        self._more()
        if self._buffer.startswith(_BOM):
            self._at = len(_BOM)

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK_BYTES)
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return bool(chunk)

    def peek(self) -> bytes:
        """The next byte that is no white space, not taken; empty at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def take(self, wanted: bytes) -> bytes:
        """Take one of the bytes `wanted`."""
        found = self.peek()
        if not found:
            raise _Malformed("the file ends within the JSON text: it is cut or damaged")
        if found not in wanted:
            words = " or ".join(chr(byte) for byte in wanted)
            raise _Malformed(f"malformed JSON: {found!r} where {words} is expected")
        self._at += 1
        return found

    def value(self, keep: bool = True) -> bytes | None:
        """Take the next value; None when it is larger than the limit, or not to be kept."""
        first = self.peek()
        if not first or first in b",]}:":
            self.take(b'{["')
        pos, depth, is_string, is_scalar = self._at, 0, False, first not in b'{["'
        while True:
            if is_scalar:
                pos, is_done = self._scalar_end(pos)
            else:
                pos, depth, is_string, is_done = self._container_end(pos, depth, is_string)
            keep = keep and pos - self._at <= self._limit
            if is_done:
                value = self._buffer[self._at : pos] if keep else None
                self._at = pos
                return value
            kept = pos - self._at if keep else 0
            self._at = pos - kept
            if not self._more():
                if is_scalar:
                    self._at, value = kept, self._buffer[:kept]
                    return value if keep else None
                raise _Malformed("the file ends within the JSON text: it is cut or damaged")
            pos = kept

    def _scalar_end(self, pos: int) -> tuple[int, bool]:
        match = _SCALAR.match(self._buffer, pos)
        end = match.end() if match else pos
        return end, end < len(self._buffer)

    def _container_end(self, pos: int, depth: int, is_string: bool) -> tuple[int, int, bool, bool]:
        """Go on until the value closes or the buffer ends: position, depth, within a string, closed."""
        buffer = self._buffer
        while True:
            if is_string:
                pos, is_closed = _string_end(buffer, pos)
                if not is_closed:
                    return pos, depth, True, False
                is_string = False
            else:
                mark = _MARK.search(buffer, pos)
                if mark is None:
                    return len(buffer), depth, False, False
                pos = mark.end()
                byte = buffer[pos - 1]
                if byte == 0x22:
                    is_string = True
                    continue
                depth += 1 if byte in b"{[" else -1
            if depth <= 0:
                return pos, depth, False, True


def _string_end(buffer: bytes, pos: int) -> tuple[int, bool]:
    """Go behind the quote that closes the string around `pos`; or as far as is sure that no escape is cut."""
    while (close := buffer.find(b'"', pos)) >= 0:
        # a quote is text when an odd number of backslashes stands before it
        if _backslashes(buffer, pos, close) % 2 == 0:
            return close + 1, True
        pos = close + 1
    return len(buffer) - _backslashes(buffer, pos, len(buffer)) % 2, False


def _backslashes(buffer: bytes, start: int, end: int) -> int:
    at = end
    while at > start and buffer[at - 1] == 0x5C:
        at -= 1
    return end - at


def read_json(path: Path, layout: FileLayout, stretch: Stretch) -> Iterator[Row]:
    """Yield the records at `records_at`, each with the plain fields of the objects around it."""
    limit, steps = layout.max_record_mib * MIB, tuple(layout.records_at.split("."))
    names = steps[: steps.index("*")] if "*" in steps else steps
    number = 0
    try:
        around: Around = {}
        if names:
            with open_unpacked(path) as file:
                _find(_Scanner(file, limit), names, around, collect=True)
        with open_unpacked(path) as file:
            scanner = _Scanner(file, limit)
            _find(scanner, names, {}, collect=False)
            for found in _records(scanner, steps[len(names) :], around, limit):
                number += 1
                yield Row(number, fault=found) if isinstance(found, str) else Row(number, found[0])
            if not names and scanner.peek():
                raise _Malformed(f"malformed JSON: more follows after the list; {_JSONL}")
    except _Malformed as error:
        yield Row(number + 1, fault=f"{error}; the rest of the file is not read", stops=True)


def _find(scanner: _Scanner, names: tuple[str, ...], around: Around, collect: bool) -> None:
    """Go to the value at `names`; with `collect`, past it as well, gathering the plain fields on the way."""
    if not names:
        if collect:
            scanner.value(keep=False)
        return
    if scanner.peek() != b"{":
        raise _Malformed(f"`records_at` expects an object with {names[0]!r}")
    scanner.take(b"{")
    is_found, is_open = False, scanner.peek() != b"}"
    while is_open:
        name = _plain(scanner)
        scanner.take(b":")
        if name == names[0]:
            is_found = True
            _find(scanner, names[1:], around, collect)
            if not collect:
                return
        elif scanner.peek() in (b"{", b"["):
            scanner.value(keep=False)
        else:
            around[str(name)] = _plain(scanner)
        is_open = scanner.take(b",}") == b","
    if not is_found:
        raise _Malformed(f"`records_at` names {names[0]!r}, which is not there")


def _plain(scanner: _Scanner) -> Any:
    value = scanner.value()
    if value is None:
        raise _Malformed("a name or a plain field around the records is too large")
    try:
        return parse_json(value)
    except ValueError as error:
        raise _Malformed(str(error)) from None


def _records(scanner: _Scanner, steps: tuple[str, ...], around: Around, limit: int) -> Iterator[tuple[Any] | str]:
    if not steps:
        yield from _element(scanner.value(), (), around, limit)
        return
    first = scanner.peek()
    if not first:
        return
    if first != b"[":
        kind = {b"{": "dict", b'"': "str"}.get(first, "plain value")
        raise _Malformed(f"a {kind} stands where `records_at` expects a list; {_JSONL}")
    scanner.take(b"[")
    if scanner.peek() == b"]":
        scanner.take(b"]")
        return
    yield from _element(scanner.value(), steps[1:], around, limit)
    while scanner.take(b",]") == b",":
        yield from _element(scanner.value(), steps[1:], around, limit)


def _element(value: bytes | None, steps: tuple[str, ...], around: Around, limit: int) -> Iterator[tuple[Any] | str]:
    if value is None:
        yield too_large(limit)
        return
    try:
        parsed = parse_json(value)
    except ValueError as error:
        yield str(error)
        return
    yield from _walk(parsed, steps, around)


def _walk(value: Any, path: tuple[str, ...], around: Around) -> Iterator[tuple[Any] | str]:
    """Yield each record at `path` in a tuple, with the plain fields around it; or why there is none, as text."""
    if not path:
        yield (around | value if isinstance(value, dict) else value,)
    elif path[0] == "*":
        if not isinstance(value, list):
            yield f"a {type(value).__name__} stands where `records_at` expects a list"
            return
        for element in value:
            yield from _walk(element, path[1:], around)
    elif isinstance(value, dict) and path[0] in value:
        plain = {name: field for name, field in value.items() if not isinstance(field, dict | list)}
        yield from _walk(value[path[0]], path[1:], around | plain)
    else:
        yield f"`records_at` names {path[0]!r}, which is not there"
