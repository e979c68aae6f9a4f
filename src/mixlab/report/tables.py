"""A table for people: typed columns, cells that may lead somewhere, and its numbers as CSV beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column.

    `kind`: text, long (sentences, wrapped), short (never wrapped), number (right-aligned), key (monospaced).
    """

    label: str
    kind: str = "text"

    @property
    def is_number(self) -> bool:
        """Whether the column is right-aligned."""
        return self.kind == "number"


def name_cell(variant_key: str, stage: str, benchmark: str, measure: str) -> str:
    """Name a cell of the study's scores in one word."""
    return "|".join((variant_key, stage, benchmark, measure))


@dataclass(frozen=True)
class Shown:
    """What stands in one field: its text, the anchor it leads to, a shade in [0, 1], a tone, the anchor it is.

    `tone`: "" | "muted" | "good" | "bad". `file`: leads to a file beside the page instead. `bar`: two shares in
    [0, 1] drawn beside the text, the first as a mark (asked), the second as a bar (achieved). `of`: the cells of
    scores (`name_cell`) that a number was computed from; `mixlab page` leads from it to what made them. `gaps`: what is
    missing behind it, told in brackets. `mark`: best or second of its column.
    """

    text: str
    anchor: str = ""
    shade: float | None = None
    tone: str = ""
    anchored: str = ""
    file: str = ""
    bar: tuple[float, float] | None = None
    of: tuple[str, ...] = ()
    gaps: str = ""
    mark: str = ""

    @property
    def whole(self) -> str:
        """The text with what is missing behind it."""
        return f"{self.text} ({self.gaps})" if self.gaps else self.text

    @property
    def is_number(self) -> bool:
        """Whether it begins with a digit, behind a sign or `<`, or none."""
        return self.text.lstrip("−±+<> ")[:1].isdigit()


@dataclass(frozen=True)
class Sentence:
    """A sentence in parts, of which numbers name what they were computed from (`Shown.of`)."""

    parts: tuple[Shown, ...]

    def __str__(self) -> str:
        return "".join(part.whole for part in self.parts)


MOST_BEHIND = 60
"""Cells at most that a number in a sentence leads to; where more are behind it, it leads to the table it sums up."""


def sum_up(text: str, of: Sequence[str], table: str) -> Shown:
    """Show a number of a sentence that sums up many; `table`: anchor of the table that holds what it is of."""
    behind = tuple(dict.fromkeys(of))
    return Shown(text, of=behind) if 0 < len(behind) <= MOST_BEHIND else Shown(text, anchor=table)


def say(*parts: str | Shown) -> Sentence:
    """Build a sentence from texts and numbers."""
    return Sentence(tuple(Shown(part) if isinstance(part, str) else part for part in parts))


@dataclass(frozen=True)
class Table:
    """Rows for the page, and the same numbers unrounded in `records` for `tables/NAME.csv`.

    `folded`: shown behind a disclosure on the page and left to the CSV file in Markdown. `origins`: for each row what
    its numbers were computed from where `Shown.of` does not say it: cells of scores, or keys of artifacts. `file`: of
    its numbers, where something else writes it.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Shown]]
    header: Sequence[str] = ()
    records: Sequence[Sequence[Any]] = ()
    note: str = ""
    anchor: str = ""
    folded: bool = False
    origins: Sequence[Sequence[str]] = ()
    file: str = ""

    @property
    def path(self) -> str:
        """Where its numbers are, relative to the report."""
        return self.file or f"tables/{self.name}.csv"


@dataclass(frozen=True)
class Figure:
    """A drawing: `svg` is the file's bytes, `inline` the same made to take the page's colours.

    `file`: where something else writes it.
    """

    name: str
    title: str
    svg: bytes
    inline: str
    file: str = ""

    @property
    def path(self) -> str:
        """Where its bytes are, relative to the report."""
        return self.file or f"figures/{self.name}.svg"


@dataclass(frozen=True)
class Section:
    """A part of the page, in reading order: sentences, figures, tables.

    `stays`: shown for its sentences even where there is no table and no figure.
    """

    anchor: str
    title: str
    sentences: Sequence[str | Sentence] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    stays: bool = False
