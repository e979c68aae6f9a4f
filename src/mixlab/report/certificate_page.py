"""The page of one certificate: what was asked for beside what was taken, and what is known of the sources."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from mixlab.config.report_data import DataShown, ShownAssumption, ShownMixture, ShownSource
from mixlab.data.mixtures.certificate import MANY_EPOCHS
from mixlab.report.certificate_figures import Line, list_axes, list_sources, read_total
from mixlab.report.data import DataFigures
from mixlab.report.data_labels import list_label_cautions
from mixlab.report.data_reading import list_reading_cautions, summarise_reading
from mixlab.report.data_tables import (
    build_assumptions_table,
    build_contamination_table,
    build_exclusions_table,
    build_licence_table,
    is_unknown,
    summarise_contamination,
)
from mixlab.report.rendering import render_template
from mixlab.report.tables import Column, Section, Shown, Table
from mixlab.report.text import UNKNOWN, render_plain, render_score

SHARES_NOTE = (
    "Percent: instruction of the whole budget, language, category and cells of the instruction part, raw of the raw "
    "part, sources and total of the whole. Taken: by the unit of the budget; then by the tokens that a loss on all "
    "tokens learns, and by those that a loss on responses learns."
)
BAR_NOTE = "Bars show what was taken, their marks what was asked for."
SHARES = (
    *(Column(label, "number") for label in ("Asked", "Asked, %", "Taken, %")),
    Column("Asked and taken"),
    *(Column(label, "number") for label in ("Loss on all, %", "Loss on responses, %")),
)
MANY_LOST = 0.05
"""A source that loses a larger share of its tokens to cuts in packing is named in a caution."""
_USE = ("population_tokens", "windows", "padding_tokens", "cut_tokens")


def render_certificate_page(
    shown: DataShown, mixture: ShownMixture, figures: DataFigures, assumptions: Sequence[ShownAssumption]
) -> str:
    """Render a page that needs nothing beside it."""
    return render_template(
        "certificate.html.j2",
        label=mixture.label,
        facts=list_facts(shown, mixture, figures),
        cautions=list_cautions(shown, mixture, figures),
        sections=build_certificate_sections(shown, mixture, figures, assumptions),
    )


def list_facts(shown: DataShown, mixture: ShownMixture, figures: DataFigures) -> list[tuple[str, str]]:
    """What a mixture is in a few lines: name and value."""
    certificate, digest = figures.certificates[mixture.key]
    total = read_total(certificate)
    length = f" of {render_plain(certificate['sequence_tokens'])} tokens"
    learnt = [render_plain(total.entry[name]) for name in ("target_tokens", "response_tokens")]
    lost = [render_plain(total.entry[name]) for name in ("padding_tokens", "cut_tokens")]
    return [
        ("Mixture", mixture.key),
        ("Certificate", f"sha256 {digest}"),
        ("Made for", ", ".join(mixture.purposes)),
        ("Tokenizer", f"{mixture.tokenizer} ({mixture.tokenizer_key})"),
        ("Budget", f"{render_plain(certificate['budget'])} {certificate['unit']}"),
        ("Taken", f"{render_plain(total.tokens)} tokens in {render_plain(certificate['windows'])} windows{length}"),
        ("Learnt", f"{learnt[0]} tokens where the loss is on all, {learnt[1]} where it is on responses"),
        ("Lost", f"{lost[0]} tokens of room in windows, {lost[1]} tokens of the sources in no window"),
        ("Off its due", _tell_deviation(certificate, mixture)),
        ("At most", f"{certificate['max_epochs']} epochs of a source"),
        ("Seed", str(certificate["seed"])),
        ("Reading", summarise_reading(figures, _list_sources(shown, mixture))),
        ("Contamination", summarise_contamination(shown, figures, _list_sources(shown, mixture)).text),
    ]


def _tell_deviation(certificate: dict[str, Any], mixture: ShownMixture) -> str:
    windows, worst = certificate["deviation"]["windows"], mixture.sources[certificate["deviation"]["source"]]
    return f"at most {windows} windows at block borders, source {worst}; everywhere less than 1"


def list_cautions(shown: DataShown, mixture: ShownMixture, figures: DataFigures) -> list[str]:
    """What a reader must know of a mixture before using it: lost data, repetition, contamination, licences."""
    certificate, _ = figures.certificates[mixture.key]
    sources = _list_sources(shown, mixture)
    cautions = list_reading_cautions(figures, sources) + list_label_cautions(figures, sources)
    cautions += list_loss_cautions(mixture, certificate)
    cautions += [
        f"Source {line.part} is repeated {line.epochs:.2f} times: more than {MANY_EPOCHS} epochs."
        for line in list_sources(certificate, mixture.sources)
        if line.is_repeated_often
    ]
    cautions += [
        f"{line.axis} {line.part}: asked for {line.asked}; the nearest that data allow is {line.feasible}."
        for line in list_axes(certificate)
        if line.feasible
    ]
    contamination = summarise_contamination(shown, figures, sources)
    cautions += [] if contamination.is_clean else [f"Contamination: {contamination.text}."]
    if unknown := sorted({one.name for one in sources if is_unknown(one)}):
        cautions.append(f"Licence unknown: {', '.join(unknown)}.")
    return cautions


def list_loss_cautions(mixture: ShownMixture, certificate: dict[str, Any]) -> list[str]:
    """Name the sources that give no window, and those of whose tokens packing cut or dropped more than `MANY_LOST`."""
    cautions = []
    for line in list_sources(certificate, mixture.sources):
        cut, kept = line.entry["cut_tokens"], line.entry["population_tokens"]
        if not line.entry["windows"]:
            cautions.append(f"Source {line.part} has no window in this mixture: nothing is learnt from it.")
        if cut > MANY_LOST * (cut + kept):
            share = render_score("accuracy", cut / (cut + kept))
            cautions.append(f"Source {line.part}: {share} % of its tokens fit no window: cut or dropped.")
    return cautions


def build_certificate_sections(
    shown: DataShown, mixture: ShownMixture, figures: DataFigures, assumptions: Sequence[ShownAssumption]
) -> list[Section]:
    """The parts of the page in reading order; a part with nothing to say is left out."""
    certificate, _ = figures.certificates[mixture.key]
    sources = _list_sources(shown, mixture)
    parts: list[tuple[str, str, list[Table | None]]] = [
        ("shares", "Asked and taken", [build_shares_table([*list_axes(certificate), read_total(certificate)])]),
        ("sources", "Sources", [build_sources_table(mixture, certificate), build_use_table(mixture, certificate)]),
        ("phases", "Phases", [build_phases_table(mixture, certificate)]),
        ("contamination", "Contamination", [build_contamination_table(shown, figures, sources)]),
        ("exclusions", "Filters", [build_exclusions_table(shown, figures, sources)]),
        ("licences", "Licences", [build_licence_table(sources)]),
        ("assumptions", "Assumptions", [build_assumptions_table(assumptions)]),
    ]
    found = ((anchor, title, [table for table in tables if table]) for anchor, title, tables in parts)
    said = {"shares": [BAR_NOTE]}
    return [Section(anchor, title, said.get(anchor, ()), tables=tables) for anchor, title, tables in found if tables]


def build_shares_table(lines: Sequence[Line]) -> Table:
    """Asked and taken of each part, by the budget's unit and by what each kind of loss learns."""
    columns = [Column("Axis"), Column("Part"), *SHARES, Column("Tokens", "number"), Column("Epochs", "number")]
    rows = [
        [
            Shown(line.axis),
            Shown(line.part),
            *_show_shares(line),
            Shown(render_plain(line.tokens)),
            show_epochs(line.epochs),
        ]
        for line in lines
    ]
    return Table("shares", "By axis", tuple(columns), rows, note=SHARES_NOTE)


def build_sources_table(mixture: ShownMixture, certificate: dict[str, Any]) -> Table:
    """Asked and taken of each source."""
    columns = [Column("Source"), Column("Label"), *SHARES, Column("Tokens", "number")]
    rows = [
        [Shown(line.part), Shown(line.entry["label"]), *_show_shares(line), Shown(render_plain(line.tokens))]
        for line in list_sources(certificate, mixture.sources)
    ]
    return Table("sources", "Each source: asked and taken", tuple(columns), rows)


def build_use_table(mixture: ShownMixture, certificate: dict[str, Any]) -> Table:
    """How often each source is gone through, where it begins and ends, and what was lost of it."""
    labels = ("Tokens there", "Epochs", "Windows", "Documents", "Padding tokens", "Cut tokens")
    rows = []
    for line in list_sources(certificate, mixture.sources):
        there, windows, *lost = (Shown(render_plain(line.entry[name])) for name in _USE)
        rows.append(
            [Shown(line.part), there, show_epochs(line.epochs), windows, Shown(line.documents or UNKNOWN), *lost]
        )
    note = (
        f"Epochs: how often the source is gone through; more than {MANY_EPOCHS} are marked, since data repeated more "
        "often is worth little (Muennighoff et al. 2023, arXiv:2305.16264). Documents: the first and the last of the "
        "token store that are taken. Padding: room left in its windows. Cut: of the source, in none of its windows."
    )
    columns = (Column("Source"), *(Column(label, "number") for label in labels))
    return Table("use", "Each source: epochs, ends and losses", columns, rows, note=note)


def build_phases_table(mixture: ShownMixture, certificate: dict[str, Any]) -> Table | None:
    """What each phase of a staged mixture asks for and takes; None for a mixture of one phase."""
    rows = []
    for number, phase in enumerate(certificate.get("phases", ())):
        begin = f"{number}, from {render_score('accuracy', float(Fraction(phase['begin'])))} % of the budget"
        whole = sum(phase["allocated"])
        for name, asked, units in zip(mixture.sources, phase["requested_ratio"], phase["allocated"], strict=True):
            wanted, taken = float(Fraction(asked)), units / whole if whole else 0.0
            if wanted or units:
                shares = [Shown(render_score("accuracy", share)) for share in (wanted, taken)]
                drawn = Shown("", bar=(wanted, taken))
                rows.append([Shown(begin), Shown(name), Shown(asked), *shares, drawn, Shown(render_plain(units))])
                begin = ""
    columns = [Column("Phase", "long"), Column("Source"), Column("Asked", "number"), Column("Asked, %", "number")]
    columns += [Column("Taken, %", "number"), Column("Asked and taken"), Column(certificate["unit"], "number")]
    return Table("phases", "Shares by phase", tuple(columns), rows) if rows else None


def _show_shares(line: Line) -> list[Shown]:
    measures = (line.achieved_target, line.achieved_response)
    return [
        Shown(line.asked),
        Shown(render_score("accuracy", line.asked_share)),
        Shown(render_score("accuracy", line.achieved)),
        Shown("", bar=(line.asked_share, line.achieved)),
        *(Shown(render_score("accuracy", share)) for share in measures),
    ]


def show_epochs(epochs: float) -> Shown:
    """Show how often a source is gone through; too often is marked in words, not by colour alone."""
    mark = f" (more than {MANY_EPOCHS})" if epochs > MANY_EPOCHS else ""
    return Shown(f"{epochs:.2f}{mark}", tone="bad" if mark else "")


def _list_sources(shown: DataShown, mixture: ShownMixture) -> list[ShownSource]:
    return [shown.source(name) for name in mixture.sources]
