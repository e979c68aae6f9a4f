"""`mixlab references`: the proof that a study's scorers are right, on the benchmarks' own reference solutions."""

from pathlib import Path

import click

from mixlab.cli._common import example, json_option, open_store, print_json, render_table
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError
from mixlab.config.sources import FilesConfig
from mixlab.config.studies import load_main_config, load_study
from mixlab.config.study import Study
from mixlab.data.sources.reading import read_records
from mixlab.evaluation.reference import ReferenceCheck, check_references
from mixlab.plan.build import split_names
from mixlab.plan.sources_lock import LockedSource, locate_files, read_lock

_HEADER = ("benchmark", "items", "references right", "unsolvable", "spoiled right", "holds")


@click.command(epilog=example("mixlab references real_small"))
@click.argument("study", required=False)
@json_option
def command(study: str | None, as_json: bool) -> None:
    """Score each benchmark's own reference answers, which must pass, and a spoiled copy of each, which must fail.

    Benchmarks read from files are checked over all their items, whatever the study's limit. Leaves with 1 when a
    scorer is wrong.
    """
    root = open_store().root
    config = load_main_config(root)
    loaded, _ = load_study(root, study or split_names(config.study)[0])
    checks = check_study(loaded, config.machine, root)
    if as_json:
        print_json({name: {**vars(check), "holds": check.holds} for name, check in checks.items()})
    else:
        rows = [_render(name, check) for name, check in checks.items()]
        click.echo(render_table(_HEADER, rows) if rows else "no benchmark of the study is scored from files")
        for name, check in checks.items():
            for item, reason in check.unsolvable.items():
                click.echo(f"{name} {item}: {reason}")
    if not all(check.holds for check in checks.values()):
        raise SystemExit(1)


def check_study(study: Study, machine: MachineSettings, root: Path) -> dict[str, ReferenceCheck]:
    """Check every scored benchmark of a study whose items are read from files."""
    lock = read_lock(root)
    checks = {}
    for name, use in sorted(study.benchmarks.items()):
        declaration = use.declaration(name)
        config = study.sources[use.data]
        if declaration.scoring is None or not isinstance(config.origin, FilesConfig):
            continue
        locked = lock.get(use.data)
        if locked is None or not locked.is_of(config.origin):
            raise ConfigError(f"source '{use.data}' is not locked as it is declared; run `mixlab lock {use.data}`")
        if copies := locked.find_copies():
            raise ConfigError(f"source '{use.data}': {copies[0]}; then run `mixlab lock {use.data}`")
        settings = config.to_settings(locked.digests(), locked.digests(joined=True))
        items = read_records(settings, _locate(locked, machine, root), lambda exclusion: None)
        checks[name] = check_references(
            declaration, items, workers=machine.sandbox_workers, require=machine.sandbox_require
        )
    return checks


def _locate(locked: LockedSource, machine: MachineSettings, root: Path) -> list[tuple[str, Path]]:
    return [(digest, Path(path)) for digest, path in locate_files([locked], machine, root).items()]


def _render(name: str, check: ReferenceCheck) -> tuple[str, ...]:
    numbers = (check.items, check.reference_right, len(check.unsolvable), len(check.spoiled_right))
    return (name, *map(str, numbers), "yes" if check.holds else "NO")
