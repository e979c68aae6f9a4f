"""Readers of files made of lines: JSON lines and texts. No line need fit into memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mixlab.config.origins import FileLayout
from mixlab.data.files.rows import MIB, Row, Stretch, nul_fault, too_large, utf8_fault
from mixlab.data.files.unpacking import open_unpacked

_PIECE_BYTES = 1 << 20


def read_lines(file: BinaryIO, stretch: Stretch, limit_bytes: int) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line of a stretch with the offset behind it; a line longer than the limit is None."""
    if stretch.offset:
        file.seek(stretch.offset)
    at = stretch.offset
    while stretch.end is None or at < stretch.end:
        line = file.readline(limit_bytes + 1)
        if not line:
            return
        at += len(line)
        if len(line) <= limit_bytes or line.endswith(b"\n"):
            yield line, at
            continue
        del line
        while piece := file.readline(_PIECE_BYTES):
            at += len(piece)
            if piece.endswith(b"\n"):
                break
        yield None, at


def decode(line: bytes, is_first: bool) -> str:
    """Decode UTF-8; a byte order mark at the very start is dropped."""
    text = line.decode("utf-8")
    return text.removeprefix("\ufeff") if is_first else text


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def parse_json(data: bytes | str) -> object:
    """Parse one JSON value; raises ValueError with what is wrong in plain words."""
    try:
        return _DECODER.decode(data if isinstance(data, str) else data.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"malformed JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("malformed JSON: nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(utf8_fault(error)) from None
    except ValueError as error:
        # an integer of more than 4300 digits, or NaN
        raise ValueError(f"malformed JSON: {error}") from None


def read_jsonl(path: Path, layout: FileLayout, stretch: Stretch) -> Iterator[Row]:
    """Yield the value of each line that is not blank."""
    limit = layout.max_record_mib * MIB
    with open_unpacked(path) as file:
        for number, (line, end) in enumerate(read_lines(file, stretch, limit), stretch.rows + 1):
            if line is None:
                yield Row(number, fault=too_large(limit), end=end)
                continue
            if fault := nul_fault(line):
                yield Row(number, fault=fault, end=end)
                continue
            try:
                text = decode(line, number == 1).strip()
            except UnicodeDecodeError as error:
                yield Row(number, fault=utf8_fault(error), end=end)
                continue
            if text:
                yield _parsed(number, text, end)


def _parsed(number: int, text: str, end: int) -> Row:
    try:
        return Row(number, parse_json(text), end=end)
    except ValueError as error:
        hint = "; a JSON array is format json" if number == 1 and text.startswith("[") else ""
        return Row(number, fault=f"{error}{hint}", end=end)


def read_text(path: Path, layout: FileLayout, stretch: Stretch) -> Iterator[Row]:
    """Yield {"text"} of each document of a text."""
    heading = re.compile(layout.heading) if layout.heading is not None else None
    limit, split = layout.max_record_mib * MIB, layout.split
    document = _Document(limit)
    number = stretch.rows
    before = stretch.offset
    with open_unpacked(path) as file:
        for at, (raw, end) in enumerate(read_lines(file, stretch, limit), 1):
            line, fault = _decoded(raw, at, is_first=before == 0, limit=limit)
            is_blank = not line.strip()
            starts = heading is not None and heading.search(line.rstrip("\r\n")) is not None
            if document.is_open and (starts or split == "lines" or (split == "blank_lines" and is_blank)):
                number += 1
                yield document.close(number, split, before)
            if split == "file" or document.is_open or not is_blank:
                document.add(line, len(raw or b""), fault)
            before = end
    if document.is_open:
        yield document.close(number + 1, split, before)


def _decoded(raw: bytes | None, at: int, is_first: bool, limit: int) -> tuple[str, str | None]:
    if raw is None:
        return "\ufffd\n", too_large(limit)
    if fault := nul_fault(raw):
        return "\ufffd\n", f"line {at}: {fault}"
    try:
        return decode(raw, is_first), None
    except UnicodeDecodeError as error:
        return "\ufffd\n", f"line {at}: {utf8_fault(error)}"


class _Document:
    """The lines of one document; of one with a fault none are kept."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._clear()

    def _clear(self) -> None:
        self._lines: list[str] = []
        self._bytes, self._fault, self.is_open = 0, None, False

    _fault: str | None

    def add(self, line: str, size: int, fault: str | None) -> None:
        self.is_open = True
        self._bytes += size
        self._fault = self._fault or fault or (too_large(self._limit) if self._bytes > self._limit else None)
        if self._fault is None:
            self._lines.append(line)
        else:
            self._lines.clear()

    def close(self, number: int, split: str, end: int) -> Row:
        text, fault = "".join(self._lines), self._fault
        self._clear()
        if fault is not None:
            return Row(number, fault=fault, end=end)
        return Row(number, {"text": text if split == "file" else text.strip("\r\n")}, end=end)
