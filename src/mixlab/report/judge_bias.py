"""What may bend a judge's ratings, in words, tables and a figure: each judge by itself, never two in one table."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from mixlab.analysis.cells import Cell
from mixlab.analysis.judge_bias import (
    DIFFERING,
    FIFTH,
    LENGTH,
    OWN,
    SHARE,
    SPREAD,
    TRUNCATED,
    UNREAD,
    WITHIN,
    BiasFigure,
)
from mixlab.config.judging import RULE_LABEL
from mixlab.report.figures import BLUE, INK, PANELS_IN_A_ROW, STYLE, find_legible, render_figure
from mixlab.report.numbers import UNNAMED_JUDGE, Numbers
from mixlab.report.tables import Column, Figure, Section, Shown, Table, name_cell
from mixlab.report.text import STAGES, UNKNOWN, render_plain

HEADER = ("judge", "benchmark", "figure", "variant", "stage", "at", "value", "low", "high", "n", "of", "n_items")
NOT_ITSELF = "No model of this study judges itself."
ITSELF = (
    "A judge that rates its own model's answers may prefer them, or they may be better: the difference holds both, "
    "and only another judge could tell them apart."
)
_LENGTH_NOTE = (
    "Spearman's rank correlation of rating and characters, with a 95 % interval over items (bootstrap: other "
    "questions, the same models). Within items ranks are taken among the answers to one question, so that hard "
    "questions with long answers do not pose as bias. A longer answer may be a better one: a correlation alone proves "
    "no bias. Equal answers count once."
)
_SCALE_NOTE = "Share of each rating among distinct verdicts, in percent; unread are those that hold no rating."
_RUNS_NOTE = (
    "Spread is the standard deviation between judge runs of one answer; differing, the share of answers that not all "
    "runs rate the same. Both over distinct answers that every run rated."
)
_OWN_NOTE = (
    "Mean rating of the judge's own model minus that of the other models of its stage on the same items, with a 95 % "
    "interval over items (bootstrap). A served model is compared with other served ones and with those after SFT, or "
    "before it where none is tuned."
)


def build_bias_section(numbers: Numbers) -> Section:
    """Build the part of the page on judges' bias; empty where nothing was judged."""
    figures = numbers.judge_bias
    models = [one for one in figures if one.judge != RULE_LABEL]
    sentences = []
    if models:
        sentences = [ITSELF if any(one.figure == OWN for one in models) else NOT_ITSELF]
    tables: list[Table] = []
    for judge in dict.fromkeys(one.judge for one in figures):
        own = [one for one in figures if one.judge == judge]
        tables += [_build_lengths(numbers, judge, own), _build_scale(numbers, judge, own)]
        if judge != RULE_LABEL:
            tables.append(_build_runs(numbers, judge, own))
        if any(one.figure == OWN for one in own):
            tables.append(_build_own(numbers, judge, own))
    return Section("judge-bias", "Bias of the judge", sentences, draw_lengths(figures), tables)


def _build_lengths(numbers: Numbers, judge: str, figures: Sequence[BiasFigure]) -> Table:
    columns = (
        *(Column("Benchmark"), Column("Over answers", "number"), Column("Answers", "number")),
        *(Column(label, "number") for label in ("Within items", "Compared", "Items", "Cut off")),
    )
    rows = []
    for name, found in _by_benchmark(figures):
        over, within = found[LENGTH], found[WITHIN]
        pairs = [shown for one in (over, within) for shown in (_show(one), _show_count(one))]
        rows.append([Shown(name), *pairs, Shown(render_plain(over.n_items)), _show_count(found[TRUNCATED])])
    title = f"Rating and length of answers, by: {judge}"
    records = _record(numbers, figures, (LENGTH, WITHIN, FIFTH, TRUNCATED))
    origins = _list_origins(numbers, judge, figures)
    return Table("judge_lengths", title, columns, rows, HEADER, records, _LENGTH_NOTE, origins=origins)


def _build_scale(numbers: Numbers, judge: str, figures: Sequence[BiasFigure]) -> Table:
    columns = [Column("Benchmark"), *(Column(str(rating), "number") for rating in range(1, 11))]
    columns.append(Column("Unread", "number"))
    rows = []
    for name, found in _by_benchmark(figures):
        shares = [one for one in figures if (one.benchmark, one.figure) == (name, SHARE)]
        percent = [Shown(_percent(one.value), shade=one.value) for one in shares]
        rows.append([Shown(name), *percent, _show_count(found[UNREAD])])
    title = f"Use of the scale from 1 to 10, by: {judge}"
    records, origins = _record(numbers, figures, (SHARE, UNREAD)), _list_origins(numbers, judge, figures)
    return Table("judge_scale", title, tuple(columns), rows, HEADER, records, _SCALE_NOTE, origins=origins)


def _build_runs(numbers: Numbers, judge: str, figures: Sequence[BiasFigure]) -> Table:
    columns = (Column("Benchmark"), *(Column(label, "number") for label in ("Spread", "Differing, %", "Answers")))
    rows = []
    for name, found in _by_benchmark(figures):
        spread, differing = found[SPREAD], found[DIFFERING]
        shown = [Shown(spread.note or f"{spread.value:.2f}"), Shown(_percent(differing.value))]
        rows.append([Shown(name), *shown, _show_count(spread)])
    title = f"Spread between runs of one answer, by: {judge}"
    records = _record(numbers, figures, (SPREAD, DIFFERING))
    origins = _list_origins(numbers, judge, figures)
    return Table("judge_spread", title, columns, rows, HEADER, records, _RUNS_NOTE, origins=origins)


def _build_own(numbers: Numbers, judge: str, figures: Sequence[BiasFigure]) -> Table:
    columns = (
        *(Column(label) for label in ("Variant", "Stage", "Benchmark")),
        *(Column(label, "number") for label in ("Difference", "Items")),
    )
    own = [one for one in figures if one.figure == OWN]
    rows = [
        [
            Shown(numbers.label(one.variant_key) or one.variant_key),
            Shown(STAGES[one.stage]),
            Shown(one.benchmark),
            _show(one),
            _show_count(one),
        ]
        for one in own
    ]
    title, records = f"The judge's own answers, by: {judge}", _record(numbers, figures, (OWN,))
    rated = _list_rated(numbers, judge)
    origins = [_name_cells(_list_compared(rated, figure, own)) for figure in own]
    return Table("judge_own", title, columns, rows, HEADER, records, _OWN_NOTE, origins=origins)


def _list_origins(numbers: Numbers, judge: str, figures: Sequence[BiasFigure]) -> list[list[str]]:
    """For each benchmark the cells of all that this judge rated of it."""
    rated = _list_rated(numbers, judge)
    return [_name_cells(one for one in rated if one.benchmark == name) for name in _list_benchmarks(figures)]


def _list_rated(numbers: Numbers, judge: str) -> list[Cell]:
    rated = (cell for cell in numbers.cells if cell.measure == "judge_score")
    return [cell for cell in rated if (cell.judge or UNNAMED_JUDGE) == judge]


def _list_compared(rated: Iterable[Cell], figure: BiasFigure, own: Iterable[BiasFigure]) -> list[Cell]:
    """The cells of the judge's own model and of what it is compared with, as `_OWN_NOTE` says."""
    cells = [cell for cell in rated if cell.benchmark == figure.benchmark]
    last = "after_sft" if any(cell.stage == "after_sft" for cell in cells) else "before_sft"
    stages = {figure.stage, last} if figure.stage == "served" else {figure.stage}
    point = (figure.variant_key, figure.stage)
    others = {(one.variant_key, one.stage) for one in own if one.benchmark == figure.benchmark} - {point}
    return [cell for cell in cells if cell.stage in stages and (cell.variant_key, cell.stage) not in others]


def _name_cells(cells: Iterable[Cell]) -> list[str]:
    return [name_cell(one.variant_key, one.stage, one.benchmark, one.measure) for one in cells]


def _list_benchmarks(figures: Iterable[BiasFigure]) -> list[str]:
    return list(dict.fromkeys(one.benchmark for one in figures))


def _by_benchmark(figures: Iterable[BiasFigure]) -> list[tuple[str, dict[str, BiasFigure]]]:
    """Benchmarks in order, each with its figures by name; of those of which there are several, the last."""
    found: dict[str, dict[str, BiasFigure]] = {}
    for one in figures:
        found.setdefault(one.benchmark, {})[one.figure] = one
    return list(found.items())


def _record(numbers: Numbers, figures: Iterable[BiasFigure], names: Sequence[str]) -> list[list[object]]:
    return [
        [numbers.label(one.variant_key) if name == "variant" else getattr(one, name) for name in HEADER]
        for one in figures
        if one.figure in names
    ]


def _show(figure: BiasFigure) -> Shown:
    """Show `0.42 [0.30, 0.51]`, or why there is no number or no interval."""
    if figure.value is None:
        return Shown(figure.note, tone="muted")
    if figure.low is None or figure.high is None:
        return Shown(f"{_signed(figure.value)} ({figure.note})")
    return Shown(f"{_signed(figure.value)} [{_signed(figure.low)}, {_signed(figure.high)}]")


def _show_count(figure: BiasFigure) -> Shown:
    return Shown(f"{render_plain(figure.n)} of {render_plain(figure.of)}")


def _signed(value: float) -> str:
    text = f"{value:.2f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.1f}"


def draw_lengths(figures: Iterable[BiasFigure]) -> list[Figure]:
    """For each judge a panel per benchmark: mean rating of each fifth of the answers, from shortest to longest."""
    judges: dict[str, dict[str, list[BiasFigure]]] = {}
    for one in figures:
        if one.figure == FIFTH:
            judges.setdefault(one.judge, {}).setdefault(one.benchmark, []).append(one)
    return [_draw_judge(number, judge, panels) for number, (judge, panels) in enumerate(judges.items(), start=1)]


def _draw_judge(number: int, judge: str, panels: Mapping[str, Sequence[BiasFigure]]) -> Figure:
    columns = min(len(panels), PANELS_IN_A_ROW)
    lines = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(0.8 + 2.4 * columns, 0.4 + 2.0 * lines), layout="constrained")
        places: list[Axes] = list(canvas.subplots(lines, columns, sharey=True, squeeze=False).flat)
        for place, name, fifths in zip(places, find_legible(list(panels)), panels.values(), strict=False):
            place.set_title(name)
            _draw_fifths(place, fifths)
        for place in places[len(panels) :]:
            place.set_visible(False)
        places[0].set_ylabel("mean rating")
        title = f"Mean rating of each fifth of the answers by length, at its median characters, by: {judge}"
        return render_figure(canvas, f"judge_lengths_{number}", title)


def _draw_fifths(panel: Axes, fifths: Sequence[BiasFigure]) -> None:
    lengths = [one.at or 0.0 for one in fifths]
    ratings = [one.value or 0.0 for one in fifths]
    panel.plot(lengths, ratings, marker="o", color=BLUE, markersize=4.5, linewidth=1.1)
    panel.set_ylim(0.5, 10.5)
    panel.set_yticks([1, 4, 7, 10])
    panel.set_xlabel("characters", color=INK)
    panel.grid(axis="y")
    panel.set_axisbelow(True)
