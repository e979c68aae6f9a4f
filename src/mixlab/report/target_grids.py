"""A target as a grid of texts, and its three files: Markdown, LaTeX with booktabs, CSV with every number unrounded.

The LaTeX says in its first lines what it needs: pdfLaTeX of 2020 or later reads most Latin letters as UTF-8 and what is
mapped here, some in the encoding T1 alone; a table with other letters, such as Japanese, needs LuaLaTeX. One that is
wider than its column, or higher than its page, is scaled down to it.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from mixlab.analysis.cells import write_csv

Labels = tuple[str, ...]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$",
    "ᵘ": r"\textsuperscript{u}", "§": r"\S{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "`": r"\`{}", "—": "---", "→": r"$\to$", "←": r"$\gets$", "↔": r"$\leftrightarrow$", "≤": r"$\leq$",
    "≥": r"$\geq$", "≠": r"$\neq$", "≈": r"$\approx$", "∞": r"$\infty$", "°": r"$^\circ$", "²": "$^2$", "³": "$^3$",
    "µ": r"$\mu$",
}  # fmt: skip
_LAST_LATIN = "\u017f"
_UNREAD = "ĦħĸĿŀŉŦŧſ"
"""Latin letters that pdfLaTeX has no command for."""
_OF_T1 = "«»ÐÞðþĄąĐđĘęĮįŊŋŲų"
"""Letters that pdfLaTeX has in the encoding T1 alone."""
_PUNCTUATION = "‘’“”…•†‡‰€™"
"""Beyond Latin letters, and read by pdfLaTeX as they are."""
_JOINERS = "\u200c\u200d"
"""Letters without width that decide what those beside them look like."""
_MOST_ROWS = 40
"""Rows that a page holds beside the heading and the notes."""
_MARKS = {"best": ("**", "**", r"\textbf{"), "second": ("<u>", "</u>", r"\underline{"), "": ("", "", "")}


@dataclass(frozen=True)
class GridCell:
    """What stands in one field; `mark`: best, second, or nothing; `of`: the cells of scores it was computed from."""

    text: str
    mark: str = ""
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A target for print: nested labels of rows and columns, and the cells between them.

    `heads`: names over the columns of row labels. `header` and `records`: the same numbers for the CSV file.
    `origin`: key of the artifact of data that all cells were read from, empty where each cell names its own.
    """

    name: str
    of: str
    title: str
    notes: tuple[str, ...]
    heads: Labels
    rows: tuple[Labels, ...]
    columns: tuple[Labels, ...]
    cells: Mapping[tuple[Labels, Labels], GridCell]
    header: Sequence[str] = ()
    records: Sequence[Sequence[Any]] = field(default=(), repr=False)
    origin: str = ""

    def cell(self, row: Labels, column: Labels) -> GridCell:
        """The cell of a row and a column; one that there is not is a dash."""
        return self.cells.get((row, column), GridCell("–"))


def write_grid(grid: Grid, folder: Path) -> None:
    """Write `NAME.md`, `NAME.tex` and `NAME.csv`."""
    (folder / f"{grid.name}.md").write_text(render_markdown(grid), encoding="utf-8")
    (folder / f"{grid.name}.tex").write_text(render_latex(grid), encoding="utf-8")
    write_csv(folder / f"{grid.name}.csv", grid.header, grid.records)


def render_markdown(grid: Grid) -> str:
    """Render a table for Markdown; nested labels of a column are joined."""
    heads = [*grid.heads, *(" · ".join(filter(None, column)) for column in grid.columns)]
    lines = [f"**{_escape(grid.of)}. {_escape(grid.title)}**", "", _join(_escape(head) for head in heads)]
    lines.append("|" + "---|" * len(grid.heads) + "---:|" * len(grid.columns))
    for row in grid.rows:
        cells = (grid.cell(row, column) for column in grid.columns)
        texts = [f"{_MARKS[one.mark][0]}{_escape(one.text)}{_MARKS[one.mark][1]}" for one in cells]
        lines.append(_join([*map(_escape, row), *texts]))
    return "\n".join([*lines, *(line for note in grid.notes for line in ("", _escape(note)))]) + "\n"


def render_latex(grid: Grid) -> str:
    """Render a table environment that needs the package booktabs, and what else its first lines say."""
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{_latex(grid.title)}}}", rf"\label{{tab:{grid.name}}}"]
    lines += list(scaled := _scale(len(grid.rows)))
    lines += [rf"\begin{{tabular}}{{{'l' * len(grid.heads)}{'r' * len(grid.columns)}}}", r"\toprule"]
    lines += _render_heads(grid)
    lines.append(r"\midrule")
    before: Labels = ()
    for row in grid.rows:
        if before and len(row) > 1 and row[0] != before[0]:
            lines.append(r"\midrule")
        # an outer label stands once above those that share it
        shared = next((at for at, label in enumerate(row) if row[: at + 1] != before[: at + 1]), len(row) - 1)
        labels = ["" if at < shared else _latex(label) for at, label in enumerate(row)]
        lines.append(_ampersands([*labels, *(_mark(grid.cell(row, column)) for column in grid.columns)]))
        before = row
    lines += [r"\bottomrule", r"\end{tabular}" + "}" * len(scaled)]
    lines += [rf"\\[2pt] {{\footnotesize {_latex(note)}}}" for note in grid.notes]
    return "\n".join([*_list_needs("".join(lines)), *lines, r"\end{table}"]) + "\n"


def _scale(rows: int) -> Sequence[str]:
    """Open a box of the table's own size, or of the column's width where that is less, and so for the page's height."""
    width = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    height = r"\resizebox*{!}{\ifdim\totalheight>.8\textheight.8\textheight\else\totalheight\fi}{%"
    return (height, width) if rows > _MOST_ROWS else (width,)


def _list_needs(latex: str) -> list[str]:
    """Comments that say which packages, and which program, a table needs."""
    needs = [r"% needs \usepackage{booktabs,graphicx}"]
    letters = [one for one in sorted(set(latex)) if one in _UNREAD or (one > _LAST_LATIN and one not in _PUNCTUATION)]
    wide = [letter for letter in letters if _is_japanese(letter)]
    others = [letter for letter in letters if letter not in wide]
    if wide:
        needs.append(rf"% needs LuaLaTeX with \usepackage{{luatexja}}, for {' '.join(wide)}")
    if others:
        needs.append(rf"% needs LuaLaTeX with \usepackage{{fontspec}} and a font that has {' '.join(others)}")
    if not letters and (found := [one for one in _OF_T1 if one in latex]):
        needs.append(rf"% needs \usepackage[T1]{{fontenc}}, for {' '.join(found)}")
    return needs


def _is_japanese(letter: str) -> bool:
    """Whether luatexja sets a letter in its Japanese font; Korean ones and pictures are not in it."""
    is_picture = unicodedata.category(letter) == "So" or unicodedata.name(letter, "").startswith("HANGUL")
    return unicodedata.east_asian_width(letter) in "WFH" and not is_picture


def _render_heads(grid: Grid) -> list[str]:
    """One line for each level of column labels, equal neighbours under one heading with a rule below it."""
    lines = []
    depth, width = len(grid.columns[0]), len(grid.heads)
    for level in range(depth):
        fields, rules, at = list[str](), list[str](), width
        tops = [column[: level + 1] for column in grid.columns]
        for (*_, label), members in groupby(tops):
            count = len(list(members))
            fields.append(rf"\multicolumn{{{count}}}{{c}}{{{_latex(label)}}}" if count > 1 else _latex(label))
            rules += [rf"\cmidrule(lr){{{at + 1}-{at + count}}}"] if count > 1 else []
            at += count
        heads = [_latex(head) for head in grid.heads] if level == depth - 1 else [""] * width
        lines.append(_ampersands([*heads, *fields]))
        lines += ["".join(rules)] if rules else []
    return lines


def _mark(cell: GridCell) -> str:
    opening = _MARKS[cell.mark][2]
    return f"{opening}{_latex(cell.text)}}}" if opening else _latex(cell.text)


def _ampersands(fields: Sequence[str]) -> str:
    # without the braces, a first field such as [50, 50] or *one would be read as an argument of what ends the row above
    return "{}" + " & ".join(fields) + r" \\"


def _join(fields: Any) -> str:
    return "| " + " | ".join(fields) + " |"


def _latex(text: str) -> str:
    """Escape a text; two hyphens stay two, an end of line or a control character is a space."""
    kinds = ((letter, unicodedata.category(letter)) for letter in text)
    kept = (" " if kind == "Cc" else letter for letter, kind in kinds if kind != "Cf" or letter in _JOINERS)
    letters = pairwise(["", *" ".join("".join(kept).split())])
    return "".join("{}-" if before == letter == "-" else _LATEX.get(letter, letter) for before, letter in letters)


def _escape(text: str) -> str:
    for letter in "\\`*_|<>[]#":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
