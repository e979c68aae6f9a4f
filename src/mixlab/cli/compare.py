"""`mixlab compare`: a study's tables beside published ones, and what follows from the published ones alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mixlab.analysis.published.beside import Comparison, compare_target, list_lacking
from mixlab.analysis.published.kodama_oda import derive_all
from mixlab.analysis.published.significance import compare_table_3
from mixlab.analysis.published.tables import PAPERS, PublishedTable, load_tables
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.store import Store
from mixlab.cli._common import example, json_option, open_store, print_json
from mixlab.cli._compare_text import describe_published, describe_study, print_published, print_study
from mixlab.config.problems import ConfigError, DataError, Problem
from mixlab.config.studies import CONFIG, load_main_config
from mixlab.plan.build import build_plan
from mixlab.report.targets import FOLDER

DATA_ROOT = "shared"
OTHER = "the report was made by another version of mixlab"


@click.command(
    epilog=example(
        "mixlab compare --published kodama-oda",
        "mixlab compare kodama_oda/category_ratio --published kodama-oda --tables tables/",
    )
)
@click.argument("named", nargs=-1, metavar="[STUDY]...")
@click.option("--study", "studies", multiple=True, metavar="NAME", help="As STUDY; may be repeated.")
@click.option("--published", "paper", type=click.Choice(PAPERS), required=True, help="Whose tables.")
@click.option(
    "--tables",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"Folder of table01.csv and so on; absent: published/PAPER below the data root `{DATA_ROOT}`.",
)
@click.option("--arithmetic", is_flag=True, help="Show every computation, not only of numbers that do not follow.")
@json_option
def command(
    named: Sequence[str], studies: Sequence[str], paper: str, folder: Path | None, arithmetic: bool, as_json: bool
) -> None:
    """Put a study's targets beside the tables of a paper; without STUDY, check the tables against themselves.

    Published numbers are re-derived from each other: averages, baselines, totals, ratios, a claim. A number follows
    when rounding allows it; each that does not is listed with its computation.
    """
    store = open_store()
    tables = load_tables(folder or find_folder(store, paper))
    names = list(dict.fromkeys([*named, *studies]))
    if names:
        compared = {name: compare_study(store, name, tables) for name in names}
        if as_json:
            print_json({"published": paper, "studies": describe_study(compared)})
        else:
            print_study(compared)
        return
    derived, tested = derive_all(tables), compare_table_3(tables["03"])
    if as_json:
        print_json({"published": paper, **describe_published(derived, tested)})
    else:
        print_published(derived, tested, arithmetic)


def find_folder(store: Store, paper: str) -> Path:
    """Return where the tables lie below the data root; raises ConfigError where there is no such root."""
    roots = load_main_config(store.root).machine.data_roots
    if DATA_ROOT not in roots:
        message = f"no data root '{DATA_ROOT}'; add it, or name the folder of the tables in --tables"
        raise ConfigError(Problem(message, CONFIG, key="machine.data_roots"))
    return Path(roots[DATA_ROOT]) / "published" / paper


def compare_study(store: Store, name: str, tables: dict[str, PublishedTable]) -> list[Comparison]:
    """Compare every target of a finished study that names a published table.

    Raises ConfigError where it has none, ArtifactError where its report is not made, DataError with all that a report
    of another version lacks.
    """
    plan = build_plan(store.root, [name], check_files=False).plan
    (key,) = (key for key in plan.targets[name] if plan.nodes[key].stage == "report")
    spec = plan.nodes[key].spec
    wanted = [one.name for one in getattr(spec, "targets", ()) if one.target.published is not None]
    if not wanted:
        raise ConfigError(f"study '{name}' has no target that stands beside a published table (`targets:`)")
    command = f"snakemake --profile local all --config study={name}"
    if not store.is_complete("report", key):
        raise ArtifactError(f"study '{name}' has no report yet; run `{command}`")
    folder = store.open("report", key)
    forget = f", `mixlab forget {key}`" if store.pointer("report", key).is_file() else ""
    place = folder.relative_to(store.root).as_posix()
    cure = f"run `rm -r {place}`{forget} and `{command}`"
    found = (compare_target(one, target, tables) for one, target in read_targets(folder / FOLDER, wanted, cure))
    return [one for one in found if one is not None]


def read_targets(folder: Path, names: Sequence[str], cure: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Read `targets/NAME.json` of each name; raises DataError with all that any of them lacks."""
    problems, found = [], []
    for name in names:
        path = folder / f"{name}.json"
        try:
            target = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            problems.append(Problem(f"missing; {OTHER}; {cure}", str(path)))
            continue
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            problems.append(Problem(f"cannot be read as JSON ({error}); {cure}", str(path)))
            continue
        if lacking := list_lacking(target):
            problems.append(Problem(f"has no {', '.join(lacking)}; {OTHER}; {cure}", str(path)))
        found.append((name, target))
    if problems:
        raise DataError(problems)
    return found
