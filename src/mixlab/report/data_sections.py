"""The sections of the page about data: every mixture, samples and tokens, filters, licences, contamination."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mixlab.config.report_data import DataShown
from mixlab.data.mixtures.certificate import MANY_EPOCHS
from mixlab.report.certificate_figures import list_axes, list_sources, read_total
from mixlab.report.certificate_page import list_loss_cautions, show_epochs
from mixlab.report.data import DataFigures
from mixlab.report.data_labels import list_label_cautions
from mixlab.report.data_reading import list_reading_cautions, summarise_reading
from mixlab.report.data_tables import (
    NOT_HERE,
    build_assumptions_table,
    build_contamination_table,
    build_counts_sections,
    build_exclusions_table,
    build_licence_table,
    is_unknown,
    summarise_contamination,
)
from mixlab.report.tables import Column, Section, Sentence, Shown, Table, say
from mixlab.report.text import render_plain

ANCHORS = {name: f"data-{name}" for name in ("overview", "exclusions", "contamination")}
"""Anchors of the tables that sentences sum up, by name."""


def build_data_sections(shown: DataShown, figures: DataFigures, pages: Mapping[str, str]) -> list[Section]:
    """Build sections Data and Assumptions; `pages`: the page of each mixture's certificate, by key."""
    tables = [
        *([build_overview_table(shown, figures, pages)] if shown.mixtures else []),
        build_repetition_table(shown, figures),
        *build_counts_sections(figures),
        build_drawn_table(shown, figures),
        build_contamination_table(shown, figures, shown.sources),
        build_exclusions_table(shown, figures, shown.sources),
        build_licence_table(shown.sources),
    ]
    kept = [replace(one, anchor=ANCHORS.get(one.name, one.anchor)) for one in tables if one]
    sentences: list[str | Sentence] = [
        *list_data_cautions(shown, figures),
        _lead(kept, "overview", *summarise_repetition(shown, figures)),
    ]
    if shown.sources:
        sentences.append(_lead(kept, "exclusions", "Reading: ", summarise_reading(figures, shown.sources), "."))
    if shown.sources and shown.benchmarks:
        told = summarise_contamination(shown, figures, shown.sources).text
        sentences.append(_lead(kept, "contamination", "Contamination: ", told, "."))
    assumed = build_assumptions_table(shown.assumptions)
    count = len(shown.assumptions)
    return [
        Section("data", "Data", sentences, tables=kept),
        Section(
            "assumptions",
            "Assumptions",
            [f"{count} value{'s' if count != 1 else ''} of this study {'are' if count != 1 else 'is'} assumed."],
            tables=[assumed] if assumed else [],
            stays=True,
        ),
    ]


def _lead(tables: Sequence[Table], name: str, before: str, number: str, after: str) -> Sentence:
    """Build a sentence whose number leads to the table that it sums up, where that is."""
    anchor = next((one.anchor for one in tables if one.name == name), "")
    return say(before, Shown(number, anchor), after)


def list_data_cautions(shown: DataShown, figures: DataFigures) -> list[str]:
    """What a reader must know of the data: lost ends of files, unread labels, sources hardly held, unknown licences."""
    cautions = list_reading_cautions(figures, shown.sources) + list_label_cautions(figures, shown.sources)
    for mixture in shown.mixtures:
        certificate, _ = figures.certificates.get(mixture.key, (None, ""))
        found = list_loss_cautions(mixture, certificate) if certificate else []
        cautions += [f"Mixture {mixture.label}: {caution}" for caution in found]
    if unknown := sorted(source.name for source in shown.sources if is_unknown(source)):
        cautions.append(f"Licence unknown: {', '.join(unknown)}.")
    return [f"! {caution}" for caution in cautions]


def build_overview_table(shown: DataShown, figures: DataFigures, pages: Mapping[str, str]) -> Table:
    """Every mixture of the study, each with its certificate."""
    rows, records = [], []
    for mixture in shown.mixtures:
        certificate, digest = figures.certificates.get(mixture.key, (None, ""))
        names = [mixture.label, ", ".join(mixture.purposes), mixture.tokenizer]
        state = [Shown(NOT_HERE, tone="bad")] * 3
        values: list[object] = [None] * 4
        if certificate is not None:
            total = read_total(certificate)
            most = max(line.epochs for line in list_sources(certificate, mixture.sources))
            state = [Shown(render_plain(total.tokens)), Shown(render_plain(len(mixture.sources))), show_epochs(most)]
            values = [total.tokens, len(mixture.sources), most, certificate["seed"]]
        page = pages.get(mixture.key, "")
        rows.append([*map(Shown, names), *state, Shown("certificate" if page else NOT_HERE, file=page)])
        records.append([mixture.label, mixture.key, digest, *names[1:], *values, page])
    columns = [Column("Mixture", "long"), Column("Made for"), Column("Tokenizer"), Column("Tokens", "number")]
    columns += [Column("Sources", "number"), Column("Most epochs", "number"), Column("Certificate")]
    header = ["mixture", "mixture_key", "certificate_digest", "purposes", "tokenizer", "tokens", "sources"]
    header += ["most_epochs", "seed", "page"]
    origins = [(mixture.key,) for mixture in shown.mixtures]
    return Table("overview", "Every mixture", tuple(columns), rows, header, records, origins=origins)


def build_drawn_table(shown: DataShown, figures: DataFigures) -> Table | None:
    """What SFT really draws, in the shape of Kodama-Oda's Table 13: samples and response tokens by cell."""
    rows, records = [], []
    for mixture in shown.mixtures:
        if "sft" not in mixture.purposes or mixture.key not in figures.certificates:
            continue
        certificate, _ = figures.certificates[mixture.key]
        cells = {line.part: line.entry for line in list_axes(certificate) if line.axis == "cells"}
        label = mixture.label
        for cell, entry in [*cells.items(), ("all/total", certificate["total"])]:
            language, _, category = cell.partition("/")
            counts = [entry["windows"], entry["response_tokens"]]
            rows.append([Shown(label), Shown(language), Shown(category), *(Shown(render_plain(one)) for one in counts)])
            records.append([mixture.label, mixture.key, mixture.tokenizer, language, category, *counts])
            label = ""
    if not rows:
        return None
    columns = (Column("Mixture"), Column("Language"), Column("Category"), Column("Samples", "number"))
    header = ["mixture", "mixture_key", "tokenizer", "language", "category", "samples", "response_tokens"]
    title, note = "What SFT draws: samples and response tokens", "A sample is a window of the mixture."
    origins = [(str(record[1]),) for record in records]
    every = (*columns, Column("Response tokens", "number"))
    return Table("drawn", title, every, rows, header, records, note, origins=origins)


def build_repetition_table(shown: DataShown, figures: DataFigures) -> Table | None:
    """Sources that a mixture repeats more than four times; None when there are none."""
    rows, records = [], []
    for mixture in shown.mixtures:
        certificate, _ = figures.certificates.get(mixture.key, (None, ""))
        label = mixture.label
        for line in list_sources(certificate, mixture.sources) if certificate else ():
            if line.is_repeated_often:
                rows.append([Shown(label), Shown(line.part), Shown(f"{line.epochs:.2f}", tone="bad")])
                records.append([mixture.label, mixture.key, line.part, line.epochs])
                label = ""
    if not rows:
        return None
    columns = (Column("Mixture", "long"), Column("Source"), Column("Epochs", "number"))
    header = ["mixture", "mixture_key", "source", "epochs"]
    title = f"Sources repeated more than {MANY_EPOCHS} epochs"
    return Table("repeated", title, columns, rows, header, records, origins=[(str(record[1]),) for record in records])


def summarise_repetition(shown: DataShown, figures: DataFigures) -> tuple[str, str, str]:
    """One sentence in parts, the second its number: how many mixtures repeat a source too often."""
    many = 0
    for mixture in shown.mixtures:
        certificate, _ = figures.certificates.get(mixture.key, (None, ""))
        lines = list_sources(certificate, mixture.sources) if certificate else ()
        many += any(line.is_repeated_often for line in lines)
    return "", f"{many} of {len(shown.mixtures)}", f" mixtures repeat a source more than {MANY_EPOCHS} epochs."
