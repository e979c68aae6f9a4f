"""Figures as SVG: equal bytes for equal numbers, and inline they take the page's colours, light or dark.

Text stays text. Matplotlib's own DejaVu Sans is the only face laid out with, since what a machine has installed must
not reach the bytes; a label it has no letters for (Japanese) is shown by its number in the list of variants.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from mixlab.analysis.effects import comparison_id
from mixlab.analysis.statistics import STANDARD_ERRORS_WANTED
from mixlab.config.analysis import ReportSettings
from mixlab.report.numbers import Numbers
from mixlab.report.tables import Figure

# Okabe & Ito's blue and vermilion: told apart by every kind of colour vision, legible on white and on black.
BLUE, VERMILION = "#0072b2", "#d55e00"
# Stands for text and axes. Inline, each colour becomes that of the page, which knows light from dark.
INK = "#1a1b1c"
PANELS_IN_A_ROW = 4
POINTS_IN_AN_INCH = 72
WIDEST_LABEL, WIDEST_TITLE = 3.2, 2.0
"""Inches that a label beside a panel, and the title above one, take at most."""
ROOM_FOR_LABELS = 1.3
"""Inches that labels beside a panel have in a figure of the usual width."""
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.size": 0,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
}


def draw_scores(numbers: Numbers) -> Figure | None:
    """A panel per group of benchmarks: every variant's mean before (open) and after SFT (filled), with its error."""
    groups = [group for group in numbers.groups if group.measure == "accuracy"]
    if not groups:
        return None
    labels = fit_labels(find_legible([variant.label for variant in numbers.variants]), WIDEST_LABEL)
    columns = min(len(groups), PANELS_IN_A_ROW)
    lines = -(-len(groups) // columns)
    with matplotlib.rc_context(STYLE):
        width = 1.6 + 2.1 * columns + _find_more_room(labels)
        canvas = Canvas(figsize=(width, lines * (0.75 + 0.27 * len(labels)) + 0.35), layout="constrained")
        panels: list[Axes] = list(canvas.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
        for panel, group in zip(panels, groups, strict=False):
            panel.set_title(shorten(find_legible([group.label])[0], 10, WIDEST_TITLE))
            for stage, filled, shift in (("before_sft", False, -0.14), ("after_sft", True, 0.14), ("served", True, 0)):
                for place, variant in enumerate(numbers.variants):
                    found = numbers.estimate(variant.variant_key, stage, group)
                    if found and found.mean is not None:
                        error = found.se_seeds if found.se_seeds is not None else found.se_items
                        _dot(panel, found.mean * 100, (error or 0) * 100, place + shift, filled=filled)
            _prepare_axes(panel, labels)
            panel.set_xlim(-4, 104)
            panel.tick_params(labelbottom=True)
        for panel in panels[len(groups) :]:
            panel.set_visible(False)
        _add_legend(canvas)
        title = "Accuracy in percent, with standard errors as in the table: before SFT open, after SFT filled"
        title += ", served models filled" if "served" in numbers.stages() else ""
        return render_figure(canvas, "scores", title)


def draw_effects(settings: ReportSettings, numbers: Numbers) -> Figure | None:
    """Each stated accuracy effect: difference with three standard errors, and the difference that was claimed."""
    keys = settings.variant_keys()
    drawn = []
    for number, effect in enumerate(settings.effects, start=1):
        found = numbers.effects.get(comparison_id(effect.to_comparison(keys)), {})
        if effect.measure == "accuracy" and found.get("difference") and found["standard_error"]:
            name = effect.name if is_legible(effect.name) else f"effect {number}"
            drawn.append((name, float(found["difference"]), float(found["standard_error"]), float(effect.at_least)))
    if not drawn:
        return None
    labels = fit_labels(find_legible([name for name, *_ in drawn]), WIDEST_LABEL)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.0 + _find_more_room(labels), 0.8 + 0.34 * len(drawn)), layout="constrained")
        panel = canvas.subplots()
        for place, (_, difference, error, claimed) in enumerate(drawn):
            _dot(panel, difference * 100, STANDARD_ERRORS_WANTED * error * 100, place, filled=True)
            panel.plot([claimed * 100] * 2, [place - 0.3, place + 0.3], color=VERMILION, linewidth=2)
        panel.axvline(0, color=INK, linewidth=0.8)
        _prepare_axes(panel, labels)
        panel.set_xlabel("percentage points")
        wide = f"{STANDARD_ERRORS_WANTED:g} standard errors"
        title = f"Differences of accuracy; bars are {wide}, the vermilion mark is what was claimed beforehand"
        return render_figure(canvas, "effects", title)


def _find_more_room(labels: Sequence[str]) -> float:
    """How many inches labels need beyond what they have in a figure of the usual width."""
    widest = max((measure_text(label, STYLE["font.size"]) for label in labels), default=0.0)
    return round(max(0.0, widest - ROOM_FOR_LABELS), 2)


def _dot(panel: Axes, mean: float, error: float, place: float, *, filled: bool) -> None:
    face = BLUE if filled else "none"
    panel.errorbar(mean, place, xerr=error, fmt="o", color=BLUE, markersize=4.5, elinewidth=1.1, markerfacecolor=face)


def _prepare_axes(panel: Axes, labels: Sequence[str]) -> None:
    panel.set_yticks(range(len(labels)), labels)
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.grid(axis="x")
    panel.set_axisbelow(True)


def _add_legend(canvas: Canvas) -> None:
    handles = [
        matplotlib.lines.Line2D([], [], color=BLUE, marker="o", linestyle="", markerfacecolor=face, label=label)
        for face, label in (("none", "before SFT"), (BLUE, "after SFT"))
    ]
    canvas.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False)


def is_legible(label: str) -> bool:
    """Whether the face that figures are laid out with has all letters of a label."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return all(font.get_char_index(ord(letter)) for letter in label)


def find_legible(labels: Sequence[str]) -> list[str]:
    """Return labels as a figure can show them: by number where the face lacks their letters."""
    shown = [label if is_legible(label) else f"no. {place}" for place, label in enumerate(labels, start=1)]
    # a dollar sign would start a formula
    return [label.replace("$", r"\$") for label in shown]


def measure_text(text: str, points: float) -> float:
    """Return how wide a text is in the face that figures are laid out with, in inches."""
    path = TextPath((0, 0), text or " ", size=points, prop=FontProperties(family="DejaVu Sans"))
    return float(path.get_extents().x1) / POINTS_IN_AN_INCH


def shorten(text: str, points: float, inches: float) -> str:
    """Cut a text that is wider than this, and end it with three dots; tables have it whole."""
    if measure_text(text, points) <= inches:
        return text
    least, most = 0, len(text)
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if measure_text(f"{text[:middle]}…", points) <= inches else (least, middle)
    # half of an escaped dollar sign is none
    return text[:least].rstrip(" \\") + "…"


def fit_labels(labels: Sequence[str], inches: float) -> list[str]:
    """Shorten labels to this width; those that are alike then begin with their number."""
    points = STYLE["font.size"]
    shown = [shorten(label, points, inches) for label in labels]
    return [
        one if one == label or shown.count(one) == 1 else shorten(f"{place}. {label}", points, inches)
        for place, (one, label) in enumerate(zip(shown, labels, strict=True), start=1)
    ]


def render_figure(canvas: Canvas, name: str, title: str) -> Figure:
    """Write the SVG without date or random ids; inline, without the parts that only a file needs."""
    FigureCanvasSVG(canvas)
    buffer = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.savefig(buffer, format="svg", transparent=True, metadata=empty)
    svg = buffer.getvalue()
    of_page = {INK: "currentColor", BLUE: "var(--accent)", VERMILION: "var(--claim)"}
    return Figure(name, title, svg, render_inline(svg, name, of_page))


def render_inline(svg: bytes, name: str, of_page: Mapping[str, str]) -> str:
    """Render the bytes of a figure as a part of a page; `of_page`: colour in the file -> colour of the page."""
    inline = svg.decode("utf-8")
    inline = inline[inline.index("<svg") :]
    for colour, own in of_page.items():
        inline = inline.replace(colour, own)
    inline = re.sub(r"<metadata>.*?</metadata>", "", inline, flags=re.DOTALL)
    inline = re.sub(r' xmlns(:xlink)?="[^"]*"', "", inline)
    # ids are unique on the page: each figure's carry its name
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", inline)
