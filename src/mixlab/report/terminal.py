"""Tables for a terminal."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixlab.analysis.cells import read_csv
from mixlab.analysis.statistics import Estimate
from mixlab.report.statistics import TESTS
from mixlab.report.tables import Table
from mixlab.report.text import ITEMS_ONLY, STAGES, render_estimate


def render_main_table(report: Path) -> str:
    """Render `tables/main.csv` of a report folder: accuracy in percent ± standard error, two lines per variant.

    What a cell lacks is told below the table, by number.
    """
    rows = read_csv(report / "tables" / "main.csv")
    groups = list(dict.fromkeys(row["group"] for row in rows))
    gaps = list(dict.fromkeys(row["gaps"] for row in rows if row["gaps"]))
    cells = {(row["variant"], row["stage"], row["group"]): _render(row, gaps) for row in rows}
    lines = [["variant", "", *groups]]
    shown = ""
    for variant, stage in dict.fromkeys((row["variant"], row["stage"]) for row in rows):
        name = variant if variant != shown else ""
        shown = variant
        lines.append([name, STAGES[stage], *(cells.get((variant, stage, group), "") for group in groups)])
    widths = [max(_width(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = "\n".join(_join(line, widths) for line in lines)
    judges = sorted({row["judge"] for row in rows if row["judge"]})
    note = f"Accuracy in percent ± standard error over seeds ({ITEMS_ONLY}: over items, one seed)."
    told = [f"[{place}] {gap}" for place, gap in enumerate(gaps, start=1)]
    return "\n".join([text, *told, note, *(f"Judge scores are by: {judge}." for judge in judges)]) + "\n"


def render_table(table: Table) -> str:
    """Render any table: numbers to the right; a column that only draws is left out."""
    drawn = {place for row in table.rows for place, shown in enumerate(row) if shown.bar}
    kept = [place for place in range(len(table.columns)) if place not in drawn]
    lines = [[table.columns[place].label for place in kept]]
    lines += [[row[place].whole for place in kept] for row in table.rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(kept))]
    right = [table.columns[place].is_number for place in kept]
    text = "\n".join(_align(line, widths, right) for line in lines)
    return f"{text}\n{table.note}" if table.note else text


def render_tests(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Render the primary test of each effect at each level in one line: its p-value, or why there is none."""
    lines = []
    for row in rows:
        if row["role"] != "primary":
            continue
        said = row["note"]
        if row["p"]:
            counts = f"{row['n_variant']} and {row['n_against']} {row['unit'].replace('_', ' ')}s"
            said = f"p {float(row['p']):.3f}, Holm {float(row['p_holm']):.3f} over {row['family']}"
            said += f" ({TESTS[row['test']]}, {counts})"
        lines.append(f"{row['name']}, {row['level']}: {said}")
    return lines


def _render(row: dict[str, str], gaps: Sequence[str]) -> str:
    """Render a cell; what is missing behind it by its number below the table."""
    estimate = None
    if row["n_seeds"]:
        mean, seeds, items = (float(row[name]) if row[name] else None for name in ("mean", "se_seeds", "se_items"))
        estimate = Estimate(mean, seeds, row["seed_level"] or None, int(row["n_seeds"]), items, int(row["n_items"]))
    text = render_estimate(row["measure"], estimate).replace(" ± ", "±")
    return f"{text} [{gaps.index(row['gaps']) + 1}]" if row["gaps"] else text


def _join(line: list[str], widths: list[int]) -> str:
    """Labels to the left, numbers to the right."""
    return _align(line, widths, [place >= 2 for place in range(len(line))])


def _align(line: list[str], widths: list[int], right: list[bool]) -> str:
    fields = []
    for text, width, is_right in zip(line, widths, right, strict=True):
        gap = " " * (width - _width(text))
        fields.append(gap + text if is_right else text + gap)
    return "  ".join(fields).rstrip()


def _width(text: str) -> int:
    """Columns on a terminal: a full-width letter takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
