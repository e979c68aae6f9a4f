"""Figures of a study's targets: lines with error bars, a panel for each measure, as SVG and PNG, in one quiet style."""

import io
import math
from collections.abc import Sequence
from itertools import pairwise

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from mixlab.analysis.targets import TargetCell
from mixlab.config.targets import NO_POINT, FigureConfig, ScoreTarget, TargetSettings
from mixlab.report.figures import STYLE, find_legible, fit_labels, is_legible, measure_text, shorten

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe & Ito's colours: told apart by every kind of colour vision."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One more than colours, so that no pair of both comes twice before all have been."""
LINES_APART, OF_GAP = 0.015, 0.3
"""How far lines are shifted from each other: this share of the axis, all together at most that of the least gap."""
PANELS_IN_A_ROW, DOTS_PER_INCH = 3, 200
PANEL_INCHES, ROW_INCHES, MOST_COLUMNS = 3.0, 0.19, 4
"""Width of a panel, height of a row of the legend; columns of the legend at most."""
_BESIDE_NAME, _BETWEEN, _MARGIN, _STAGE = 0.35, 0.25, 0.2, 0.85
"""Inches of the legend: a line beside its name, between two columns, at both sides together, what names a stage."""
NOT_PRINTED = "see the note"
_STYLE = {**STYLE, "axes.spines.left": True, "ytick.major.size": 2.5, "xtick.minor.size": 1.5, "legend.frameon": False}


def draw_target(settings: TargetSettings, target: ScoreTarget, cells: Sequence[TargetCell]) -> tuple[bytes, bytes]:
    """Draw a target's cells; return the SVG and the PNG. A line breaks where a cell has no mean.

    Lines that share a panel are shifted sideways, so that their bars stand apart; ticks stay at the true places.
    """
    figure = target.figure
    if figure is None:
        raise ValueError(f"target '{settings.name}' is no figure")
    measures = [one.label for one in target.measures]
    columns = min(len(measures), PANELS_IN_A_ROW)
    lines = -(-len(measures) // columns)
    with matplotlib.rc_context(_STYLE):
        width = PANEL_INCHES * columns
        canvas = Canvas(figsize=(width, 2.4 * lines + 0.5), layout="constrained")
        panels: list[Axes] = list(canvas.subplots(lines, columns, sharex=True, squeeze=False).flat)
        for panel, title, measure in zip(panels, find_legible(measures), measures, strict=False):
            panel.set_title(shorten(title, 10, 0.85 * PANEL_INCHES))
            _draw_lines(panel, figure, settings, target, [one for one in cells if one.place.measure == measure])
            panel.grid(axis="y")
            panel.set_axisbelow(True)
            panel.tick_params(labelbottom=True)
        for panel in panels[len(measures) :]:
            panel.set_visible(False)
        canvas.supxlabel(_name_axis(figure.x_label, 0.9 * width), fontsize=9)
        canvas.supylabel(_name_axis(figure.y_label, 2.2 * lines), fontsize=9)
        handles, labels = panels[0].get_legend_handles_labels()
        ncols = count_legend_columns(labels, width)
        # the usual height has room for two rows
        more = max(0, -(-len(labels) // ncols) - 2) * ROW_INCHES
        canvas.set_size_inches(width, 2.4 * lines + 0.5 + more)
        canvas.legend(handles, labels, loc="outside upper center", ncols=ncols)
        return _save(canvas, settings.name)


def count_legend_columns(labels: Sequence[str], inches: float) -> int:
    """Return into how many columns a legend fits; they are filled one after another, the first ones first."""
    widths = [measure_text(label, 9) + _BESIDE_NAME for label in labels]
    for ncols in range(min(MOST_COLUMNS, len(labels)), 1, -1):
        least, longer = divmod(len(labels), ncols)
        ends = [at * least + min(at, longer) for at in range(ncols + 1)]
        wide = sum(max(widths[begin:end]) for begin, end in pairwise(ends)) + _BETWEEN * (ncols - 1) + _MARGIN
        if wide <= inches:
            return ncols
    return 1


def _name_axis(label: str, inches: float) -> str:
    return shorten(find_legible([label])[0], 9, inches) if is_legible(label) else NOT_PRINTED


def describe_unprinted(settings: TargetSettings, target: ScoreTarget) -> str:
    """Say what stands behind the numbers by which a figure names what its face has no letters for; else nothing."""
    figure = target.figure
    if figure is None:
        return ""
    lists = (("line", settings.base_models()), ("panel", [one.label for one in target.measures]))
    told = [
        f"{what} no. {at} is {name}"
        for what, names in lists
        for at, name in enumerate(names, start=1)
        if not is_legible(name)
    ]
    axes = (("horizontal", figure.x_label), ("vertical", figure.y_label))
    told += [f"the {way} axis is {label}" for way, label in axes if not is_legible(label)]
    return f"In the figure, whose face lacks some letters: {'; '.join(told)}." if told else ""


def _draw_lines(
    panel: Axes, figure: FigureConfig, settings: TargetSettings, target: ScoreTarget, cells: Sequence[TargetCell]
) -> None:
    models = settings.base_models() if any(one.place.base_model for one in cells) else [""]
    room = PANEL_INCHES * min(len(target.measures), PANELS_IN_A_ROW) - _BESIDE_NAME - _MARGIN
    room -= _STAGE if len(target.stages) > 1 else 0
    labels = fit_labels(find_legible([one or "all" for one in models]), room)
    lines = [(number, stage) for number in range(len(models)) for stage in target.stages]
    for shift, (number, stage) in zip(find_shifts(list(figure.x.values()), len(lines)), lines, strict=True):
        points = _find_points(figure, cells, models[number], stage)
        is_before = stage == "before_sft" and len(target.stages) > 1
        name = labels[number]
        panel.errorbar(
            [x + shift for x, _, _ in points],
            [mean for _, mean, _ in points],
            yerr=[error for _, _, error in points],
            color=COLOURS[number % len(COLOURS)],
            marker=(marker := MARKERS[number % len(MARKERS)]),
            # a star's points reach as far as a square's corners
            markersize=6 if marker == "*" else 3.5,
            markerfacecolor="white" if is_before else None,
            linewidth=1.1,
            elinewidth=0.8,
            capsize=1.5,
            linestyle="--" if is_before else "-",
            label=name if len(target.stages) == 1 else f"{name}, {'before' if is_before else 'after'} SFT",
        )
    panel.set_xticks(sorted(set(figure.x.values())), minor=True)


def _find_points(
    figure: FigureConfig, cells: Sequence[TargetCell], model: str, stage: str
) -> list[tuple[float, float, float]]:
    """Place, mean and error of a line's points from left to right, NaN for what is not known.

    A point that was to be run and has no mean is among them; one that the study does not have for this model is not.
    """
    return sorted(
        (
            figure.x[cell.place.variant],
            math.nan if cell.mean is None else cell.mean,
            math.nan if cell.error is None else cell.error,
        )
        for cell in cells
        if (cell.place.base_model, cell.place.stage) == (model, stage)
        and cell.place.variant in figure.x
        and cell.state != NO_POINT
    )


def find_shifts(places: Sequence[float], lines: int) -> list[float]:
    """How far each of several lines with points at these places is shifted, symmetric around none."""
    at = sorted(set(places))
    gaps = [right - left for left, right in pairwise(at)]
    if lines < 2 or not gaps:
        return [0.0] * lines
    step = min(LINES_APART * (at[-1] - at[0]), OF_GAP * min(gaps) / (lines - 1))
    return [step * (line - (lines - 1) / 2) for line in range(lines)]


def _save(canvas: Canvas, name: str) -> tuple[bytes, bytes]:
    """Write both without date, program or random ids: equal numbers give equal bytes."""
    svg, png = io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(canvas)
    canvas.savefig(png, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    FigureCanvasSVG(canvas)
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.savefig(svg, format="svg", metadata=empty)
    return svg.getvalue(), png.getvalue()
