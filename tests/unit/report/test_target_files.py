"""A target's files: Markdown, LaTeX with booktabs, CSV, figures; equal numbers give equal bytes."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from report_fakes import CERTIFICATE

from mixlab.analysis.targets import COLUMNS, Place, TargetCell
from mixlab.config.problems import DataError
from mixlab.config.targets import CountsTarget, DrawnTarget, RawTarget, ScoreTarget, TargetPoint, TargetSettings
from mixlab.report.target_data import build_drawn_grid, build_raw_grid
from mixlab.report.target_figures import draw_target
from mixlab.report.target_grids import Grid, GridCell, render_latex
from mixlab.report.targets import write_targets

SEEDS = {"sft_seed": 2, "judge_run": 1, "mixture_seed": 1, "ipt_seed": 1, "generation_seed": 1}


def write_scores(folder: Path, scores: dict[str, tuple[float, float]]) -> Path:
    """Write scores of two SFT seeds by variant key, half a point apart after SFT, one point lower before."""
    rows = []
    for key, means in scores.items():
        for language, mean in zip(("en", "ja"), means, strict=True):
            for stage, seeds in (("before_sft", [None]), ("after_sft", [1, 2])):
                for seed in seeds:
                    score = mean - 1 if seed is None else mean + 0.5 * seed - 0.75
                    rows.append((key, stage, f"mt_{language}", "judge_score", language, "general", "1", score, True,
                                 1, 1, seed, 1, 1, key[-2:], "mix", f"sft-{key}:{seed}",
                                 f"{key}-{language}-{seed}"))  # fmt: skip
    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "scores.parquet")
    return folder


def build_settings(**more: Any) -> TargetSettings:
    measures = [{"label": one.upper(), "measure": "judge_score", "languages": [one]} for one in ("en", "ja")]
    asked = {"of": "Table 3", "title": "50 % & more", "rows": ["variant"], "columns": ["base_model", "measure"]}
    target = ScoreTarget.model_validate({**asked, "measures": measures, **more})
    points = tuple(
        TargetPoint(variant=variant, base_model=model, variant_key=f"{variant}-{model}", mixture_key="mix")
        for variant in ("even", "odd_one")
        for model in ("m1", "m2")
        if (variant, model) != ("odd_one", "m2")
    )
    return TargetSettings(name="table_03", target=target, points=points, seeds=SEEDS)


@pytest.fixture
def aggregate(tmp_path: Path) -> Path:
    scores = {"even-m1": (5.0, 6.0), "even-m2": (4.0, 3.0), "odd_one-m1": (5.5, 6.25)}
    return write_scores(tmp_path / "aggregate", scores)


def write_one(settings: TargetSettings, aggregate: Path, out: Path) -> Path:
    out.mkdir(exist_ok=True)
    write_targets([settings], aggregate, out, folders={}, shown=None)
    return out / "targets"


def test_a_table_is_written_for_markdown_latex_and_programs(aggregate: Path, tmp_path: Path) -> None:
    folder = write_one(build_settings(), aggregate, tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == [f"table_03.{one}" for one in ("csv", "json", "md", "tex")]
    lines = (folder / "table_03.md").read_text(encoding="utf-8").splitlines()
    assert lines[2:6] == [
        "| Mixture | m1 · EN | m1 · JA | m2 · EN | m2 · JA |",
        "|---|---:|---:|---:|---:|",
        "| even | 5.00 ± 0.35 | 6.00 ± 0.35 | 4.00 ± 0.35 | 3.00 ± 0.35 |",
        r"| odd\_one | 5.50 ± 0.35 | 6.25 ± 0.35 | – | – |",
    ]
    assert "± is the sample standard deviation over sft\\_seed × judge\\_run" in "\n".join(lines)
    latex = (folder / "table_03.tex").read_text(encoding="utf-8")
    assert r"\caption{50 \% \& more}" in latex
    assert r"\multicolumn{2}{c}{m1} & \multicolumn{2}{c}{m2} \\" in latex
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in latex
    assert r"odd\_one & 5.50 $\pm$ 0.35 & 6.25 $\pm$ 0.35 & -- & -- \\" in latex
    with (folder / "table_03.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["mean"] for row in rows] == ["5.0", "6.0", "4.0", "3.0", "5.5", "6.25", "", ""]
    assert rows[-1]["state"] == "no such point"
    card = json.loads((folder / "table_03.json").read_text(encoding="utf-8"))
    assert [cell["mean"] for cell in card["cells"]] == [5.0, 6.0, 4.0, 3.0, 5.5, 6.25, None, None]
    keys = {
        "variant_keys": ["even-m1"], "base_model_keys": ["m1"], "mixture_keys": ["mix"],
        "model_keys": ["sft-even-m1:1", "sft-even-m1:2"], "score_keys": ["even-m1-en-1", "even-m1-en-2"],
    }  # fmt: skip
    assert {name: rows[0][name].split() for name in keys} == keys
    assert card["cells"][0]["made_of"] == {
        **{name: found for name, found in keys.items() if name != "variant_keys"},
        "cells": [["even-m1", "after_sft", "mt_en", "judge_score"]],
    }
    assert rows[-1]["score_keys"] == rows[0]["compared_score_keys"] == ""


def render_labels(*labels: str) -> list[str]:
    """Lines of the LaTeX of a table whose rows have these labels."""
    rows = tuple((label,) for label in labels)
    cells = {(row, ("m",)): GridCell("1 ± 0") for row in rows}
    return render_latex(
        Grid("t", "T", "p < 0.05\n\nor |p|", ("a -- b",), ("Mixture",), rows, (("m",),), cells)
    ).splitlines()


def test_latex_prints_every_letter_of_a_label_and_takes_none_for_a_command() -> None:
    lines = render_labels("[50, 50]", "*star", "x<y|z> 50→60 ≤ ²", "a--b---c", "µ `q` ~^ é “q”")
    assert lines[0] == r"% needs \usepackage{booktabs,graphicx}"
    assert not lines[1].startswith("%")
    assert r"\caption{p \textless{} 0.05 or \textbar{}p\textbar{}}" in lines
    head = lines.index(r"\toprule") + 1
    assert lines[head : head + 7] == [
        r"{}Mixture & m \\",
        r"\midrule",
        r"{}[50, 50] & 1 $\pm$ 0 \\",
        r"{}*star & 1 $\pm$ 0 \\",
        r"{}x\textless{}y\textbar{}z\textgreater{} 50$\to$60 $\leq$ $^2$ & 1 $\pm$ 0 \\",
        r"{}a-{}-b-{}-{}-c & 1 $\pm$ 0 \\",
        r"{}$\mu$ \`{}q\`{} \textasciitilde{}\textasciicircum{} é “q” & 1 $\pm$ 0 \\",
    ]
    assert r"\\[2pt] {\footnotesize a -{}- b}" in lines


def test_a_table_with_letters_that_pdflatex_cannot_read_says_what_it_needs() -> None:
    lines = render_labels("日本 60", "αβ")
    assert lines[1:3] == [
        r"% needs LuaLaTeX with \usepackage{luatexja}, for 日 本",
        r"% needs LuaLaTeX with \usepackage{fontspec} and a font that has α β",
    ]
    assert r"{}日本 60 & 1 $\pm$ 0 \\" in lines


def test_differences_gains_and_stages_are_told(aggregate: Path, tmp_path: Path) -> None:
    folder = write_one(build_settings(against="even", variants=["odd_one"]), aggregate, tmp_path / "a")
    text = (folder / "table_03.md").read_text(encoding="utf-8")
    assert "| odd\\_one | 5.50 (+0.50) | 6.25 (+0.25) |" in text
    assert "difference to even on the same model" in text
    gains = build_settings(gain="of_averages", columns=["measure"], variants=["even"])
    text = (write_one(gains, aggregate, tmp_path / "b") / "table_03.md").read_text(encoding="utf-8")
    # (5 + 4) / 2 after and (4 + 3) / 2 before: + 28.6 %
    # 4.25 and 4.75 after, of 3.5: half a width of 12.706 x 14.29 / 2
    assert "| even | 4.50 (+28.6 %, −62.2 to +119.3) | 4.50 (+28.6 %, −62.2 to +119.3) |" in text
    assert "of the averages over 2 base models" in text
    stages = build_settings(rows=["stage"], columns=["base_model", "measure"], variants=["even"],
                            stages=["before_sft", "after_sft"])  # fmt: skip
    text = (write_one(stages, aggregate, tmp_path / "c") / "table_03.md").read_text(encoding="utf-8")
    assert "| before SFT | 4.00 | 5.00 | 3.00 | 2.00 |" in text


def test_a_figure_is_drawn_as_svg_and_png_with_equal_bytes_for_equal_numbers(aggregate: Path, tmp_path: Path) -> None:
    figure = {"x": {"even": 0, "odd_one": 50}, "x_label": "ratio, %", "y_label": "MT-Bench"}
    settings = build_settings(figure=figure)
    assert (
        "shifted sideways" not in (write_one(build_settings(), aggregate, tmp_path / "c") / "table_03.md").read_text()
    )
    first, second = (write_one(settings, aggregate, tmp_path / name) for name in ("a", "b"))
    for name in ("table_03.svg", "table_03.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    text = (first / "table_03.md").read_text(encoding="utf-8")
    assert "lines are shifted sideways" in text
    assert "a line breaks" not in text
    missing = write_scores(tmp_path / "less", {"even-m1": (5.0, 6.0), "even-m2": (4.0, 3.0)})
    assert "a line breaks where" in (write_one(settings, missing, tmp_path / "d") / "table_03.md").read_text()
    svg = (first / "table_03.svg").read_text(encoding="utf-8")
    assert all(f">{text}<" in svg for text in ("m1", "m2", "EN", "JA", "ratio, %", "MT-Bench"))
    assert (first / "table_03.png").read_bytes().startswith(b"\x89PNG")


def test_missing_seeds_and_items_stand_in_the_cell(tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "aggregate", {"even-m1": (5.0, 6.0), "odd_one-m1": (5.5, 6.25)})
    frame = pq.read_table(folder / "scores.parquet").to_pandas()
    more = frame.assign(item="2")
    gone = (frame["variant_key"] == "odd_one-m1") & (frame["sft_seed"] == 1)
    more.loc[gone & (frame["language"] == "en"), ["score", "parsed"]] = [float("nan"), False]
    both = pd.concat([frame[~(gone & (frame["language"] == "ja"))], more[~(gone & (frame["language"] == "ja"))]])
    pq.write_table(pa.Table.from_pandas(both), folder / "scores.parquet")
    shown = {"base_models": ["m1"], "rows": ["variant"], "columns": ["base_model", "measure"]}
    asked = build_settings(**shown, against="even", variants=["odd_one"])
    text = (write_one(asked, folder, tmp_path / "out") / "table_03.md").read_text(encoding="utf-8")
    assert (
        "| odd\\_one | 5.50 (+0.50, 1 of 2 items left out) (items 3 of 4)ᵘ | 6.50 (+0.25, n 1 of 2) (n 1 of 2) |"
        in text
    )
    assert "items left out: a run that is compared has no score for them; the difference is over the others." in text
    marks = build_settings(**shown)
    text = (write_one(marks, folder, tmp_path / "marks") / "table_03.md").read_text(encoding="utf-8")
    assert "every run of a column has a score for (m1 · after SFT · EN: 1 of 2 left out)." in text
    gain = build_settings(**shown, gain="of_averages", variants=["odd_one"])
    folder = write_one(gain, folder, tmp_path / "gain")
    text = (folder / "table_03.md").read_text(encoding="utf-8")
    assert "(+23.8 %, not estimable) (n 1 of 2)" in text
    with (folder / "table_03.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["items"], row["items_wanted"], row["gain_n"], row["before_n"]) for row in rows] == [
        ("3", "4", "2", "1"), ("2", "2", "1", "1")
    ]  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is drawn: line, caps and bars of each call."""
    drawn: list[Any] = []
    real = Axes.errorbar
    monkeypatch.setattr(Axes, "errorbar", lambda *a, **k: drawn.append(real(*a, **k)) or drawn[-1])
    return drawn


def draw(places: dict[str, float], models: Sequence[str], cells: Sequence[TargetCell]) -> None:
    """Draw one panel of these cells."""
    measures = [{"label": "EN", "measure": "judge_score"}]
    settings = build_settings(
        figure={"x": places, "x_label": "x", "y_label": "y"}, base_models=models, measures=measures
    )
    assert isinstance(settings.target, ScoreTarget)
    draw_target(settings, settings.target, cells)


def test_a_point_without_an_error_has_no_bar(drawn: list[Any]) -> None:
    cells = [
        TargetCell(Place(name, "m1", "after_sft", "EN"), mean, error, 1, 2, 0)
        for name, mean, error in (("even", 5.0, None), ("odd_one", 6.0, 0.5))
    ]
    draw({"even": 0, "odd_one": 50}, ["m1"], cells)
    (one,) = drawn
    line, _, (bars,) = one
    assert list(line.get_ydata()) == [5.0, 6.0]
    lengths = [path[1][1] - path[0][1] for path in bars.get_segments() if len(path)]
    assert [length for length in lengths if length == length] == [1.0]


def test_a_line_breaks_where_a_point_is_missing_and_goes_on_where_the_study_has_none(drawn: list[Any]) -> None:
    means = {"m1": (5.0, None, 6.0, "not run"), "m2": (4.0, None, 3.0, "no such point")}
    cells = [
        TargetCell(Place(name, model, "after_sft", "EN"), mean, None, 1, 1, 0, state="" if mean else state)
        for model, (*found, state) in means.items()
        for name, mean in zip("abc", found, strict=True)
    ]
    draw({"a": 0, "b": 10, "c": 100}, list(means), cells)
    broken, whole = (line.get_ydata() for line, _, _ in drawn)
    assert (broken[0], math.isnan(broken[1]), broken[2]) == (5.0, True, 6.0)
    assert list(whole) == [4.0, 3.0]


def test_lines_of_one_panel_differ_in_colour_or_marker_and_their_bars_stand_apart(drawn: list[Any]) -> None:
    models = [f"m{number}" for number in range(15)]
    cells = [TargetCell(Place(name, model, "after_sft", "EN"), 5.0, 0.1, 2, 2, 0) for model in models for name in "abc"]
    draw({"a": 0, "b": 10, "c": 100}, models, cells)
    lines = [line for line, _, _ in drawn]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(models)
    places = [list(line.get_xdata()) for line in lines]
    for at, true in enumerate((0, 10, 100)):
        own = [one[at] for one in places]
        assert len(set(own)) == len(models)
        assert max(abs(one - true) for one in own) < 2
        assert sum(own) / len(own) == pytest.approx(true)
    # one line alone stands where its points are
    drawn.clear()
    draw({"a": 0, "b": 10, "c": 100}, models[:1], cells[:3])
    assert list(drawn[0][0].get_xdata()) == [0, 10, 100]


def test_what_sft_draws_is_summed_by_language_and_category() -> None:
    rows = [
        {"language": "en", "category": "math", "windows": 3, "response_tokens": 30},
        {"language": "en", "category": "math", "windows": 1, "response_tokens": 5},
        {"language": "ja", "category": "code", "windows": 2, "response_tokens": 7},
    ]
    grid = build_drawn_grid("t", DrawnTarget(type="drawn", of="Table 13", title="t"), {"sources": rows})
    assert list(grid.records) == [("English", "math", 4, 35), ("Japanese", "code", 2, 7), ("all", "total", 6, 42)]


def test_raw_corpora_show_shares_and_how_far_they_are_from_natural_ones() -> None:
    rows = [
        {"position": 0, "kind": "raw", "language": "en", "population_tokens": 300, "allocated_tokens": 60},
        {"position": 1, "kind": "raw", "language": "ja", "population_tokens": 100, "allocated_tokens": 40},
        {"position": 2, "kind": "instruction", "language": "ja", "population_tokens": 9, "allocated_tokens": 9},
    ]
    target = RawTarget(type="raw", of="Table 9", title="t", variant="a", base_model="m")
    grid = build_raw_grid("t", target, {"sources": rows}, ("web", "books", "qa"))
    assert [record[:5] for record in grid.records] == [("en", "web", 300, 60, 60.0), ("ja", "books", 100, 40, 40.0)]
    assert [record[5] for record in grid.records] == pytest.approx([0.8, 1.6])


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (CountsTarget(type="counts", of="Table 1", title="t", table="table1"), "counts have no table1"),
        (DrawnTarget(type="drawn", of="Table 13", title="t"), "the mixture that it shows is not here"),
    ],
)
def test_a_target_whose_artifact_is_missing_is_an_error(
    target: CountsTarget | DrawnTarget, told: str, aggregate: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=told):
        write_one(TargetSettings(name="t", target=target), aggregate, tmp_path / "out")


def test_values_that_agree_are_called_so_and_are_no_error(tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "aggregate", {"even-m1": (5.0, 6.0)})
    frame = pq.read_table(folder / "scores.parquet").to_pandas()
    frame["score"] = frame["score"].where(frame["stage"] == "before_sft", 4.4)
    pq.write_table(pa.Table.from_pandas(frame), folder / "scores.parquet")
    shown = {"base_models": ["m1"], "variants": ["even"], "columns": ["measure"]}
    text = (write_one(build_settings(**shown), folder, tmp_path / "a") / "table_03.md").read_text(encoding="utf-8")
    assert "| even | 4.40 ± 0.00 (2 runs agree) | 4.40 ± 0.00 (2 runs agree) |" in text
    over = build_settings(**shown, error={"over": ["sft_seed"]})
    text = (write_one(over, folder, tmp_path / "b") / "table_03.md").read_text(encoding="utf-8")
    assert "| even | 4.40 ± 0.00 (2 seeds agree) |" in text
    gain = build_settings(**shown, gain="of_averages")
    text = (write_one(gain, folder, tmp_path / "c") / "table_03.md").read_text(encoding="utf-8")
    assert "| even | 4.40 (+10.0 %, 2 seeds agree) | 4.40 (−12.0 %, 2 seeds agree) |" in text


def test_a_target_of_data_names_the_artifact_that_it_was_read_from(aggregate: Path, tmp_path: Path) -> None:
    (tmp_path / "mixture").mkdir()
    (tmp_path / "mixture/certificate.json").write_text(json.dumps(CERTIFICATE), encoding="utf-8")
    target = RawTarget(type="raw", of="Table 9", title="t", variant="a", base_model="m")
    point = TargetPoint(variant="a", base_model="m", variant_key="k", mixture_key="mix")
    settings = TargetSettings(name="t", target=target, points=(point,))
    (tmp_path / "out").mkdir()
    write_targets([settings], aggregate, tmp_path / "out", folders={"mix": tmp_path / "mixture"}, shown=None)
    with (tmp_path / "out/targets/t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {row["mixture_key"] for row in rows} == {"mix"}
    card = json.loads((tmp_path / "out/targets/t.json").read_text(encoding="utf-8"))
    assert {row["mixture_key"] for row in card["rows"]} == {"mix"}


@pytest.fixture
def legends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """Canvas and legend of each figure."""
    made: list[tuple[Any, Any]] = []
    real = Canvas.legend
    monkeypatch.setattr(Canvas, "legend", lambda *a, **k: made.append((a[0], real(*a, **k))) or made[-1][1])
    return made


@pytest.mark.parametrize(
    "models", [["m" * 90 + "1", "m" * 90 + "2", "x$^{"], [f"model number {at}" for at in range(30)]]
)
def test_a_legend_names_every_line_and_stays_within_its_figure(
    models: list[str], legends: list[tuple[Any, Any]]
) -> None:
    cells = [TargetCell(Place(name, model, "after_sft", "EN"), 5.0, 0.1, 2, 2, 0) for model in models for name in "ab"]
    draw({"a": 0, "b": 10}, models, cells)
    ((canvas, legend),) = legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert len(set(texts)) == len(models)
    box, whole = legend.get_window_extent(), canvas.bbox
    assert box.x0 >= 0 and box.x1 <= whole.x1 and box.y1 <= whole.y1
    # the panel keeps its place below
    (panel,) = canvas.axes
    assert panel.get_window_extent().height > 1.2 * canvas.dpi


def test_what_a_figure_cannot_print_stands_in_its_note(aggregate: Path, tmp_path: Path) -> None:
    figure = {"x": {"even": 0, "odd_one": 50}, "x_label": "割合", "y_label": "MT-Bench"}
    measures = [{"label": "英語", "measure": "judge_score", "languages": ["en"]}]
    folder = write_one(build_settings(figure=figure, measures=measures), aggregate, tmp_path / "out")
    text = (folder / "table_03.md").read_text(encoding="utf-8")
    assert "In the figure, whose face lacks some letters: panel no. 1 is 英語; the horizontal axis is 割合." in text
    assert ">see the note<" in (folder / "table_03.svg").read_text(encoding="utf-8")
