"""`mixlab show`: the main table of a finished study, and where its report is."""

from pathlib import Path

import click

from mixlab.analysis.cells import read_csv
from mixlab.artifacts.errors import ArtifactError
from mixlab.cli._common import example, json_option, open_store, print_json
from mixlab.cli._targets import show_targets
from mixlab.plan.build import build_plan
from mixlab.report.claims import RULE
from mixlab.report.data_tables import summarise_checks
from mixlab.report.terminal import render_main_table, render_tests

STATISTICS = ("tests", "ranking", "relative", "intervals", "variance")


@click.command(epilog=example("mixlab show demo", "mixlab show kodama_oda/tiny/category_ratio --target table_03"))
@click.argument("studies", nargs=-1, metavar="[STUDY...]")
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Print this target alone; may be repeated.")
@json_option
def command(studies: tuple[str, ...], targets: tuple[str, ...], as_json: bool) -> None:
    """Print the main table of a finished study, its effects, cautions about its data, and where its report is.

    --target prints a table that the study names under `targets:` instead, and where its files are.
    """
    store = open_store()
    plan = build_plan(store.root, studies, check_files=False).plan
    shown = {}
    for name, keys in plan.targets.items():
        (key,) = (key for key in keys if plan.nodes[key].stage == "report")
        if not store.is_complete("report", key):
            raise ArtifactError(f"study '{name}' has no report yet; run `snakemake --profile local all`")
        folder = store.open("report", key)
        shown[name] = folder
        if targets:
            continue
        if not as_json:
            _print_study(name, folder, store.root)
    if targets:
        show_targets(shown, targets, store.root, as_json)
    elif as_json:
        tables = {name: read_csv(folder / "tables" / "main.csv") for name, folder in shown.items()}
        judged = {name: _read_table(folder, "judge") for name, folder in shown.items()}
        compared = {name: _read_table(folder, "pairwise") for name, folder in shown.items()}
        effects = {name: _read_table(folder, "effects") for name, folder in shown.items()}
        repeated = {name: _read_table(folder, "repeated") for name, folder in shown.items()}
        contamination = {name: _read_table(folder, "contamination") for name, folder in shown.items()}
        statistics = {name: {one: _read_table(folder, one) for one in STATISTICS} for name, folder in shown.items()}
        print_json(
            {
                "main": tables,
                "judge": judged,
                "pairwise": compared,
                "effects": effects,
                "repeated": repeated,
                "contamination": contamination,
                "statistics": statistics,
            }
        )


def _read_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Read a table of the report; a study without judged benchmarks or claimed effects has none."""
    path = folder / "tables" / f"{name}.csv"
    return read_csv(path) if path.exists() else []


def _print_study(name: str, folder: Path, root: Path) -> None:
    click.echo(f"{name}\n")
    click.echo(render_main_table(folder))
    for row in _read_table(folder, "judge"):
        where = f"{row['variant']}, {row['stage'].replace('_', ' ')}, {row['group']}"
        error = row["se_seeds"] or row["se_items"]
        mean = f"{float(row['mean']):.2f}{f' ± {float(error):.2f}' if error else ''}" if row["mean"] else "no rating"
        gaps = f" ({row['gaps']})" if row["gaps"] else ""
        click.echo(f"{where}: {mean}{gaps} by {row['judge']}")
    if runs := _read_table(folder, "judge_runs"):
        read, verdicts = (sum(int(row[name]) for row in runs) for name in ("n_read", "n_verdicts"))
        click.echo(f"judge: {read} of {verdicts} verdicts could be read; the others are left out of the means")
    for row in _read_table(folder, "pairwise"):
        if not row["category"]:
            where = f"{row['variant']} against {row['against']}, {row['stage'].replace('_', ' ')}, {row['benchmark']}"
            counts = f"{row['wins']} wins, {row['ties']} ties, {row['losses']} losses, {row['unparsed']} unread"
            rate = f"{float(row['win_rate']) * 100:.1f} %" if row["win_rate"] else "no verdict"
            click.echo(f"{where}: win rate {rate} ({counts}) by {row['judge']}")
    for row in _read_table(folder, "effects"):
        difference, error = (
            f"{float(row[name]):.3f}" if row[name] else "-" for name in ("difference", "standard_error")
        )
        claim = f"{row['variant']} against {row['against']}: {difference} ± {error}, claimed at least {row['at_least']}"
        click.echo(f"{row['name']}: {claim}: {row['verdict']} by the {RULE}")
    for line in render_tests(_read_table(folder, "tests")):
        click.echo(line)
    for row in _read_table(folder, "repeated"):
        click.echo(f"! mixture {row['mixture']}: source {row['source']} is repeated {float(row['epochs']):.2f} times")
    if checks := _read_table(folder, "contamination"):
        click.echo(f"contamination: {summarise_checks(checks).text}")
    click.echo(f"report: {(folder / 'report.html').relative_to(root)}")
