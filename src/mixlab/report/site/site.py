"""The page of a study: everything its report says, its answers to look through, and the way back from each number."""

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from mixlab.analysis.lineage import Ancestor
from mixlab.config.analysis import ReportSettings
from mixlab.config.report_data import DataShown
from mixlab.config.targets import TargetSettings
from mixlab.report.certificates import write_certificates
from mixlab.report.data import load_data_figures
from mixlab.report.data_sections import build_data_sections
from mixlab.report.numbers import load_numbers
from mixlab.report.page import build_sections
from mixlab.report.rendering import render_template
from mixlab.report.site.answers import Answerer, AnswerSet, Asked, write_answers
from mixlab.report.site.files import render_json, write_data
from mixlab.report.site.findings import list_findings
from mixlab.report.site.lineage import Held, build_lineage_data, list_not_here
from mixlab.report.site.training import TrainedRun, build_curves
from mixlab.report.tables import Column, Section, Shown, Table
from mixlab.report.target_sections import load_target_sections
from mixlab.report.text import render_plain

PAGE = "index.html"
SCRIPTS = ("store.js", "shell.js", "lineage.js", "training.js", "list.js", "filters.js", "detail.js", "answers.js")
"""Parts of the page's one script, in the order in which they are joined."""
COUNTED = ("table1", "table2", "table13", "counts")
"""Tables of stage counts."""
WIDEST_REM = 62.0
TOLD = 10
"""Reasons why something is not here that are told at most."""
REPLACED = ("lineage",)
"""Sections of the report that the page has in another form."""
STATES = {
    "tracked": "tracked, not pulled: `mixlab restore` brings them",
    "discarded": "discarded on purpose; their digests are kept",
    "absent": "not made, or not kept",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SiteInputs:
    """All that a study's page is made from.

    `folders`: artifacts that `settings.data` names, by key, as far as they are here. `held`: what the working folder
    knows of each artifact behind a number; `beside`: those that only figures of data go back to. `price`: the section
    on cost. `notes`: what could not be read, in sentences. `targets`: the tables and figures that the study names.
    """

    study: str
    settings: ReportSettings
    aggregate: Path
    folders: Mapping[str, Path]
    held: Mapping[str, Held]
    beside: Mapping[str, Ancestor]
    answerers: Sequence[Answerer]
    benchmarks: Sequence[Asked]
    sets: Sequence[AnswerSet]
    runs: Sequence[TrainedRun]
    price: Section
    cautions: Sequence[str] = ()
    notes: Sequence[str] = field(default=())
    targets: Sequence[TargetSettings] = ()


def write_site(inputs: SiteInputs, out: Path, progress: Callable[[], object] = lambda: None) -> int:
    """Write `index.html`, `data/` and `certificates/` into `out`; return the number of answers.

    The page asks for nothing but files beside it: its Content-Security-Policy lets it reach no network. Equal inputs
    give equal bytes. Raises DataError for what cannot be read as what it is.
    """
    settings = inputs.settings
    numbers = load_numbers(settings, inputs.aggregate)
    data: list[Section] = []
    if settings.data is not None:
        figures = load_data_figures(settings.data, inputs.folders)
        pages = write_certificates(settings.data, figures, out)
        data = [_lead_counts(one, settings.data) for one in build_data_sections(settings.data, figures, pages)]
    targets = load_target_sections(inputs.targets, inputs.aggregate, folders=inputs.folders, shown=settings.data)
    count = write_answers(inputs.answerers, inputs.benchmarks, inputs.sets, out, progress)
    lineage = build_lineage_data(numbers.lineage, inputs.held, inputs.beside)
    write_data(out, "lineage", render_json(lineage))
    write_data(out, "training", render_json(build_curves(inputs.runs)))
    sections = [
        Section("findings", "Findings", list_findings(settings, numbers), stays=True),
        *(
            one
            for one in build_sections(settings, numbers, inputs.cautions, data, targets)
            if one.anchor not in REPLACED
        ),
        inputs.price,
    ]
    missing = build_missing_section(list_not_here(lineage["nodes"]), inputs)
    (out / PAGE).write_text(render_page(inputs, sections, missing, count), encoding="utf-8")
    logger.info("page: %s answers of %s models, %s artifacts", count, len(inputs.answerers), len(lineage["nodes"]))
    return count


def _lead_counts(section: Section, shown: DataShown) -> Section:
    """Let the numbers of the tables of samples and tokens lead to the artifact that counted them."""
    tables = [
        replace(one, origins=[(shown.counts,)] * len(one.rows)) if one.name in COUNTED and shown.counts else one
        for one in section.tables
    ]
    return replace(section, tables=tables)


def build_missing_section(counts: Sequence[tuple[str, str, int]], inputs: SiteInputs) -> Section:
    """Say what the page lacks because its artifact is not here, and what that leaves out."""
    places = [place for one in inputs.sets for place in (one.place, *((one.score,) if one.score else ()))]
    places += [judged.place for one in inputs.sets for judged in one.judged]
    # a comparison stands with both of its sets of answers
    places += list({one.place.key: one.place for answers in inputs.sets for one in answers.compared}.values())
    unread = [place for place in places if place.folder is None]
    sentences = list(inputs.notes)
    if unread:
        reasons = sorted({place.missing for place in unread})
        told = "; ".join(reasons[:TOLD]) + (f"; and {len(reasons) - TOLD} more" if len(reasons) > TOLD else "")
        counted = f"{len(unread)} of {len(places)} sets of answers, scores, verdicts and comparisons"
        sentences.append(f"{counted} cannot be shown: {told}.")
    rows = [[Shown(stage), Shown(render_plain(count)), Shown(STATES[state])] for stage, state, count in counts]
    columns = (Column("Stage"), Column("Artifacts", "number"), Column("State", "long"))
    records = [list(one) for one in counts]
    table = Table("missing", "Artifacts behind the numbers that are not here", columns, rows, (), records)
    if not sentences and not rows:
        sentences.append("Everything that this page is made from is here.")
    return Section("missing", "What is not here", sentences, tables=[table] if rows else [], stays=True)


def render_page(inputs: SiteInputs, sections: Sequence[Section], missing: Section, answers: int) -> str:
    """Render the page with its style and its script in it; the policy names the script by its digest."""
    script = read_script()
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    inline = {figure.name: Markup(figure.inline) for section in sections for figure in section.figures}
    return render_template(
        "site/page.html.j2",
        study=inputs.study,
        settings=inputs.settings,
        sections=sections,
        missing=missing,
        answers=render_plain(answers),
        models=render_plain(len(inputs.answerers)),
        inline=inline,
        widths={name: find_width(svg) for name, svg in inline.items()},
        script=Markup(script),
        policy=build_policy(digest),
    )


def find_width(svg: str) -> float:
    """Return how wide a figure should be at most, in rem: a little wider than it was drawn for."""
    drawn = re.search(r'<svg[^>]*? width="([0-9.]+)pt"', svg)
    return round(float(drawn[1]) * 1.3 / 12, 1) if drawn else WIDEST_REM


def read_script() -> str:
    """Join the parts of the page's script, which share one scope of their own."""
    folder = files("mixlab.report") / "templates/site"
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def build_policy(script_digest: str) -> str:
    """Return a policy by which the page runs its own script and files beside it, and reaches nothing else.

    `file:` stands beside `'self'` since a page opened as a file has no origin of its own; styles may stand in
    attributes, which figures need.
    """
    return (
        f"default-src 'none'; script-src 'self' file: 'sha256-{script_digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
