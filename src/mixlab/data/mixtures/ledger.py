"""Where every source stands at the borders of blocks: what makes any place of a mixture found without all before it.

`ledger.bin` holds, phase after phase, one row for each border between two blocks (of 4,096 windows, as the plan says).
A row has two numbers for each source with a share in the phase: its draws so far less what an even course would have,
and its units so far less what as many windows of mean length would hold. Both are small, so each column has the few
bits it needs; before a phase's rows stand, for each column, its least value (zigzag varint) and its width in bits (a
byte).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError

State = tuple[list[int], list[int]]
"""Draws and units of each source of a phase, since its beginning."""


@dataclass(frozen=True)
class Course:
    """What the rows of one phase are measured against, for its sources with a share, in the order of their lanes.

    `draws_S` of each in the whole phase of `windows` places; `mean_units_S` as fractions (units, windows).
    """

    windows: int
    block_windows: int
    draws_S: tuple[int, ...]
    mean_units_S: tuple[tuple[int, int], ...]

    @property
    def borders(self) -> int:
        """Borders between its blocks."""
        return max(0, -(-self.windows // self.block_windows) - 1)

    def expected_draws(self, border: int) -> list[int]:
        """Draws of an even course up to border 1, 2, ..."""
        return [draws * border * self.block_windows // self.windows for draws in self.draws_S]

    def expected_units(self, draws: Sequence[int]) -> list[int]:
        """Units of so many windows of mean length."""
        return [count * units // of for count, (units, of) in zip(draws, self.mean_units_S, strict=True)]


def encode_ledger(course: Course, states: Sequence[State]) -> bytes:
    """Encode the rows of one phase from the state at each border."""
    rows = []
    for border, (draws, units) in enumerate(states, 1):
        more = [got - asked for got, asked in zip(draws, course.expected_draws(border), strict=True)]
        longer = [got - asked for got, asked in zip(units, course.expected_units(draws), strict=True)]
        rows.append(more + longer)
    if not rows:
        return b""
    columns = list(zip(*rows, strict=True))
    least = [min(column) for column in columns]
    widths = [(max(column) - low).bit_length() for column, low in zip(columns, least, strict=True)]
    head = b"".join(_varint(low) + bytes([width]) for low, width in zip(least, widths, strict=True))
    size = -(-sum(widths) // 8)
    body = []
    for row in rows:
        packed = shift = 0
        for value, low, width in zip(row, least, widths, strict=True):
            packed |= (value - low) << shift
            shift += width
        body.append(packed.to_bytes(size, "little"))
    return head + b"".join(body)


class Ledger:
    """The rows of `ledger.bin`, memory-mapped; raises DataError when the file has another length than it should."""

    def __init__(self, path: Path, courses: Sequence[Course]) -> None:
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
        self._courses = courses
        self._columns: list[tuple[list[int], list[int], int]] = []
        at = 0
        for course in courses:
            least, widths = [], []
            for _ in range(2 * len(course.draws_S) if course.borders else 0):
                value, at = _read_varint(self._bytes, at)
                least.append(value)
                widths.append(int(self._bytes[at]))
                at += 1
            self._columns.append((least, widths, at))
            at += -(-sum(widths) // 8) * course.borders
        if at != len(self._bytes):
            raise DataError(f"{path}: {len(self._bytes)} bytes, expected {at}")

    def state(self, phase: int, block: int) -> State:
        """The state of a phase before its block 0, 1, ..."""
        course = self._courses[phase]
        if not block:
            return [0] * len(course.draws_S), [0] * len(course.draws_S)
        least, widths, begin = self._columns[phase]
        size = -(-sum(widths) // 8)
        begin += (block - 1) * size
        packed = int.from_bytes(self._bytes[begin : begin + size].tobytes(), "little")
        values = []
        for low, width in zip(least, widths, strict=True):
            values.append((packed & ((1 << width) - 1)) + low)
            packed >>= width
        sources = len(course.draws_S)
        draws = [more + asked for more, asked in zip(values[:sources], course.expected_draws(block), strict=True)]
        units = [more + asked for more, asked in zip(values[sources:], course.expected_units(draws), strict=True)]
        return draws, units


def _varint(value: int) -> bytes:
    zigzag = value * 2 if value >= 0 else -value * 2 - 1
    found = bytearray()
    while zigzag >= 0x80:
        found.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    found.append(zigzag)
    return bytes(found)


def _read_varint(data: np.ndarray, at: int) -> tuple[int, int]:
    zigzag = shift = 0
    while True:
        byte = int(data[at])
        at += 1
        zigzag |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (zigzag >> 1) ^ -(zigzag & 1), at
