"""The targets of a study as sections of its report and its page, each number with the way to what made it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mixlab.config.report_data import DataShown
from mixlab.config.targets import TargetSettings
from mixlab.report.figures import INK, render_inline
from mixlab.report.tables import Column, Figure, Section, Shown, Table
from mixlab.report.target_data import find_origin
from mixlab.report.target_grids import Grid, GridCell, Labels
from mixlab.report.targets import FOLDER, BuiltTarget, build_targets
from mixlab.report.text import to_anchor

OF_PAGE = {INK: "currentColor", "#000000": "currentColor", "#ffffff": "var(--paper)"}
"""Colours of a target's figure that follow the page; those of its lines are told apart on light and on dark."""


def build_target_sections(built: Sequence[BuiltTarget]) -> list[Section]:
    """Build a section for each target: its table, and its figure."""
    return [_build_section(one) for one in built]


def load_target_sections(
    targets: Sequence[TargetSettings], aggregate: Path, *, folders: Mapping[str, Path], shown: DataShown | None
) -> list[Section]:
    """Build the sections from artifacts, where one of data may not be here: its section says so."""
    origins = {settings.name: find_origin(settings, shown) for settings in targets}
    here = [one for one in targets if one.target.type == "scores" or origins[one.name] in folders]
    built = {one.settings.name: one for one in build_targets(here, aggregate, folders=folders, shown=shown)}
    return [
        _build_section(built[one.name]) if one.name in built else _tell_missing(one, origins[one.name])
        for one in targets
    ]


def _tell_missing(settings: TargetSettings, origin: str) -> Section:
    target = settings.target
    said = f"{target.title}: cannot be shown, since {origin or 'the artifact it is read from'} is not here."
    return Section(to_anchor("target", settings.name), target.of, [said], stays=True)


def _build_section(built: BuiltTarget) -> Section:
    """Show a table with its notes; of a figure the notes, its numbers behind a disclosure, and the drawing."""
    grid, name = built.grid, f"target_{built.settings.name}"
    anchor, table = to_anchor("target", grid.name), _build_table(grid, name)
    if not built.svg:
        return Section(anchor, grid.of, tables=[table])
    inline = render_inline(built.svg, name, OF_PAGE)
    figure = Figure(name, f"{grid.of}. {grid.title}", built.svg, inline, f"{FOLDER}/{grid.name}.svg")
    return Section(anchor, grid.of, [table.note], [figure], [replace(table, note="", folded=True)])


def _build_table(grid: Grid, name: str) -> Table:
    columns = [Column(head, "short" if at else "text") for at, head in enumerate(grid.heads)]
    columns += [Column(" · ".join(filter(None, labels)), "number") for labels in grid.columns]
    rows = []
    before: Labels = ()
    for row in grid.rows:
        # an outer label stands once above those that share it
        shared = next((at for at, _ in enumerate(row) if row[: at + 1] != before[: at + 1]), len(row) - 1)
        labels = [Shown("" if at < shared else label) for at, label in enumerate(row)]
        rows.append([*labels, *(_show(grid.cell(row, column), grid.origin) for column in grid.columns)])
        before = row
    note = " ".join(note if note.endswith(".") else f"{note}." for note in grid.notes)
    file = f"{FOLDER}/{grid.name}.csv"
    return Table(name, grid.title, tuple(columns), rows, grid.header, grid.records, note, file=file)


def _show(cell: GridCell, origin: str) -> Shown:
    """Lead to the cells of scores or the artifact; in a report without its answers to the lineage of the point."""
    if origin:
        return Shown(cell.text, of=(origin,))
    points = list(dict.fromkeys(name.partition("|")[0] for name in cell.of))
    anchor = to_anchor("lineage", points[0]) if len(points) == 1 else "lineage" if points else ""
    return Shown(cell.text, anchor, tone="" if points else "muted", of=cell.of, mark=cell.mark)
