"""Numbers of a written page, and where each leads: for tests of any study's page."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

NOT_SCORES = {
    "mixtures",
    "overview",
    "drawn",
    "repeated",
    "counts",
    "table1",
    "table2",
    "table13",
    "exclusions",
    "contamination",
    "sources",
    "licences",
    "unsolvable",
    "assumptions",
    "price",
    "missing",
}
"""Tables of data, of prices and of what is missing; what they hold is no score."""
STATED = {("effects", "Claimed ≥")}
"""Columns of numbers that a study states: nothing made them."""
_STATED = re.compile(
    r"claimed were at least \S+:|rule of 3 standard errors|Of \d+ effects|“[^”]*”|On [^,]*|from 0|gsm8k"
)
"""What a sentence says that no score made: names, the claims of a study, its rule, the 0 that a test tells from."""
_NUMBER = re.compile(r"[−±+<> ]*\d")


@dataclass
class Cell:
    """A field of a table, or a part of a sentence: its text, and what it leads to; `to`: a part of the page."""

    table: str
    column: str
    text: str = ""
    is_number: bool = False
    to: str = ""
    of: list[str] = field(default_factory=list)

    @property
    def states_a_number(self) -> bool:
        """Whether it begins with a digit, in a column of numbers."""
        return self.is_number and bool(_NUMBER.match(self.text))


class PageReader(HTMLParser):
    """Gathers the fields of all tables with a name, the parts of the findings and of the sentences on statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[Cell]] = {}
        self.findings: list[list[Cell]] = []
        self._table = ""
        self._columns: list[str] = []
        self._place = 0
        self._open: Cell | None = None
        self._is_head = self._is_finding = self._is_told = False
        self.anchors: set[str] = set()
        self.sections: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given["id"]} if "id" in given else set()
        if tag == "section":
            self.sections.append(given["id"])
        if tag == "table" and "data-name" in given:
            self._table, self._columns = given["data-name"], []
            self.tables.setdefault(self._table, [])
        elif tag == "th" and self._table:
            self._columns.append("")
            self._is_head = True
        elif tag == "tr":
            self._place = 0
        elif tag == "td" and self._table:
            is_number = "number" in given.get("class", "").split()
            self._open = Cell(self._table, self._columns[self._place], is_number=is_number)
            self._place += 1
        elif tag == "ul" and given.get("class") == "findings":
            self._is_finding = True
        elif self._is_finding if tag == "li" else (tag, *given, *self.sections[-1:]) == ("p", "statistics"):
            self._is_told = True
            self.findings.append([])
        elif tag == "button" and "data-of" in given:
            of = given["data-of"].split(";")
            if self._open is not None:
                self._open.of = of
            elif self._is_told:
                self.findings[-1].append(Cell("findings", "", of=of))
        elif tag == "small" and self._is_told:
            # what is missing behind the number before it, and leads where that does
            self.findings[-1].append(Cell("findings", "", of=self.findings[-1][-2].of))
        elif tag == "a" and self._is_told:
            self.findings[-1].append(Cell("findings", "", to=given["href"].removeprefix("#")))

    def handle_data(self, data: str) -> None:
        if self._is_head:
            self._columns[-1] += data
        elif self._open is not None:
            self._open.text += data
        elif self._is_told:
            if not self.findings[-1] or self.findings[-1][-1].text:
                self.findings[-1].append(Cell("findings", ""))
            self.findings[-1][-1].text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "th":
            self._is_head = False
        elif tag == "td" and self._open is not None:
            self.tables[self._table].append(self._open)
            self._open = None
        elif tag == "table":
            self._table = ""
        elif tag == "ul":
            self._is_finding = False
        elif tag in ("li", "p"):
            self._is_told = False
        elif tag in ("button", "a", "small") and self._is_told:
            # what follows is another part
            self.findings[-1].append(Cell("findings", ""))


def read_page(folder: Path) -> PageReader:
    """Read the tables and findings of `folder/index.html`."""
    reader = PageReader()
    reader.feed((folder / "index.html").read_text(encoding="utf-8"))
    return reader


def read_lineage(folder: Path) -> dict[str, Any]:
    """Read the lineage beside a page."""
    text = (folder / "data/lineage.js").read_text(encoding="utf-8")
    value: dict[str, Any] = json.loads(text.partition(",")[2].removesuffix(");\n"))
    return value


def list_unlinked(page: PageReader) -> list[tuple[str, str, str]]:
    """List what states a number of a score, in a table or a sentence, and leads nowhere: table, column, text."""
    cells = (cell for name, cells in page.tables.items() if name not in NOT_SCORES for cell in cells)
    fields = [
        (cell.table, cell.column, cell.text)
        for cell in cells
        if cell.states_a_number and not cell.of and (cell.table, cell.column) not in STATED
    ]
    plain = ("".join(part.text for part in parts if not part.of and not part.to) for parts in page.findings)
    lost = [(cell.table, cell.to, cell.text) for parts in page.findings for cell in parts if cell.to]
    return [
        *fields,
        *(("findings", "", text) for text in plain if re.search(r"\d", _STATED.sub("", text))),
        *(one for one in lost if one[1] not in page.anchors),
    ]


def list_dead_ends(page: PageReader, lineage: dict[str, Any]) -> list[tuple[str, str, str]]:
    """List what some number leads to, in a table or a finding, without coming to the digest of a source.

    Questions and what else only stands beside a model's data are no such source, but of a served model they are.
    """
    linked = [cell for cells in [*page.tables.values(), *page.findings] for cell in cells if cell.of]
    names = {name: cell for cell in linked for name in cell.of}
    beside = read_beside()
    return [
        (cell.table, cell.column, name)
        for name, cell in names.items()
        if not find_digests(lineage, name, set() if "|served|" in name else beside)
    ]


def read_beside() -> set[str]:
    """Read from the page's script the roles of parents that give no text to a model."""
    script = files("mixlab.report").joinpath("templates/site/lineage.js").read_text(encoding="utf-8")
    (listed,) = re.findall(r"const BESIDE = new Set\((\[.*?\])\);", script)
    return set(json.loads(listed))


def find_digests(lineage: dict[str, Any], name: str, without: Collection[str] = ()) -> set[str]:
    """Follow a cell of scores, or the key of an artifact, to the digests of the data of all sources behind it.

    `without`: roles of parents that are not followed.
    """
    starts: list[Any] = [name]
    if "|" in name:
        starts = [value for made in lineage["cells"].get(name, []) for value in made.values() if isinstance(value, str)]
    return set(_follow(lineage["nodes"], starts, without))


def _follow(nodes: dict[str, Any], starts: list[str], without: Collection[str]) -> Iterator[str]:
    waiting, seen = list(starts), set()
    while waiting:
        key = waiting.pop().partition(":")[0]
        if key in seen or key not in nodes:
            continue
        seen.add(key)
        node = nodes[key]
        if node["stage"] == "source":
            # one that is generated has no file, and the digest of its records alone
            files = [value for fact, value in node.get("facts", []) if fact == "digest"]
            yield from files or filter(None, [node.get("digest")])
        waiting += [parent for role, parent in node["parents"] if role not in without]
