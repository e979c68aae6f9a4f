"""The tables and figures that a study names as targets: `targets/NAME.md`, `.tex`, `.csv`, `.json`, `.svg`, `.png`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from mixlab.analysis.target_lineage import KEYS
from mixlab.analysis.targets import COLUMNS, TargetCell, build_target, list_counters
from mixlab.config.report_data import DataShown
from mixlab.config.targets import NO_POINT, ErrorBar, ScoreTarget, TargetSettings
from mixlab.report.tables import name_cell
from mixlab.report.target_data import build_data_grid
from mixlab.report.target_figures import describe_unprinted, draw_target
from mixlab.report.target_grids import Grid, GridCell, Labels, write_grid

FOLDER = "targets"
_KEYS = ("variant_keys", "base_model_keys", "mixture_keys", "model_keys", "score_keys", "compared_score_keys")
HEADER = (
    *("variant", "base_model", "stage", "measure", "mean", "error", "n", "n_wanted", "unparsed"),
    *("items", "items_wanted", "items_asked", "state", "difference", "difference_n", "difference_left_out"),
    *(
        "against_n",
        "against_unparsed",
        "gain_percent",
        "gain_low",
        "gain_high",
        "gain_n",
        "gain_obstacle",
        "gain_left_out",
    ),
    *("before_n", "before_wanted", "before_unparsed", "mark", "mark_level", "mark_left_out"),
    *_KEYS,
)
_FIELDS = {"gain_percent": "gain"}
_STAGES = {"before_sft": "before SFT", "after_sft": "after SFT", "served": "served"}
_HEADS = {"variant": "Mixture", "base_model": "Model", "stage": "Stage", "measure": "Measure"}
_ERRORS = {"sd": "sample standard deviation", "se": "standard error"}
MARKED = (
    "Bold is best and underlined second, marked only where Welch's t on the means of each {levels}, the outermost seed "
    "that varies in the whole column, adjusted by Holm within the column, tells them apart from everything below "
    "(p < 0.05)."
)
SHIFTED = "In the figure, lines are shifted sideways a little from the ticks, so that no bar covers another."
BROKEN = "In the figure, a line breaks where a point is missing."


@dataclass(frozen=True)
class BuiltTarget:
    """A target with its numbers; one of data has no `cells`. `svg` and `png` are empty where it is a table alone."""

    settings: TargetSettings
    grid: Grid
    cells: Sequence[TargetCell] = ()
    svg: bytes = b""
    png: bytes = b""


def build_targets(
    targets: Sequence[TargetSettings], aggregate: Path, *, folders: Mapping[str, Path], shown: DataShown | None
) -> list[BuiltTarget]:
    """Compute every target of a study; `folders`: mixtures and counts by key, as `shown` names them.

    Raises DataError for a target whose artifact is not handed over.
    """
    if not targets:
        return []
    # a key stands in many rows, and once in memory
    table = pq.read_table(aggregate / "scores.parquet", columns=list(COLUMNS), read_dictionary=list(KEYS))
    scores = table.to_pandas()
    return [_build(settings, scores, folders, shown) for settings in targets]


def _build(
    settings: TargetSettings, scores: pd.DataFrame, folders: Mapping[str, Path], shown: DataShown | None
) -> BuiltTarget:
    target = settings.target
    if not isinstance(target, ScoreTarget):
        return BuiltTarget(settings, build_data_grid(settings, folders, shown))
    cells = build_target(settings, scores)
    drawn = draw_target(settings, target, cells) if target.figure is not None else ()
    return BuiltTarget(settings, _build_score_grid(settings, target, cells), cells, *drawn)


def write_targets(
    targets: Sequence[TargetSettings],
    aggregate: Path,
    out: Path,
    *,
    folders: Mapping[str, Path],
    shown: DataShown | None,
) -> list[BuiltTarget]:
    """Write the files of every target of a study, and return the targets, as `build_targets`."""
    built = build_targets(targets, aggregate, folders=folders, shown=shown)
    folder = out / FOLDER
    if built:
        folder.mkdir()
    for one in built:
        name = one.settings.name
        if one.svg:
            (folder / f"{name}.svg").write_bytes(one.svg)
            (folder / f"{name}.png").write_bytes(one.png)
        write_grid(one.grid, folder)
        _write_json(folder / f"{name}.json", one.settings, one.grid, one.cells)
    return built


def _write_json(path: Path, settings: TargetSettings, grid: Grid, cells: Sequence[TargetCell]) -> None:
    """Write what `mixlab compare` and `mixlab show` read."""
    published = settings.target.published
    value = {
        "of": grid.of,
        "title": grid.title,
        "notes": grid.notes,
        "published": published.model_dump() if published is not None else None,
        "rows": [dict(zip(grid.header, record, strict=True)) for record in grid.records],
        "cells": [asdict(cell) for cell in cells],
    }
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _build_score_grid(settings: TargetSettings, target: ScoreTarget, cells: Sequence[TargetCell]) -> Grid:
    placed = {(_labels(cell, target.rows), _labels(cell, target.columns)): cell for cell in cells}
    # a model that a variant is not for has no cell
    placed = {place: cell for place, cell in placed.items() if cell.state != NO_POINT}
    records = []
    for cell in cells:
        place = cell.place
        head = (place.variant, place.base_model or "all", place.stage, place.measure)
        numbers = (getattr(cell, _FIELDS.get(name, name)) for name in HEADER[len(head) : -len(_KEYS)])
        records.append((*head, *numbers, *_list_keys(cell)))
    return Grid(
        settings.name,
        target.of,
        target.title,
        tuple(_describe(settings, target, cells)),
        tuple(_HEADS[axis] for axis in target.rows),
        tuple(dict.fromkeys(row for row, _ in placed)),
        tuple(dict.fromkeys(column for _, column in placed)),
        {place: GridCell(render_cell(cell, target), cell.mark, _list_of(cell)) for place, cell in placed.items()},
        HEADER,
        records,
    )


def _list_keys(cell: TargetCell) -> list[str]:
    """What each of _KEYS says of a cell, keys apart by spaces."""
    made_of = (*(getattr(cell.made_of, name) for name in _KEYS[:-1]), cell.compared.score_keys)
    return [" ".join(keys) for keys in made_of]


def _list_of(cell: TargetCell) -> tuple[str, ...]:
    """Name the cells of scores behind a cell, those that it is compared with last."""
    return tuple(dict.fromkeys(name_cell(*names) for names in (*cell.made_of.cells, *cell.compared.cells)))


def _labels(cell: TargetCell, axes: Sequence[str]) -> Labels:
    labels = (cell.place.label(axis) for axis in axes)
    return tuple(
        _STAGES.get(label, label) if axis == "stage" else label for axis, label in zip(axes, labels, strict=True)
    )


def render_cell(cell: TargetCell, target: ScoreTarget) -> str:
    """Render `5.07 ± 0.08`, `4.58 (−0.35)` or `4.65 (+17.3 %)`; what is missing says so, with n."""
    if cell.mean is None:
        return cell.state
    text = f"{cell.mean:.2f}"
    if target.against is not None:
        text += f" ({_signed(cell.difference, 2)}{_render_count(cell.difference_n, cell.n_wanted)}"
        text += f"{_render_left_out(cell.difference_left_out, cell.items_asked)})"
    elif target.gain is not None:
        text += f" ({_render_gain(cell)})"
    elif cell.error is not None:
        text += f" ± {cell.error:.2f}"
        text += f" ({cell.n} {_name_values(cell, target)} agree)" if cell.error == 0 else ""
    if cell.n < cell.n_wanted:
        text += f" (n {cell.n} of {cell.n_wanted})"
    if cell.items < cell.items_wanted:
        text += f" (items {cell.items} of {cell.items_wanted})"
    return text + ("ᵘ" if cell.unparsed else "")


def _name_values(cell: TargetCell, target: ScoreTarget) -> str:
    """What an error bar's values are draws of: seeds, judge runs, or runs of both."""
    measure = next(one for one in target.measures if one.label == cell.place.measure)
    over = list_counters(target.error.over, cell.place.stage, measure)
    return "seeds" if "judge_run" not in over else "judge runs" if over == ["judge_run"] else "runs"


def _render_count(n: int, wanted: int) -> str:
    return f", n {n} of {wanted}" if n < wanted else ""


def _render_left_out(n: int, asked: int) -> str:
    return f", {n} of {asked} items left out" if n else ""


def _render_gain(cell: TargetCell) -> str:
    left_out = _render_left_out(cell.gain_left_out, cell.items_asked)
    if cell.gain is None:
        return f"no gain{left_out}"
    interval = cell.gain_obstacle
    if cell.gain_low is not None and cell.gain_high is not None:
        interval = f"{_signed(cell.gain_low, 1)} to {_signed(cell.gain_high, 1)}"
    before = f"; before SFT n {cell.before_n} of {cell.before_wanted}" if cell.before_n < cell.before_wanted else ""
    return f"{_signed(cell.gain, 1)} %, {interval}{left_out}{before}"


def _signed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def _describe(settings: TargetSettings, target: ScoreTarget, cells: Sequence[TargetCell]) -> list[str]:
    """Say what the numbers are: error bars, differences, gains, marks, and what is missing."""
    notes = [target.note] if target.note else []
    if target.against is not None:
        notes.append(f"In brackets: difference to {target.against} on the same model, over the runs that both have.")
    if target.gain is not None:
        of = "of the averages over" if target.gain == "of_averages" else "average over the gains of"
        models = settings.base_models()
        of = f", {of} {len(models)} base models" if len(models) > 1 else ""
        counts = sorted({cell.before_n for cell in cells if cell.gain is not None})
        start = f", which is of {' or '.join(map(str, counts))} values" if counts else ""
        notes.append(
            f"In brackets: relative gain from before to after SFT{of}, with its 95 % interval (Student's t over SFT "
            f"seeds; the score before SFT{start}, is taken as known); not estimable: fewer than two SFT seeds, or some "
            "are missing; seeds agree: all have this gain, but for rounding."
        )
    is_shown = target.against is None and target.gain is None
    notes.append(describe_error(target.error) if is_shown else f"In the CSV file: {describe_error(target.error)}")
    if target.figure is not None and len({(cell.place.base_model, cell.place.stage) for cell in cells}) > 1:
        notes.append(SHIFTED)
    if target.figure is not None and any(cell.mean is None and cell.state != NO_POINT for cell in cells):
        notes.append(BROKEN)
    if unprinted := describe_unprinted(settings, target):
        notes.append(unprinted)
    if any(cell.mark for cell in cells):
        levels = dict.fromkeys(cell.mark_level for cell in cells if cell.mark)
        notes.append(MARKED.format(levels=" or ".join(levels)))
    notes += _describe_marked_items(cells)
    compared = "difference" if target.against is not None else "gain" if target.gain is not None else ""
    if compared and any(getattr(cell, f"{compared}_left_out") for cell in cells):
        notes.append(
            f"items left out: a run that is compared has no score for them; the {compared} is over the others."
        )
    if any(cell.items < cell.items_wanted for cell in cells):
        notes.append("items k of m: of all items of these runs, so many have a score; the mean is over them.")
    if unparsed := sum(cell.unparsed for cell in cells):
        notes.append(f"ᵘ: {unparsed} in all cells could not be read; such an answer is wrong, such a verdict left out.")
    return notes


def _describe_marked_items(cells: Sequence[TargetCell]) -> list[str]:
    """Say of which columns, marked or not, the test for marks leaves out items, and how many."""
    told = {
        " · ".join(filter(None, (place.base_model, _STAGES[place.stage], place.measure))): (cell.mark_left_out, asked)
        for cell in cells
        for place, asked in [(cell.place, cell.items_asked)]
        if cell.mark_left_out
    }
    columns = ", ".join(f"{column}: {n} of {asked} left out" for column, (n, asked) in told.items())
    return (
        [f"Best and second are told by the items that every run of a column has a score for ({columns})."]
        if told
        else []
    )


def describe_error(error: ErrorBar) -> str:
    """Define an error bar in a sentence."""
    return f"± is the {_ERRORS[error.what]} over {' × '.join(error.over)}; everything else is averaged first."
