"""`mixlab lock`: write what the source files are to sources.lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mixlab.cli._common import (
    example,
    json_option,
    list_studies,
    open_store,
    print_json,
    render_bytes,
    render_count,
    study_option,
)
from mixlab.config.loading import Document, problem_at, sort_problems
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.sources import FilesConfig, SourceConfig
from mixlab.config.studies import load_main_config, load_study
from mixlab.plan.sources_lock import (
    LOCK,
    LockedSource,
    joined_paths,
    lock_source,
    read_lock,
    remember_files,
    select,
    write_lock,
)


@dataclass(frozen=True)
class Declared:
    """A file source as a study declares it."""

    study: str
    config: SourceConfig
    document: Document

    @property
    def files(self) -> tuple[Any, ...]:
        """Which files it names."""
        origin = self.config.origin
        assert isinstance(origin, FilesConfig)
        return origin.root, origin.paths, joined_paths(origin)


@click.command(epilog=example("mixlab lock", "mixlab lock math_file", "mixlab lock 'wiki_*' --study real_small"))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@study_option
@click.option("--prune", is_flag=True, help="Remove sources that no study declares any more.")
@json_option
def command(names: Sequence[str], studies: Sequence[str], prune: bool, as_json: bool) -> None:
    """Write the digests of source files to sources.lock, and say what changed.

    NAME is a source, or a pattern in quotes; without NAME all file sources are locked, of all studies or of --study.
    """
    root = open_store().root
    machine = load_main_config(root).machine
    declared = read_declared(root, studies or list_studies(root))
    everywhere = read_declared(root, list_studies(root)) if studies and prune else declared
    before = _read_old(root)
    locked = _lock(select(names or ["*"], declared) if declared or names else [], declared, machine, root)
    undeclared = [] if studies and not prune else sorted(set(before) - set(everywhere))
    kept = {name: source for name, source in before.items() if not (prune and name in undeclared)}
    after = {**kept, **locked}
    if after != before or not (root / LOCK).exists():
        write_lock(root, after)
    if as_json:
        rows = [{"source": name, **_describe(before.get(name), source)} for name, source in locked.items()]
        print_json({"sources": rows, "undeclared": undeclared, "pruned": undeclared if prune else []})
    else:
        _print(before, locked, undeclared, prune)


def read_declared(root: Path, studies: Sequence[str]) -> dict[str, Declared]:
    """Read the file sources that studies declare, whatever sources.lock says.

    Raises ConfigError with the mistakes of every study, and for a source that two studies declare with different
    files: one name in the lock cannot be both.
    """
    declared: dict[str, Declared] = {}
    problems: list[Problem] = []
    for study in studies:
        try:
            config, document = load_study(root, study)
        except ConfigError as error:
            problems += error.problems
            continue
        for name, source in config.sources.items():
            if not isinstance(source.origin, FilesConfig):
                continue
            one = Declared(study, source, document)
            other = declared.setdefault(name, one)
            if other.files != one.files:
                here, there = (_complain(name, *pair) for pair in ((one, other), (other, one)))
                problems += [here, there]
    if problems:
        raise ConfigError(sort_problems(problems))
    return declared


def _complain(name: str, one: Declared, other: Declared) -> Problem:
    file, line = other.document.address(("sources", name))
    message = f"study '{one.study}' declares this source with other files than study '{other.study}' ({file}:{line})"
    return problem_at(one.document, ("sources", name), f"{message}; give one of them another name")


def _read_old(root: Path) -> dict[str, LockedSource]:
    try:
        return read_lock(root)
    except ConfigError as error:
        click.echo(f"mixlab: {error.problems[0].message}; {LOCK} is written anew", err=True)
        return {}


def _lock(
    names: Sequence[str], declared: Mapping[str, Declared], machine: MachineSettings, root: Path
) -> dict[str, LockedSource]:
    locked: dict[str, LockedSource] = {}
    problems: list[Problem] = []
    for name in names:
        one = declared[name]
        try:
            locked[name] = lock_source(name, one.config, machine, root)
            remember_files(locked[name], machine, root, root / "work")
        except ConfigError as error:
            problems += [
                problem if problem.file else problem_at(one.document, ("sources", name, "origin"), problem.message)
                for problem in error.problems
            ]
    if problems:
        raise ConfigError(sort_problems(problems))
    return locked


def _describe(old: LockedSource | None, new: LockedSource) -> dict[str, Any]:
    before = {(file.path, file.joined): file.digest for file in old.files} if old else {}
    after = {(file.path, file.joined): file.digest for file in new.files}
    change = "new" if old is None else "unchanged" if old == new else "changed"
    return {
        "change": change,
        "files": len(new.files),
        "bytes": sum(file.bytes for file in new.files),
        "added": sorted(path for path, _ in set(after) - set(before)) if old else [],
        "removed": sorted(path for path, _ in set(before) - set(after)),
        "digest_changed": sorted(name[0] for name in set(after) & set(before) if after[name] != before[name]),
    }


def _print(
    before: Mapping[str, LockedSource], locked: Mapping[str, LockedSource], undeclared: Sequence[str], prune: bool
) -> None:
    for name, source in locked.items():
        card = _describe(before.get(name), source)
        click.echo(f"{card['change']:9}  {name}: {render_count(card['files'], 'file')}, {render_bytes(card['bytes'])}")
        for word in ("added", "removed", "digest_changed"):
            for path in card[word]:
                click.echo(f"             {word.replace('_', ' ')}: {path}")
    for name in undeclared:
        click.echo(f"{'removed' if prune else 'unused':9}  {name}: no study declares it")
    if undeclared and not prune:
        click.echo("`mixlab lock --prune` removes what is unused.")
    changed = sum(_describe(before.get(name), source)["change"] != "unchanged" for name, source in locked.items())
    click.echo(f"{LOCK}: {render_count(changed, 'source')} changed of {len(locked)} looked at.")
