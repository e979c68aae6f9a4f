"""`mixlab lock`: write to sources.lock what source files, hub data sets, tokenizer files and base models are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from mixlab.cli._common import (
    example,
    json_option,
    list_every_study,
    list_studies,
    open_store,
    print_json,
    render_bytes,
    render_count,
    study_option,
)
from mixlab.cli._model_facts import read_facts
from mixlab.config.base_models import FilesModelConfig, HubModelConfig
from mixlab.config.loading import Document, problem_at, sort_problems
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, DataError, Problem
from mixlab.config.sources import FilesConfig, HubConfig, SourceConfig
from mixlab.config.studies import load_main_config, load_study
from mixlab.config.study import Study
from mixlab.config.tokenizers import ExternalTokenizerConfig, HubTokenizerConfig
from mixlab.data.sources.hub import fetch_file, resolve_model_revision, resolve_revision
from mixlab.plan.base_model_lock import BASE_MODEL, CONFIG_FILE, lock_hub_model, lock_model_folder
from mixlab.plan.sources_lock import (
    LOCK,
    TOKENIZER,
    LockedSource,
    data_root,
    joined_paths,
    lock_files,
    lock_hub,
    lock_source,
    read_entries,
    remember_files,
    select,
    write_lock,
)


@dataclass(frozen=True)
class Declared:
    """What a study declares that is to be locked: a source, a base model or a tokenizer, of files or the hub."""

    study: str
    config: SourceConfig | ExternalTokenizerConfig | HubTokenizerConfig | FilesModelConfig | HubModelConfig
    document: Document
    path: tuple[str, ...]
    """Where it stands in the study."""
    is_used: bool = True
    """Whether it takes part in the study; a registry may declare many sources that do not."""

    @property
    def files(self) -> tuple[Any, ...]:
        """Which files, or which data set of the hub, it names."""
        if isinstance(self.config, ExternalTokenizerConfig | FilesModelConfig):
            return self.config.root, self.config.path
        if isinstance(self.config, HubModelConfig | HubTokenizerConfig):
            return self.config.id, self.config.revision
        origin = self.config.origin
        if isinstance(origin, HubConfig):
            return origin.id, origin.revision
        assert isinstance(origin, FilesConfig)
        return origin.root, origin.paths, joined_paths(origin)

    @property
    def origin(self) -> tuple[str, ...]:
        """Where its files are named in the study."""
        return (*self.path, "origin") if isinstance(self.config, SourceConfig) else self.path


@click.command(
    epilog=example(
        "mixlab lock", "mixlab lock math_file", "mixlab lock 'wiki_*' --study real_small", "mixlab lock 'tokenizer/*'"
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@study_option
@click.option("--prune", is_flag=True, help="Remove sources that no study declares any more.")
@json_option
def command(names: Sequence[str], studies: Sequence[str], prune: bool, as_json: bool) -> None:
    """Write digests of source files and commits of hub data sets to sources.lock, and say what changed.

    NAME is a source, tokenizer/NAME for a tokenizer and base_model/NAME for a base model that is not trained here, or a
    pattern in quotes; without NAME everything that takes part is locked, of all studies or of
    --study. A tokenizer's file is read as well: it must be one, and have its end token.
    """
    root = open_store().root
    machine = load_main_config(root).machine
    declared = read_declared(root, studies or list_studies(root))
    everywhere = read_declared(root, list_every_study(root)) if prune or not studies else declared
    before, is_sound = _read_old(root)
    chosen = select(names, declared) if names else sorted(name for name, one in declared.items() if one.is_used)
    locked = _lock(chosen, declared, machine, root)
    undeclared = [] if studies and not prune else sorted(set(before) - set(everywhere))
    kept = {name: source for name, source in before.items() if not (prune and name in undeclared)}
    after = {**kept, **locked}
    if after != before or not is_sound or not (root / LOCK).exists():
        write_lock(root, after)
    if as_json:
        rows = [{"source": name, **_describe(before.get(name), source)} for name, source in locked.items()]
        print_json({"sources": rows, "undeclared": undeclared, "pruned": undeclared if prune else []})
    else:
        _print(before, locked, undeclared, prune)


def read_declared(root: Path, studies: Sequence[str]) -> dict[str, Declared]:
    """Read what studies declare that is to be locked, by its name in the lock, whatever sources.lock says.

    Raises ConfigError with the mistakes of every study, and for a name that two studies declare with different files
    or revisions: one name in the lock cannot be both.
    """
    declared: dict[str, Declared] = {}
    problems: list[Problem] = []
    for study in studies:
        try:
            config, document = load_study(root, study)
        except ConfigError as error:
            problems += error.problems
            continue
        for name, one in _lockable(study, config, document):
            other = declared.setdefault(name, one)
            if one.is_used and not other.is_used:
                declared[name] = one
            if other.files != one.files:
                problems += [_complain(*pair) for pair in ((one, other), (other, one))]
    if problems:
        raise ConfigError(sort_problems(problems))
    return declared


def _lockable(study: str, config: Study, document: Document) -> Iterator[tuple[str, Declared]]:
    used = config.used_sources()
    for name, source in config.sources.items():
        if isinstance(source.origin, FilesConfig | HubConfig):
            yield name, Declared(study, source, document, ("sources", name), name in used)
    for name, tokenizer in config.tokenizers.items():
        if isinstance(tokenizer, ExternalTokenizerConfig | HubTokenizerConfig):
            yield f"{TOKENIZER}{name}", Declared(study, tokenizer, document, ("tokenizers", name))
    for name, model in config.base_models.items():
        if isinstance(model, FilesModelConfig | HubModelConfig):
            yield f"{BASE_MODEL}{name}", Declared(study, model, document, ("base_models", name))


def _complain(one: Declared, other: Declared) -> Problem:
    file, line = other.document.address(other.path)
    message = f"study '{one.study}' declares it with other files than study '{other.study}' ({file}:{line})"
    return problem_at(one.document, one.path, f"{message}; give one of them another name")


def _read_old(root: Path) -> tuple[dict[str, LockedSource], bool]:
    """Read what can be kept of the lock, and whether that is all of it."""
    entries, problems = read_entries(root)
    for problem in problems:
        click.echo(f"mixlab: {problem.message}; {LOCK} is written anew", err=True)
    return entries, not problems


def _lock(
    names: Sequence[str], declared: Mapping[str, Declared], machine: MachineSettings, root: Path
) -> dict[str, LockedSource]:
    locked: dict[str, LockedSource] = {}
    problems: list[Problem] = []
    for name in names:
        one = declared[name]
        try:
            locked[name] = _lock_one(name, one, machine, root)
        except (ConfigError, DataError) as error:
            problems += [
                problem if problem.file else problem_at(one.document, one.origin, problem.message)
                for problem in error.problems
            ]
    if problems:
        raise ConfigError(sort_problems(problems))
    return locked


def _lock_one(name: str, one: Declared, machine: MachineSettings, root: Path) -> LockedSource:
    config = one.config
    if isinstance(config, SourceConfig) and isinstance(config.origin, HubConfig):
        return lock_hub(config.origin, resolve_revision(config.origin.id, config.origin.revision))
    if isinstance(config, HubModelConfig):
        commit = resolve_model_revision(config.id, config.revision)
        return lock_hub_model(config, commit, read_facts(fetch_file(config.id, commit, CONFIG_FILE)))
    if isinstance(config, HubTokenizerConfig):
        commit = resolve_model_revision(config.id, config.revision)
        _check_tokenizer(config, [fetch_file(config.id, commit, config.file)])
        return lock_hub(config, commit)
    if isinstance(config, FilesModelConfig):
        base = data_root(name, config.root, machine, root)
        locked = lock_model_folder(name.removeprefix(BASE_MODEL), config, base, on_hashed=_tell)
        locked = replace(locked, model=read_facts(base / config.path / CONFIG_FILE))
    elif isinstance(config, ExternalTokenizerConfig):
        base = data_root(name, config.root, machine, root)
        locked = lock_files(".".join(one.path), base, config.root, (config.path,), on_hashed=_tell)
        _check_tokenizer(config, [base / file.path for file in locked.files])
    else:
        locked = lock_source(name, config, machine, root, on_hashed=_tell)
    remember_files(locked, machine, root, root / "work")
    return locked


def _check_tokenizer(config: ExternalTokenizerConfig | HubTokenizerConfig, paths: Sequence[Path]) -> None:
    """Raise what the job that takes the file would raise: DataError when it is broken or has no such end token."""
    # here, and not above: a lock without a tokenizer never pays for the library
    from mixlab.data.tokens.tokenizer import describe_tokenizer, load_tokenizer_file

    if len(paths) != 1 and isinstance(config, ExternalTokenizerConfig):
        raise ConfigError(f"'{config.path}' names {len(paths)} files, and a tokenizer is one: name it")
    describe_tokenizer(load_tokenizer_file(paths[0]), config.end_token, None, paths[0])


def _tell(progress: str) -> None:
    click.echo(f"mixlab: {progress}", err=True)


def _describe(old: LockedSource | None, new: LockedSource) -> dict[str, Any]:
    before = {(file.path, file.joined): file.digest for file in old.files} if old is not None else {}
    after = {(file.path, file.joined): file.digest for file in new.files}
    change = "new" if old is None else "unchanged" if old == new else "changed"
    is_noted = old is not None and old.model is None and new.model is not None
    if new.hub is not None:
        asked = {"hub": new.hub.id, "asked": new.hub.asked, "revision": new.hub.revision}
        return {"change": change, "sizes_noted": is_noted, **asked}
    return {
        "change": change,
        "sizes_noted": is_noted,
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
        if source.hub is not None:
            what = f"{card['hub']} at {card['asked']}, commit {card['revision']}"
        else:
            what = f"{render_count(card['files'], 'file')}, {render_bytes(card['bytes'])}"
        click.echo(f"{card['change']:9}  {name}: {what}")
        if card["sizes_noted"]:
            click.echo("             the model's sizes are noted; no key changes by it")
        if source.hub is not None:
            continue
        for word in ("added", "removed", "digest_changed"):
            for path in card[word]:
                click.echo(f"             {word.replace('_', ' ')}: {path}")
    for name in undeclared:
        click.echo(f"{'removed' if prune else 'unused':9}  {name}: no study declares it")
    if undeclared and not prune:
        click.echo("`mixlab lock --prune` removes what is unused.")
    changed = sum(_describe(before.get(name), source)["change"] != "unchanged" for name, source in locked.items())
    click.echo(f"{LOCK}: {render_count(changed, 'source')} changed of {len(locked)} looked at.")
