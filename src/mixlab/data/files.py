"""From bytes to objects: one reader per format, each streaming (a json array excepted)."""

import csv
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from mixlab.config.problems import DataError
from mixlab.config.sources import FileLayout

_BLOCK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Row:
    """One raw record of a file: its number from 1, and the object or the reason why there is none."""

    number: int
    value: Any = None
    fault: str | None = None


def check_digest(path: Path, digest: str) -> int:
    """Hash `path` and return its size in bytes; raises DataError when its sha256 is not `digest`."""
    found, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                found.update(block)
                size += len(block)
    except FileNotFoundError:
        raise DataError(f"{path}: the file is not there; put it back or run `mixlab lock`") from None
    if found.hexdigest() != digest:
        raise DataError(
            f"{path}: sha256 is {found.hexdigest()[:16]}…, but {digest[:16]}… is declared; "
            "put the declared file back or run `mixlab lock`"
        )
    return size


def read_rows(path: Path, layout: FileLayout) -> Iterator[Row]:
    """Yield the rows of one file; what cannot be read is a row with a fault, never skipped."""
    reader = {
        "jsonl": _read_jsonl,
        "json": _read_json,
        "tsv": _read_table,
        "csv": _read_table,
        "text": _read_text,
        "python": _read_text,
    }[layout.format]
    with path.open("rb") as probe:
        packed = probe.read(2) == _GZIP_MAGIC
    with cast(BinaryIO, gzip.open(path)) if packed else path.open("rb") as file:
        last = 0
        try:
            for row in reader(file, layout):
                last = row.number
                yield row
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield Row(last + 1, fault=f"the gzip file is broken: {error}")
        if last == 0:
            yield Row(0, fault="the file is empty")


def _decode(line: bytes, is_first: bool) -> str:
    text = line.decode("utf-8")
    return text.removeprefix("\ufeff") if is_first else text


def _utf8_fault(error: UnicodeDecodeError) -> str:
    return f"wrong UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}"


def _read_jsonl(file: BinaryIO, layout: FileLayout) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        try:
            text = _decode(line, number == 1).strip()
            if text:
                yield Row(number, json.loads(text))
        except UnicodeDecodeError as error:
            yield Row(number, fault=_utf8_fault(error))
        except json.JSONDecodeError as error:
            yield Row(number, fault=f"malformed JSON: {error.msg} at character {error.pos}")
        except RecursionError:
            yield Row(number, fault="malformed JSON: nested too deeply")


def _read_json(file: BinaryIO, layout: FileLayout) -> Iterator[Row]:
    try:
        value = json.loads(_decode(file.read(), True))
    except UnicodeDecodeError as error:
        yield Row(1, fault=_utf8_fault(error))
        return
    except json.JSONDecodeError as error:
        yield Row(1, fault=f"malformed JSON: {error.msg} at line {error.lineno}; JSON lines are format jsonl")
        return
    path = tuple(layout.records_at.split("."))
    for number, found in enumerate(_walk(value, path, {}), 1):
        yield Row(number, fault=found) if isinstance(found, str) else Row(number, found[0])


def _walk(value: Any, path: tuple[str, ...], around: dict[str, Any]) -> Iterator[tuple[Any] | str]:
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


def _read_table(file: BinaryIO, layout: FileLayout) -> Iterator[Row]:
    faults: list[str] = []

    def decoded() -> Iterator[str]:
        for number, line in enumerate(file, 1):
            try:
                yield _decode(line, number == 1)
            except UnicodeDecodeError as error:
                faults.append(f"line {number}: {_utf8_fault(error)}")
                yield line.decode("utf-8", "replace")

    is_tsv = layout.format == "tsv"
    rows = csv.reader(
        decoded(),
        delimiter="\t" if is_tsv else ",",
        quoting=csv.QUOTE_NONE if is_tsv else csv.QUOTE_MINIMAL,
        strict=True,
    )
    columns, number = layout.columns, 0
    try:
        for cells in rows:
            if not cells:
                continue
            if columns is None:
                columns = tuple(cells)
                continue
            number += 1
            if faults:
                yield Row(number, fault=faults.pop())
                faults.clear()
            elif len(cells) != len(columns):
                yield Row(number, fault=f"has {len(cells)} cells, not {len(columns)}: {', '.join(columns)}")
            else:
                yield Row(number, dict(zip(columns, cells, strict=True)))
    except csv.Error as error:
        yield Row(number + 1, fault=f"malformed {layout.format}: {error}; the rest of the file is not read")


def _read_text(file: BinaryIO, layout: FileLayout) -> Iterator[Row]:
    heading = re.compile(layout.heading) if layout.heading is not None else None
    split = layout.split
    number, lines, fault = 0, list[str](), None
    for at, raw in enumerate(file):
        try:
            line, wrong = _decode(raw, at == 0), None
        except UnicodeDecodeError as error:
            line, wrong = "\ufffd\n", f"line {at + 1}: {_utf8_fault(error)}"
        is_blank = not line.strip()
        starts = heading is not None and heading.search(line.rstrip("\r\n")) is not None
        if lines and (starts or split == "lines" or (split == "blank_lines" and is_blank)):
            number += 1
            yield _document(number, lines, fault, split)
            lines, fault = [], None
        fault = fault or wrong
        if split == "file" or lines or not is_blank:
            lines.append(line)
    if lines:
        yield _document(number + 1, lines, fault, split)


def _document(number: int, lines: list[str], fault: str | None, split: str) -> Row:
    if fault is not None:
        return Row(number, fault=fault)
    text = "".join(lines)
    return Row(number, {"text": text if split == "file" else text.strip("\r\n")})
