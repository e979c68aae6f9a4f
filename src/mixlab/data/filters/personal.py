"""Personal data: counted and listed, or left out. What was found is never written, only where and of which kind."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO

from mixlab.config.filters import PersonalData, PersonalKind
from mixlab.data.filters.exclusion import Exclusion, Numbered
from mixlab.data.filters.patterns import find_personal, to_ascii
from mixlab.data.overlap.invisible import drop_invisible
from mixlab.data.overlap.units import BLOCK_CHARACTERS, OVERLAP_CHARACTERS, cut_text
from mixlab.data.records import Record, texts_of
from mixlab.data.writing import write_line


class Flags:
    """Lists flagged records in `flagged.jsonl`, which is written when there is a filter that flags."""

    def __init__(self, out: Path) -> None:
        self._path = out / "flagged.jsonl"
        self._stack = ExitStack()
        self._file: TextIO | None = None
        self._records: Counter[str] = Counter()
        self._finds: Counter[str] = Counter()

    def __enter__(self) -> "Flags":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def open(self, kinds: tuple[PersonalKind, ...]) -> None:
        """Begin the list."""
        self._file = self._stack.enter_context(self._path.open("w", encoding="utf-8", newline="\n"))
        for kind in kinds:
            self._records[kind] = self._finds[kind] = 0

    def add(self, record: int, patterns: dict[str, int]) -> None:
        """List a record with its finds by kind."""
        if self._file is None:
            raise RuntimeError("the list of flagged records is not open")
        write_line(self._file, {"record": record, "patterns": patterns})
        self._records.update(patterns.keys())
        self._finds.update(patterns)

    def counts(self) -> dict[str, dict[str, int]] | None:
        """Count flagged records and finds by kind; None when nothing was to be flagged."""
        if self._file is None:
            return None
        return {kind: {"records": self._records[kind], "finds": self._finds[kind]} for kind in sorted(self._records)}


def find_personal_data(settings: PersonalData, records: Numbered, flags: Flags) -> Iterator[Exclusion]:
    """Yield the records with personal data, or flag them, by ordinal; details are the finds by kind."""
    if settings.on_found == "flag":
        flags.open(settings.kinds)
    for ordinal, record in records():
        patterns = count_personal(settings.kinds, record)
        if sum(patterns.values()) < settings.at_least:
            continue
        if settings.on_found == "flag":
            flags.add(ordinal, patterns)
        else:
            yield Exclusion(ordinal, "personal data", {"patterns": patterns})


def count_personal(kinds: tuple[PersonalKind, ...], record: Record) -> dict[str, int]:
    """Count the finds of each kind in the texts of a record; kinds without any are left out."""
    found: Counter[str] = Counter()
    for text in map(drop_invisible, texts_of(record)):
        for piece in cut_text(text):
            # what begins in the overlap is counted with the next piece
            end = BLOCK_CHARACTERS - OVERLAP_CHARACTERS if len(piece) == BLOCK_CHARACTERS < len(text) else len(piece)
            plain = to_ascii(piece)
            for kind in kinds:
                if count := sum(start < end for start in find_personal(kind, plain)):
                    found[kind] += count
    return dict(found)
