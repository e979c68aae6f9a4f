"""`mixlab certificate`: what a mixture asked for and what it took, with the names of its sources."""

from collections.abc import Mapping
from pathlib import Path

import click

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import example, find_state, json_option, list_every_study, open_store, print_json, render_table
from mixlab.cli._data import list_keys, list_mixtures, open_folders, read_shown
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.report_data import DataShown, ShownMixture
from mixlab.plan.build import build_plan
from mixlab.report.certificate_page import (
    build_certificate_sections,
    list_cautions,
    list_facts,
    render_certificate_page,
)
from mixlab.report.certificates import join_certificate, list_assumptions
from mixlab.report.data import DataFigures, load_data_figures
from mixlab.report.terminal import render_table as render_wide_table

SHORTEST_PREFIX = 4


@click.command(epilog=example("mixlab certificate demo", "mixlab certificate demo sft --html sft.html"))
@click.argument("study", required=False)
@click.argument("mixture", required=False)
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write the page to this file.")
@json_option
def command(study: str | None, mixture: str | None, page: Path | None, as_json: bool) -> None:
    """Print the certificate of a mixture; without MIXTURE, list the mixtures of a study.

    MIXTURE is a label, a part of one, or the first digits of a key (at least 4). A single argument that names no study
    is a mixture of the study in config.yaml. What is not known because its artifact is not here is marked so.
    """
    store = open_store()
    if mixture is None and study is not None and study not in list_every_study(store.root):
        study, mixture = None, study
    plan = build_plan(store.root, [study] if study else (), check_files=False).plan
    studies = read_shown(plan)
    if mixture is None:
        _list_mixtures(store, studies, as_json)
        return
    name, chosen = find_mixture(studies, mixture)
    shown = studies[name]
    if not store.is_complete("mixture", chosen.key):
        raise ArtifactError(describe_absence(store, name, chosen))
    figures = load_data_figures(shown, open_folders(store, plan, list_keys(shown, chosen)))
    if page is not None:
        text = render_certificate_page(shown, chosen, figures, tuple(list_assumptions(shown, chosen)))
        try:
            page.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{page}: cannot be written: {error.strerror}") from None
        click.echo(f"written: {page}", err=True)
    if as_json:
        print_json(join_certificate(shown, chosen, figures))
    elif page is None:
        _print(shown, chosen, figures)


def find_mixture(studies: Mapping[str, DataShown], what: str) -> tuple[str, ShownMixture]:
    """Find the one mixture with a label, a part of a label, or a beginning of a key; returns its study's name too.

    Raises ConfigError when there is none, or more than one.
    """
    known = list(list_mixtures(studies))
    for matches in (
        lambda one: what in (one.label, one.key, *one.label.split(" = ")),
        lambda one: len(what) >= SHORTEST_PREFIX and one.key.startswith(what),
        lambda one: what in one.label,
    ):
        found = [(study, one) for study, one in known if matches(one)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = "; ".join(f"{study}: {one.label} ({one.key})" for study, one in found)
            raise ConfigError(Problem(f"{len(found)} mixtures are meant by '{what}': {listed}; name one by its key"))
    labels = [one.label for _, one in known]
    hint = did_you_mean(what, labels)
    raise ConfigError(Problem(f"no mixture is named '{what}'{hint}; mixtures: {'; '.join(labels) or 'none'}"))


def describe_absence(store: Store, study: str, mixture: ShownMixture) -> str:
    """Say that a mixture is not here, and what brings it here."""
    state = find_state(read_states(store, ["mixture"]), ("mixture", mixture.key))
    cure = f"`mixlab restore {mixture.key}`"
    if state != "tracked":
        cure = f"`snakemake --profile local stage_mixture --config study={study}`"
    return f"mixture '{mixture.label}' ({mixture.key}) of study '{study}' is not built here; run {cure}"


def _list_mixtures(store: Store, studies: Mapping[str, DataShown], as_json: bool) -> None:
    states = read_states(store, ["mixture"])
    rows = [
        {
            "study": study,
            "mixture": one.label,
            "key": one.key,
            "purposes": list(one.purposes),
            "tokenizer": one.tokenizer,
            "sources": list(one.sources),
            "state": find_state(states, ("mixture", one.key)),
        }
        for study, one in list_mixtures(studies)
    ]
    if as_json:
        print_json(rows)
        return
    header = ["study", "key", "state", "for", "tokenizer", "mixture"]
    table = [
        [one["study"], one["key"], one["state"], " ".join(one["purposes"]), one["tokenizer"], one["mixture"]]
        for one in rows
    ]
    click.echo(render_table(header, table))


def _print(shown: DataShown, mixture: ShownMixture, figures: DataFigures) -> None:
    click.echo(f"Certificate of {mixture.label}\n")
    for name, value in list_facts(shown, mixture, figures):
        click.echo(f"{name + ':':<15}{value}")
    click.echo()
    for caution in list_cautions(shown, mixture, figures):
        click.echo(f"! {caution}")
    for section in build_certificate_sections(shown, mixture, figures, tuple(list_assumptions(shown, mixture))):
        for table in section.tables:
            click.echo(f"\n{table.title}\n{render_wide_table(table)}")
