"""The main table for a terminal."""

import unicodedata
from pathlib import Path

from mixlab.analysis.cells import read_csv
from mixlab.analysis.statistics import Estimate
from mixlab.report.text import ITEMS_ONLY, STAGES, render_estimate


def render_main_table(report: Path) -> str:
    """Render `tables/main.csv` of a report folder: accuracy in percent ± standard error, two lines per variant."""
    rows = read_csv(report / "tables" / "main.csv")
    groups = list(dict.fromkeys(row["group"] for row in rows))
    cells = {(row["variant"], row["stage"], row["group"]): _render(row) for row in rows}
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
    return "\n".join([text, note, *(f"Judge scores are by: {judge}." for judge in judges)]) + "\n"


def _render(row: dict[str, str]) -> str:
    if not row["n_seeds"]:
        return render_estimate(row["measure"], None)
    mean, seeds, items = (float(row[name]) if row[name] else None for name in ("mean", "se_seeds", "se_items"))
    estimate = Estimate(mean, seeds, row["seed_level"] or None, int(row["n_seeds"]), items, int(row["n_items"]))
    return render_estimate(row["measure"], estimate).replace(" ± ", "±")


def _join(line: list[str], widths: list[int]) -> str:
    """Labels to the left, numbers to the right."""
    fields = []
    for place, (text, width) in enumerate(zip(line, widths, strict=True)):
        gap = " " * (width - _width(text))
        fields.append(text + gap if place < 2 else gap + text)
    return "  ".join(fields).rstrip()


def _width(text: str) -> int:
    """Columns on a terminal: a full-width letter takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
