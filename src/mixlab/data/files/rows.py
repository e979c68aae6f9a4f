"""What readers of files hand over: rows, or the reasons why there are none."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One raw record of a file: its number from 1 (0: the file as a whole), and the object or why there is none.

    `end` is the byte at which reading can be taken up again after this row, where the format has such places. `stops`:
    the fault ends the reading, so that whatever follows in the file is lost.
    """

    number: int
    value: Any = None
    fault: str | None = None
    end: int | None = None
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a file: bytes [offset, end), and how many rows come before it."""

    offset: int = 0
    end: int | None = None
    rows: int = 0


WHOLE = Stretch()


class BrokenFile(ValueError):
    """A file that ends too early or is damaged; the text says how."""


def too_large(limit_bytes: int) -> str:
    """Say that a record exceeds the limit, and the cure."""
    mib = limit_bytes // MIB
    return f"the record is larger than {mib} MiB (max_record_mib): raise it, or split or mend the record"


def nul_fault(data: bytes) -> str | None:
    """Say that `data` holds a NUL byte, which no text in UTF-8 needs; None when it holds none."""
    at = data.find(0)
    if at < 0:
        return None
    return f"holds a NUL byte at position {at}: the file is damaged, binary, or in another encoding than UTF-8"


def twice_fault(names: Iterable[str]) -> str | None:
    """Say which columns have one name, so that none of them can be meant by it; nameless ones mean nothing anyway."""
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    return f"{', '.join(twice)} stands there more than once" if twice else None


def utf8_fault(error: UnicodeDecodeError) -> str:
    """Say which byte is no UTF-8."""
    return f"wrong UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}"
