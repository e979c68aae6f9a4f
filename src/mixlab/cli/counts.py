"""`mixlab counts`: samples and tokens of a study's data, in the shape of the paper's tables."""

import click

from mixlab.analysis.cells import read_csv
from mixlab.artifacts.errors import ArtifactError
from mixlab.cli._common import example, json_option, open_store, print_json
from mixlab.cli._data import read_shown
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.report.data import DataFigures
from mixlab.report.data_tables import build_counts_sections
from mixlab.report.terminal import render_table


@click.command(epilog=example("mixlab counts demo"))
@click.argument("studies", nargs=-1, metavar="[STUDY...]")
@json_option
def command(studies: tuple[str, ...], as_json: bool) -> None:
    """Print samples and tokens by language, category and tokenizer, of IPT's data, of SFT's, and of every store."""
    store = open_store()
    plan = build_plan(store.root, studies, check_files=False).plan
    found = {}
    for name, shown in read_shown(plan).items():
        if not shown.mixtures:
            raise ConfigError(f"study '{name}' trains no model, so that no token store is counted")
        if shown.counts is None or not store.is_complete("counts", shown.counts):
            raise ArtifactError(
                f"study '{name}' has no counts yet; run `snakemake --profile local stage_counts --config study={name}`"
            )
        folder = store.open("counts", shown.counts)
        found[name] = read_csv(folder / "counts.csv")
        if not as_json:
            click.echo(name)
            for table in build_counts_sections(DataFigures(counts=folder)):
                click.echo(f"\n{table.title}\n{render_table(table)}")
    if as_json:
        print_json(found)
