"""From a file to its rows: one reader per format, each streaming, and what is said of a file that is none of these."""

import gzip
import hashlib
import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mixlab.config.origins import FileLayout
from mixlab.config.problems import DataError
from mixlab.data.files.arrow import read_arrow
from mixlab.data.files.json import read_json
from mixlab.data.files.parquet import read_parquet
from mixlab.data.files.rows import MIB, WHOLE, BrokenFile, Row, Stretch
from mixlab.data.files.table import read_table
from mixlab.data.files.text import read_jsonl, read_text
from mixlab.data.files.unpacking import find_mistake, open_unpacked, packing

_LOG = logging.getLogger(__name__)
_PIECE_BYTES = MIB
_TOLD_BYTES = 4096 * MIB
_EMPTY = "the file is empty"

_READERS: dict[str, Callable[[Path, FileLayout, Stretch], Iterator[Row]]] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "tsv": read_table,
    "csv": read_table,
    "text": read_text,
    "python": read_text,
}
_COLUMN_READERS = {"parquet": (read_parquet, b"PAR1"), "arrow": (read_arrow, b"")}


def check_digest(path: Path, digest: str) -> int:
    """Hash `path` and return its size in bytes; raises DataError when its sha256 is not `digest`."""
    found, size = hashlib.sha256(), 0
    for piece in read_pieces(path):
        found.update(piece)
        size += len(piece)
        if size % _TOLD_BYTES < len(piece) and size >= _TOLD_BYTES:
            _LOG.info("%s: %d GiB compared with the lock", path.name, size // (1024 * MIB))
    require_digest(path, found.hexdigest(), digest)
    return size


def require_digest(path: Path, found: str, declared: str) -> None:
    """Raise DataError unless the digest found is the declared one."""
    if found != declared:
        raise DataError(
            f"{path}: sha256 is {found[:16]}…, but {declared[:16]}… is declared; "
            "put the declared file back or run `mixlab lock`"
        )


def read_pieces(path: Path, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file, or of a part of it, in pieces; raises DataError when it is not there."""
    try:
        file = path.open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: the file is not there; put it back or run `mixlab lock`") from None
    except PermissionError:
        raise DataError(f"{path}: the file may not be read; mend its permissions") from None
    with file:
        file.seek(offset)
        left = length
        while left is None or left > 0:
            piece = file.read(_PIECE_BYTES if left is None else min(_PIECE_BYTES, left))
            if not piece:
                return
            left = None if left is None else left - len(piece)
            yield piece


def can_seek(path: Path, layout: FileLayout) -> bool:
    """Whether reading can be taken up within the file: not when it is packed, and not within a json list."""
    whole = layout.format == "json" or (layout.format in ("text", "python") and layout.split == "file")
    return not whole and packing(path) is None


def read_rows(
    path: Path, layout: FileLayout, columns: frozenset[str] = frozenset(), stretch: Stretch = WHOLE
) -> Iterator[Row]:
    """Yield the raw records of a file, or of a stretch of it; of parquet and arrow only the named columns.

    What cannot be read is a row with a fault: never an exception for what a file holds.
    """
    last = stretch.rows
    try:
        fault = _fault_of_file(path, layout)
        if fault is not None:
            yield Row(0, fault=fault, stops=fault != _EMPTY)
            return
        for row in _reader(path, layout, columns, stretch):
            if row.number == 0:
                yield replace(row, stops=True)
                return
            last = max(last, row.number)
            yield row
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Row(last + 1, fault=f"the gzip file is broken: {error}; the rest of the file is not read", stops=True)
        return
    except BrokenFile as error:
        yield Row(last + 1, fault=f"{error}; the rest of the file is not read", stops=True)
        return
    if last == 0 and stretch == WHOLE:
        yield Row(0, fault=_EMPTY)


def _reader(path: Path, layout: FileLayout, columns: frozenset[str], stretch: Stretch) -> Iterator[Row]:
    if layout.format in _COLUMN_READERS:
        return _COLUMN_READERS[layout.format][0](path, layout, stretch, columns)
    return _READERS[layout.format](path, layout, stretch)


def _fault_of_file(path: Path, layout: FileLayout) -> str | None:
    """What shows from the first bytes that a file is not of the declared format."""
    if layout.format not in _COLUMN_READERS:
        with open_unpacked(path) as file:
            mistake = find_mistake(file.read(16))
        return f"the file holds no {layout.format}, it is {mistake}" if mistake else None
    if packed := packing(path):
        return f"a {layout.format} file packed with {packed} cannot be read in parts: unpack it"
    with path.open("rb") as file:
        head = file.read(8)
    magic = _COLUMN_READERS[layout.format][1]
    mistake = find_mistake(head)
    if head and (not head.startswith(magic) or (mistake and f"format: {layout.format}" not in mistake)):
        return f"the file is no {layout.format} file, it is {mistake or 'of another format, or damaged'}"
    return _EMPTY if not head else None
