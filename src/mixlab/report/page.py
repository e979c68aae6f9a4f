"""The report of a study: one page that needs nothing beside it, the same in Markdown, figures, and tables as CSV."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup

from mixlab.analysis.cells import write_csv
from mixlab.analysis.effects import comparison_id
from mixlab.config.analysis import ReportSettings
from mixlab.report.certificates import write_certificates
from mixlab.report.claims import build_effects_table, summarise_effects
from mixlab.report.data import load_data_figures
from mixlab.report.data_sections import build_data_sections
from mixlab.report.figures import draw_effects, draw_scores
from mixlab.report.judge_bias import build_bias_section
from mixlab.report.judges import build_judge_runs_table, build_judge_tables
from mixlab.report.markdown import render_markdown
from mixlab.report.mixtures import build_certificate_tables, build_mixture_table
from mixlab.report.numbers import Numbers, load_numbers
from mixlab.report.pairwise import build_pairwise_section
from mixlab.report.provenance import (
    build_ancestry_table,
    build_lineage_tables,
    build_unsolvable_table,
)
from mixlab.report.rendering import render_template
from mixlab.report.scores import build_cells_table, build_main_table
from mixlab.report.statistics import build_statistics_section
from mixlab.report.tables import Section, Table
from mixlab.report.tidy_table import write_tidy_scores

T = TypeVar("T")
logger = logging.getLogger(__name__)


def write_report(
    settings: ReportSettings,
    aggregate: Path,
    out: Path,
    *,
    cautions: Sequence[str] = (),
    folders: Mapping[str, Path] | None = None,
    targets: Sequence[Section] = (),
) -> None:
    """Write a study's report from the folder that `write_aggregate` wrote.

    Writes `report.html` (self-contained, light and dark), `report.md`, `figures/*.svg`, `tables/*.csv` (unrounded,
    with labels), `certificates/*.json` and `.html` (one of each mixture), `scores.parquet` and `scores.csv` (every
    score with names, ratios, seeds and keys) and `metrics.json` (the aggregate's, under labels). `cautions` are
    sentences above the scores: what provenance says of the runs behind them. `folders`: the artifacts that
    `settings.data` names, by key; one that is missing is shown as not here. `targets`: sections of the tables and
    figures that the study names, whose files lie beside. Equal input gives equal bytes.
    """
    numbers = load_numbers(settings, aggregate)
    data = []
    if settings.data is not None:
        figures = load_data_figures(settings.data, folders or {})
        pages = write_certificates(settings.data, figures, out)
        data = build_data_sections(settings.data, figures, pages)
    sections = build_sections(settings, numbers, cautions, data, targets)
    (out / "figures").mkdir()
    for section in sections:
        for figure in (one for one in section.figures if not one.file):
            (out / figure.path).write_bytes(figure.svg)
    _write_tables([table for section in sections for table in section.tables if not table.file], out / "tables")
    (out / "report.html").write_text(_render_html(settings, sections), encoding="utf-8")
    (out / "report.md").write_text(render_markdown(settings, sections), encoding="utf-8")
    write_tidy_scores(settings, numbers, aggregate, out)
    metrics = json.loads((aggregate / "metrics.json").read_text(encoding="utf-8"))
    text = json.dumps(_label_metrics(settings, numbers, metrics), indent=1, sort_keys=True, ensure_ascii=False)
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")
    logger.info("report: %s cells, %s effects", len(numbers.cells), len(settings.effects))


def build_sections(
    settings: ReportSettings,
    numbers: Numbers,
    cautions: Sequence[str] = (),
    data: Sequence[Section] = (),
    targets: Sequence[Section] = (),
) -> list[Section]:
    """The parts of the page in reading order; a part with nothing to say is left out."""
    main = [build_main_table(numbers)] if numbers.groups else []
    effects = [build_effects_table(settings, numbers)] if settings.effects else []
    mixtures = [*_keep([build_mixture_table(numbers)]), *build_certificate_tables(numbers)]
    lineage = [*build_lineage_tables(numbers), *_keep([build_ancestry_table(numbers)])]
    requested = ["Requested beside observed, as each certificate states it."]
    leads = ["From every number to the seeds and keys that made it."]
    sections = [
        Section("scores", "Scores", cautions, _keep([draw_scores(numbers)]), main),
        *targets,
        Section(
            "effects",
            "Effects",
            summarise_effects(settings, numbers),
            _keep([draw_effects(settings, numbers)]),
            effects,
        ),
        build_statistics_section(settings, numbers),
        Section("judge", "Judge", tables=[*build_judge_tables(numbers), *_keep([build_judge_runs_table(numbers)])]),
        build_bias_section(numbers),
        build_pairwise_section(numbers),
        Section("unsolvable", "Unsolvable items", tables=_keep([build_unsolvable_table(numbers)])),
        Section("mixtures", "Mixtures", requested, tables=mixtures),
        *data,
        Section("cells", "Every cell", tables=[build_cells_table(numbers)]),
        Section("lineage", "Lineage", leads, tables=lineage),
    ]
    return [section for section in sections if section.tables or section.figures or section.stays]


def _keep(things: Iterable[T | None]) -> list[T]:
    return [thing for thing in things if thing is not None]


def _write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write each table's records; tables of one name share a file."""
    folder.mkdir()
    records: dict[str, list[Sequence[Any]]] = {}
    for table in tables:
        records.setdefault(table.name, []).extend(table.records)
    for name, rows in records.items():
        header = next(table.header for table in tables if table.name == name)
        write_csv(folder / f"{name}.csv", header, rows)


def _render_html(settings: ReportSettings, sections: Sequence[Section]) -> str:
    inline = {figure.name: Markup(figure.inline) for section in sections for figure in section.figures}
    return render_template("page.html.j2", settings=settings, sections=sections, inline=inline)


def _label_metrics(settings: ReportSettings, numbers: Numbers, metrics: dict[str, Any]) -> dict[str, Any]:
    keys = settings.variant_keys()
    effects = {effect.name: comparison_id(effect.to_comparison(keys)) for effect in settings.effects}
    return {
        "scores": {one.label: metrics["scores"].get(one.variant_key, {}) for one in numbers.variants},
        "effects": {name: metrics["effects"][found] for name, found in effects.items() if found in metrics["effects"]},
    }
