"""What `mixlab show --target` prints: one table of a study, and its files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from mixlab.cli._common import print_json
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.report.targets import FOLDER


def show_targets(reports: Mapping[str, Path], names: Sequence[str], root: Path, as_json: bool) -> None:
    """Print the named targets of finished studies; raises ConfigError for a name that none of them has."""
    there = {study: sorted(path.stem for path in (folder / FOLDER).glob("*.md")) for study, folder in reports.items()}
    known = sorted({name for found in there.values() for name in found})
    problems = [
        Problem(f"no target is named '{name}'{did_you_mean(name, known)} (targets: {', '.join(known) or 'none'})")
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
    chosen = [(study, name) for study in reports for name in names if name in there[study]]
    if as_json:
        found: dict[str, dict[str, object]] = {study: {} for study, _ in chosen}
        for study, name in chosen:
            found[study][name] = json.loads((reports[study] / FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        print_json(found)
        return
    for study, name in chosen:
        folder = reports[study] / FOLDER
        click.echo(f"{study}\n\n{(folder / f'{name}.md').read_text(encoding='utf-8')}")
        files = sorted(path.relative_to(root).as_posix() for path in folder.glob(f"{name}.*"))
        click.echo("\n".join(["files:", *(f"  {path}" for path in files)]))
