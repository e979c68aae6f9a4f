"""Reader of tables: csv and tsv. No row need fit into memory."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mixlab.config.origins import FileLayout
from mixlab.data.files.rows import MIB, Row, Stretch, nul_fault, too_large, twice_fault, utf8_fault
from mixlab.data.files.text import decode
from mixlab.data.files.unpacking import open_unpacked

_PIECE_BYTES = 1 << 16
_PLAIN_CELLS = re.compile(rb'(?:(?:[^",\r\n][^,\r\n]*+)?,)*+')
_CELL_END = re.compile(rb"[,\n]")


class _TooLarge(Exception):
    """The row being read exceeds the limit; what was read of it is in the feed."""


class _Feed:
    """Hands decoded lines to a csv reader, and knows which bytes belong to the row that it is reading."""

    def __init__(self, file: BinaryIO, limit_bytes: int, at: int = 0) -> None:
        self._file, self._limit = file, limit_bytes
        self.at, self.lines = at, 0
        self.row: list[bytes] = []
        self._row_bytes = 0
        self.fault: str | None = None

    def start_row(self) -> None:
        """Forget the row that was read."""
        self.row, self._row_bytes, self.fault = [], 0, None

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._limit + 1)
        if not line:
            raise StopIteration
        is_first = self.at == 0
        self.at += len(line)
        self.lines += 1
        self.row.append(line)
        self._row_bytes += len(line)
        if self._row_bytes > self._limit:
            raise _TooLarge
        fault = nul_fault(line)
        try:
            text = decode(line, is_first)
        except UnicodeDecodeError as error:
            fault = fault or utf8_fault(error)
            text = line.decode("utf-8", "replace")
        if fault is not None and self.fault is None:
            self.fault = f"line {self.lines}: {fault}"
        return text if fault is None else text.replace("\0", "\ufffd")

    def skip_row(self, is_quoted: bool) -> tuple[str, bool]:
        """Go to the end of the row that is too large, in pieces; what is wrong, and whether that ends the file."""
        state, fault = _RowEnd(is_quoted), too_large(self._limit)
        is_done = state.feed(b"".join(self.row))
        self.row = []
        while not is_done:
            piece = self._file.readline(_PIECE_BYTES)
            self.at += len(piece)
            is_done = state.feed(piece)
            if not piece:
                cut = "; its quotes never close, so the rest of the file is not read"
                return (fault + cut, True) if state.is_quoted else (fault, False)
        return fault, False


class _RowEnd:
    """Finds the end of a row of csv: a line end outside of quotes."""

    def __init__(self, is_quoted: bool) -> None:
        self._has_quotes = is_quoted
        self._state = "start"

    @property
    def is_quoted(self) -> bool:
        """Whether the end lies within quotes."""
        return self._state == "quoted"

    def feed(self, piece: bytes) -> bool:
        """Go on with the next bytes, which hold a line end at their end if at all; whether the row ended."""
        if not self._has_quotes:
            return piece.endswith(b"\n")
        at = 0
        while at < len(piece):
            at, self._state = self._step(piece, at)
            if self._state == "end":
                return True
        return False

    def _step(self, piece: bytes, at: int) -> tuple[int, str]:
        if self._state == "quoted":
            close = piece.find(b'"', at)
            return (len(piece), "quoted") if close < 0 else (close + 1, "closed")
        if self._state == "start":
            match = _PLAIN_CELLS.match(piece, at)
            at = match.end() if match else at
            if at == len(piece):
                return at, "start"
        byte = piece[at : at + 1]
        if byte == b'"' and self._state in ("start", "closed"):
            return at + 1, "quoted"
        end = _CELL_END.search(piece, at)
        if end is None:
            return len(piece), "plain"
        return end.end(), "start" if end[0] == b"," else "end"


def read_table(path: Path, layout: FileLayout, stretch: Stretch) -> Iterator[Row]:
    """Yield an object of each row, by the column names declared or those of the first row."""
    limit, is_quoted = layout.max_record_mib * MIB, layout.format == "csv"
    # the library's own limit of 128 KiB for a cell is one per process; ours is kept by the feed
    csv.field_size_limit(max(csv.field_size_limit(), limit + 1))
    with open_unpacked(path) as file:
        feed = _Feed(file, limit)
        columns = layout.columns
        if columns is None:
            try:
                columns = next((tuple(row) for row in _rows(feed, is_quoted) if row), ())
            except _TooLarge:
                yield Row(0, fault=f"the row of column names: {too_large(limit)}")
                return
            except csv.Error as error:
                yield Row(0, fault=f"the row of column names: malformed {layout.format}: {error}")
                return
            if feed.fault:
                yield Row(0, fault=f"the row of column names: {feed.fault}")
                return
            if twice := twice_fault(columns):
                yield Row(0, fault=f"the row of column names: {twice}")
                return
        if stretch.offset:
            file.seek(stretch.offset)
            feed.at = stretch.offset
        yield from _read_rows(feed, columns, layout, stretch)


def _rows(feed: _Feed, is_quoted: bool) -> Iterator[list[str]]:
    if is_quoted:
        rows = csv.reader(feed, delimiter=",", quoting=csv.QUOTE_MINIMAL, strict=True)
    else:
        rows = csv.reader(feed, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    feed.start_row()
    for row in rows:
        yield row
        feed.start_row()


def _read_rows(feed: _Feed, columns: tuple[str, ...], layout: FileLayout, stretch: Stretch) -> Iterator[Row]:
    number, is_quoted = stretch.rows, layout.format == "csv"
    while stretch.end is None or feed.at < stretch.end:
        try:
            for cells in _rows(feed, is_quoted):
                if cells:
                    number += 1
                    yield _row(number, cells, columns, feed)
                if stretch.end is not None and feed.at >= stretch.end:
                    return
            return
        except _TooLarge:
            number += 1
            fault, stops = feed.skip_row(is_quoted)
            yield Row(number, fault=fault, end=feed.at, stops=stops)
        except csv.Error as error:
            fault = f"malformed {layout.format}: {error}; the rest of the file is not read"
            yield Row(number + 1, fault=fault, stops=True)
            return


def _row(number: int, cells: list[str], columns: tuple[str, ...], feed: _Feed) -> Row:
    fault = feed.fault
    if fault is None and len(cells) != len(columns):
        fault = f"has {len(cells)} cells, not {len(columns)}: {', '.join(columns)}"
    if fault is not None:
        return Row(number, fault=fault, end=feed.at)
    return Row(number, dict(zip(columns, cells, strict=True)), end=feed.at)
