"""The published tables of a paper as files: one row a cell, numbers as the strings that were printed."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.analysis.published.rounded import Rounded, read_rounded
from mixlab.config.problems import DataError, Problem

PAPERS = ("kodama-oda",)
"""Papers whose tables are known: T. Kodama, Y. Oda, Findings of EACL 2026."""


@dataclass(frozen=True)
class Form:
    """What a table's file must hold: columns that name a cell together, and columns with numbers.

    A column in `optional` may be empty in a row: the cell has no such label, or the print is damaged there.
    """

    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    optional: tuple[str, ...] = ()


_MEASURE = ("benchmark", "language", "category")
_CHANGE = Form(("model", "setting", *_MEASURE), ("mean", "delta_abs_vs_baseline"), ("category",))
_GAIN = ("mean_after_sft", "rel_improvement_pct")
FORMS: Mapping[str, Form] = {
    "01": Form(("language", "category", "tokenizer"), ("n_samples", "tokens_B")),
    "02": Form(("language", "category", "tokenizer"), ("n_samples", "tokens_M")),
    "03": Form(("config", "model", *_MEASURE), ("mean", "sd")),
    "04": _CHANGE,
    "05": Form(("config", *_MEASURE), _GAIN, ("category",)),
    "09": Form(("language", "source"), ("raw_tokens_B", "upsampling_factor", "final_sampling_ratio_pct")),
    "12": _CHANGE,
    "13": Form(("language", "category"), ("n_samples", "response_tokens_M_llmjp3")),
    "14": Form(("config", "model", *_MEASURE), _GAIN),
    "16": Form(("model_size", "ipt_steps", "sft", "language", "category"), ("mean", "sd")),
    "17": Form(("name", "language", "category"), ("tokens_B_llmjp3",), ("category", "tokens_B_llmjp3")),
}
"""Tables of scores, data, raw corpora and instruction datasets, by number."""


@dataclass(frozen=True)
class Row:
    """One cell: its labels, its numbers as printed, and its line in the file."""

    line: int
    labels: Mapping[str, str]
    printed: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.labels[column]

    def read(self, column: str) -> Rounded:
        """Read a number of the cell."""
        return read_rounded(self.printed[column])


@dataclass(frozen=True)
class PublishedTable:
    """A table by its number, as two digits."""

    number: str
    path: Path
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """`Table 3`."""
        return f"Table {int(self.number)}"

    def select(self, **labels: str) -> list[Row]:
        """The rows with these labels, in order."""
        return [row for row in self.rows if all(row[name] == value for name, value in labels.items())]

    def one(self, **labels: str) -> Row:
        """The only row with these labels; raises DataError where there is none, or several."""
        found = self.select(**labels)
        if len(found) != 1:
            said = ", ".join(f"{name} {value!r}" for name, value in labels.items())
            raise DataError(Problem(f"expected one row with {said}, got {len(found)}", file=str(self.path)))
        return found[0]

    def values(self, column: str) -> list[str]:
        """The labels of a column, each once, in order."""
        return list(dict.fromkeys(row[column] for row in self.rows))


def load_tables(folder: Path) -> dict[str, PublishedTable]:
    """Read every table of FORMS; raises DataError with every problem: a folder, file or column that is missing, a
    number that is none, a cell that is there twice."""
    if not folder.is_dir():
        message = "no such folder; name the one that holds table01.csv, table02.csv, … in --tables"
        raise DataError(Problem(message, file=str(folder)))
    problems: list[Problem] = []
    tables = {number: _load_table(folder / f"table{number}.csv", number, problems) for number in FORMS}
    if problems:
        raise DataError(problems)
    return tables


def _load_table(path: Path, number: str, problems: list[Problem]) -> PublishedTable:
    form = FORMS[number]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lines = [(reader.line_num, row) for row in reader]
            header = reader.fieldnames or ()
    except FileNotFoundError:
        problems.append(Problem(f"missing: Table {int(number)} of the paper, a row per cell", file=str(path)))
        return PublishedTable(number, path, ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(f"cannot be read: {error}", file=str(path)))
        return PublishedTable(number, path, ())
    wanted = [*form.keys, *form.numbers]
    if absent := [name for name in wanted if name not in header]:
        message = f"no column {', '.join(absent)} (columns: {', '.join(header) or 'none'})"
        problems.append(Problem(message, str(path), 1))
        return PublishedTable(number, path, ())
    rows = [Row(line, {k: v or "" for k, v in row.items() if k in form.keys},
                {k: row[k] or "" for k in form.numbers}) for line, row in lines]  # fmt: skip
    problems += _find_mistakes(path, form, rows)
    return PublishedTable(number, path, tuple(rows))


def _find_mistakes(path: Path, form: Form, rows: Sequence[Row]) -> Iterator[Problem]:
    if not rows:
        yield Problem("holds no row", file=str(path))
    seen: dict[tuple[str, ...], int] = {}
    for row in rows:
        for name in form.keys:
            if not row[name] and name not in form.optional:
                yield Problem("is empty", str(path), row.line, name)
        for name in form.numbers:
            if not row.printed[name] and name in form.optional:
                continue
            try:
                row.read(name)
            except ValueError as error:
                yield Problem(str(error), str(path), row.line, name)
        cell = tuple(row[name] for name in form.keys)
        if first := seen.get(cell):
            yield Problem(f"the cell of line {first} again; a cell stands once", str(path), row.line)
        seen.setdefault(cell, row.line)
