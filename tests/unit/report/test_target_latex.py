"""A target's LaTeX: what its first lines ask for is enough, and nothing stands beyond the edge of the page."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from latex_lab import CASES, JAPANESE, compile_tables, find_latex, list_needs

from mixlab.analysis.targets import COLUMNS
from mixlab.config.targets import DrawnTarget, RawTarget, ScoreTarget, TargetPoint, TargetSettings
from mixlab.report.target_data import build_drawn_grid, build_raw_grid
from mixlab.report.target_grids import Grid, GridCell, render_latex
from mixlab.report.targets import write_targets

MODELS = ("m_1", "m%2")


def render(*labels: str, columns: int = 1) -> str:
    rows, heads = tuple((label,) for label in labels), tuple((f"m{at}",) for at in range(columns))
    cells = {(row, head): GridCell("1 ± 0") for row in rows for head in heads}
    return render_latex(Grid("t", "T", "T", (), ("Mixture",), rows, heads, cells))


def test_a_table_is_scaled_to_its_column_and_a_long_one_to_its_page() -> None:
    lines = render("a").splitlines()
    at = lines.index(r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%")
    assert lines[at + 1].startswith(r"\begin{tabular}") and r"\end{tabular}}" in lines
    long = render(*(f"v{at}" for at in range(41))).splitlines()
    assert any(line.startswith(r"\resizebox*{!}{\ifdim\totalheight") for line in long)
    assert r"\end{tabular}}}" in long


@pytest.mark.parametrize(
    ("label", "needs"),
    [
        ("Łódź é", []),
        ("są « »", [r"% needs \usepackage[T1]{fontenc}, for « » ą"]),
        ("ħ", [r"% needs LuaLaTeX with \usepackage{fontspec} and a font that has ħ"]),
        # LuaLaTeX has these without T1, which would keep it from Japanese
        ("są 日ｶ", [r"% needs LuaLaTeX with \usepackage{luatexja}, for 日 ｶ"]),
        ("한 😀", [r"% needs LuaLaTeX with \usepackage{fontspec} and a font that has 한 😀"]),
        ("a\x07b\u200b\u202ec\x7f", []),
    ],
)
def test_a_table_asks_for_what_its_letters_need(label: str, needs: list[str]) -> None:
    lines = render(label).splitlines()
    assert lines[1:3][: len(needs)] == needs
    assert lines[1 + len(needs)] == r"\begin{table}[t]"
    assert r"{}a bc & 1 $\pm$ 0 \\" in lines or "\x07" not in label


def write_scores(folder: Path, variants: dict[str, str]) -> Path:
    """Scores of two SFT seeds of each point, before and after SFT."""
    rows = []
    for place, key in enumerate(variants):
        for stage, seeds in (("before_sft", [None]), ("after_sft", [1, 2])):
            for seed in seeds:
                score = 3 + place % 5 + 0.1 * (seed or 0)
                rows.append((key, stage, "mt_en", "judge_score", "en", "general", "1", score, True,
                             1, 1, seed, 1, 1, "base", "mix", f"sft-{key}:{seed}", f"{key}-{seed}"))  # fmt: skip
    folder.mkdir()
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"sft_seed": "Int64"})
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "scores.parquet")
    return folder


def write_study(root: Path, labels: tuple[str, ...]) -> list[str]:
    """Write targets of a study with such labels: scores, differences, gains, 45 variants, data; return the LaTeX."""
    many = (*labels, *(f"variant {at}" for at in range(45 - len(labels))))
    keys = {f"k{place}-{at}": (name, model) for place, name in enumerate(many) for at, model in enumerate(MODELS)}
    points = tuple(
        TargetPoint(variant=name, base_model=model, variant_key=key, mixture_key="mix")
        for key, (name, model) in keys.items()
    )
    measures = [{"label": f"{label[:40]} {at}", "measure": "judge_score"} for at, label in enumerate(labels)]
    asked = {"of": "Table", "title": " ".join(labels)[:200], "note": labels[0], "measures": measures}
    designs = {
        "plain": {"rows": ["variant"], "columns": ["base_model", "measure"], "variants": list(labels)},
        "against": {"rows": ["measure", "variant"], "columns": ["base_model"], "against": labels[0]},
        "gain": {"rows": ["variant"], "columns": ["base_model", "measure"], "gain": "of_averages"},
    }
    seeds = {"sft_seed": 2, "judge_run": 1, "mixture_seed": 1, "ipt_seed": 1, "generation_seed": 1}
    targets = [
        TargetSettings(name=name, target=ScoreTarget.model_validate({**asked, **one}), points=points, seeds=seeds)
        for name, one in designs.items()
    ]
    (root / "out").mkdir()
    write_targets(targets, write_scores(root / "aggregate", keys), root / "out", folders={}, shown=None)  # type: ignore[arg-type]
    raw = RawTarget(type="raw", of="Table 9", title=labels[1], variant="a", base_model="m")
    drawn = DrawnTarget(type="drawn", of="Table 13", title=labels[2])
    rows = [{"language": "en", "category": "math", "windows": 3, "response_tokens": 30}]
    sources = [
        {"position": at, "kind": "raw", "language": "ja", "population_tokens": 300, "allocated_tokens": 60 + at}
        for at, _ in enumerate(labels)
    ]
    grids = [build_raw_grid("raw", raw, {"sources": sources}, labels)]
    grids.append(build_drawn_grid("drawn", drawn, {"sources": rows}))
    written = [path.read_text(encoding="utf-8") for path in sorted((root / "out/targets").glob("*.tex"))]
    return [*written, *map(render_latex, grids)]


@pytest.mark.long
@pytest.mark.parametrize("labels", [CASES, JAPANESE], ids=["pdflatex", "lualatex"])
def test_every_table_of_a_study_compiles_with_what_it_asks_for_and_fits_its_page(
    labels: tuple[str, ...], tmp_path: Path
) -> None:
    tables = write_study(tmp_path, labels)
    program, _ = list_needs(tables)
    assert program == ("pdflatex" if labels is CASES else "lualatex")
    if obstacle := find_latex(program, "booktabs", "graphicx", *(["luatexja"] if program == "lualatex" else [])):
        pytest.skip(obstacle)
    complaints, text = compile_tables(tables, tmp_path)
    assert complaints == []
    assert len(tables) == 5
    if text:
        assert "variant 30" in text
        assert ("50 % & more, a_b #1 $x^2$ ~{}\\" if labels is CASES else "日本語 60 % & more") in text
