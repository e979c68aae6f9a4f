"""`sources.lock`: digests of source files, commits of hub data sets, digests of tokenizers that come as files.

Planning reads it, and never a source.
"""

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.artifacts.store import write_json
from mixlab.config.machine import MachineSettings
from mixlab.config.model_facts import ModelFacts, parse_facts
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.sources import FilesConfig, HubConfig, SourceConfig, SourceSettings
from mixlab.config.tokenizers import (
    ExternalTokenizerConfig,
    HubTokenizerConfig,
    TokenizerChosen,
    TokenizerConfig,
)
from mixlab.plan.source_files import find_files

LOCK = "sources.lock"
TOKENIZER = "tokenizer/"
"""Before the name of a tokenizer that comes as a file; no source has a slash in its name."""
_SEEN = "seen_files.json"
_TOLD_BYTES = 1 << 30

OnHashed = Callable[[str], None]
"""Hears now and then, in words, how far the hashing of a large file is."""
EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class LockedFile:
    """One file of a source: path below its data root, size, sha256, and whether it is one of the joined files."""

    path: str
    bytes: int
    digest: str
    joined: bool = False


@dataclass(frozen=True)
class LockedHub:
    """A data set of the hub: the revision that was asked for, and the commit it stood for when it was locked."""

    id: str
    asked: str
    revision: str


@dataclass(frozen=True)
class LockedSource:
    """A source as it was locked: its data root, the patterns it was declared with, the files found.

    A hub source has a commit instead, and no files. A tokenizer that comes as a file has one path, one of the hub a
    commit. Of a base model its sizes are noted, too; a lock of earlier times has none, and they decide no key.
    """

    root: str
    paths: tuple[str, ...]
    joined_paths: tuple[str, ...]
    files: tuple[LockedFile, ...]
    hub: LockedHub | None = None
    model: ModelFacts | None = field(default=None, hash=False)

    def digests(self, joined: bool = False) -> tuple[str, ...]:
        """Digests of the main files, or of the joined ones; a path that was noted twice counts once.

        So do empty files, as a job that had nothing to write leaves them: they hold no record to come twice.
        """
        found = {file.path: file.digest for file in self.files if file.joined == joined}
        empty = {path for path, digest in found.items() if digest == EMPTY_DIGEST}
        kept = next(iter(sorted(empty)), None)
        return tuple(digest for path, digest in found.items() if path not in empty or path == kept)

    def find_copies(self) -> list[str]:
        """Say which files hold the same bytes as another of the main files, or of the joined ones, and the cure."""
        first: dict[tuple[str, bool], str] = {}
        told = []
        for file in self.files:
            same = first.setdefault((file.digest, file.joined), file.path)
            if same != file.path and file.digest != EMPTY_DIGEST:
                told.append(
                    f"'{same}' and '{file.path}' hold the same bytes, so that their records would come twice; "
                    "remove one of them, or name in `paths` the files that count"
                )
        return told

    def is_of(self, origin: FilesConfig | HubConfig | ExternalTokenizerConfig | HubTokenizerConfig) -> bool:
        """Whether it was locked for this declaration."""
        if isinstance(origin, HubConfig | HubTokenizerConfig):
            return self.hub is not None and (self.hub.id, self.hub.asked) == (origin.id, origin.revision)
        if isinstance(origin, ExternalTokenizerConfig):
            return self.is_at(origin.root, origin.path)
        declared = (origin.root, origin.paths, joined_paths(origin))
        return self.hub is None and (self.root, self.paths, self.joined_paths) == declared

    def is_at(self, root: str, path: str) -> bool:
        """Whether it is the one file at `path`, as for a tokenizer."""
        return self.hub is None and (self.root, self.paths) == (root, (path,))

    def settle(self, config: SourceConfig) -> SourceSettings:
        """Return what decides the records of a source that was locked for `config`."""
        revision = self.hub.revision if self.hub is not None else None
        return config.to_settings(self.digests(), self.digests(joined=True), revision)

    def settle_tokenizer(self, config: TokenizerConfig) -> TokenizerChosen:
        """Return what decides a tokenizer that was locked for `config`."""
        digest = self.files[0].digest if self.files else None
        return config.to_settings(digest, self.hub.revision if self.hub is not None else None)


def lock_hub(origin: HubConfig | HubTokenizerConfig, revision: str) -> LockedSource:
    """Note the commit that a source or tokenizer of the hub stands for."""
    return LockedSource("", (), (), (), LockedHub(origin.id, origin.revision, revision))


def joined_paths(origin: FilesConfig) -> tuple[str, ...]:
    """The patterns of the second files of a source, if it has any."""
    return origin.joined.paths if origin.joined is not None else ()


def read_lock(root: Path) -> dict[str, LockedSource]:
    """Read `sources.lock` of a working folder; empty when there is none.

    Raises ConfigError when it cannot be understood.
    """
    sources, problems = read_entries(root)
    if problems:
        raise ConfigError(problems)
    return sources


def read_entries(root: Path) -> tuple[dict[str, LockedSource], list[Problem]]:
    """Read the entries of `sources.lock` that can be understood, and say what is wrong with the others."""
    path = root / LOCK
    if not path.exists():
        return {}, []
    try:
        cards = json.loads(path.read_text(encoding="utf-8"))["sources"]
    except (ValueError, KeyError, TypeError) as error:
        return {}, [Problem(f"cannot be read ({error}); run `mixlab lock`", LOCK)]
    if not isinstance(cards, dict):
        return {}, [Problem("cannot be read (`sources` is no mapping of names); run `mixlab lock`", LOCK)]
    sources: dict[str, LockedSource] = {}
    problems: list[Problem] = []
    for name, card in cards.items():
        try:
            sources[name] = _read_card(card)
        except (ValueError, KeyError, TypeError) as error:
            words = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            problems.append(Problem(f"source '{name}' cannot be read ({words}); run `mixlab lock {name}`", LOCK))
    return sources, problems


def _read_card(card: Any) -> LockedSource:
    """Understand one entry; raises ValueError, KeyError or TypeError for what `mixlab lock` would not write."""
    if not isinstance(card, dict):
        raise TypeError(f"expected a mapping, got {card!r}")
    model = parse_facts(card["model"]) if "model" in card else None
    if "hub" in card:
        hub = LockedHub(**card["hub"])
        if not _is_hex(hub.revision, 40):
            raise ValueError(f"{hub.revision!r} is no commit: 40 hexadecimal digits")
        return LockedSource("", (), (), (), hub, model)
    files = tuple(LockedFile(**file) for file in card["files"])
    if not files:
        raise ValueError("it names no file")
    for file in files:
        if not _is_hex(file.digest, 64):
            raise ValueError(f"{file.path}: {file.digest!r} is no sha256: 64 hexadecimal digits")
        if not isinstance(file.path, str) or type(file.bytes) is not int:
            raise ValueError(f"{file.path!r} is no path, or {file.bytes!r} no number of bytes")
    return LockedSource(card["root"], tuple(card["paths"]), tuple(card["joined_paths"]), files, model=model)


def _is_hex(digits: object, length: int) -> bool:
    return isinstance(digits, str) and re.fullmatch(f"[0-9a-f]{{{length}}}", digits) is not None


def write_lock(root: Path, sources: Mapping[str, LockedSource]) -> None:
    """Write `sources.lock`, sorted, so that two people's locks merge line by line."""
    cards = {name: _to_card(source) for name, source in sorted(sources.items())}
    write_json(root / LOCK, {"sources": cards})


def _to_card(source: LockedSource) -> dict[str, Any]:
    model = {} if source.model is None else {"model": source.model.to_card()}
    if source.hub is not None:
        return {"hub": vars(source.hub), **model}
    return {
        "root": source.root,
        "paths": source.paths,
        "joined_paths": source.joined_paths,
        "files": [vars(file) for file in source.files],
        **model,
    }


def lock_source(
    name: str, config: SourceConfig, machine: MachineSettings, root: Path, on_hashed: OnHashed | None = None
) -> LockedSource:
    """Find and hash the files of a source.

    Raises ConfigError when its data root is not set, a pattern matches no file, or a file cannot be read.
    """
    origin = config.origin
    if not isinstance(origin, FilesConfig):
        message = "is read from the hub" if isinstance(origin, HubConfig) else "is generated"
        raise ConfigError(Problem(f"{message}; there is nothing to lock", key=f"sources.{name}"))
    base = data_root(name, origin.root, machine, root)
    where = f"sources.{name}.origin.paths"
    return lock_files(where, base, origin.root, origin.paths, joined_paths(origin), on_hashed)


def lock_files(
    where: str,
    base: Path,
    root_name: str,
    paths: Sequence[str],
    joined: Sequence[str] = (),
    on_hashed: OnHashed | None = None,
) -> LockedSource:
    """Find and hash the files below `base` that patterns name; a folder saved by `datasets` stands for its files.

    A file that two patterns name counts once. Raises ConfigError, `where` its key, with every pattern that matches no
    file, every file that cannot be read, and all that hold the same bytes.
    """
    files: dict[tuple[str, bool], LockedFile] = {}
    problems: list[Problem] = []
    for is_joined, patterns in ((False, paths), (True, joined)):
        for pattern in patterns:
            try:
                found = find_files(base, pattern)
            except ValueError as error:
                problems.append(Problem(f"'{pattern}': {error}", key=where))
                continue
            if not found:
                problems.append(Problem(f"no file matches '{pattern}' in {base}", key=where))
            for path in found:
                relative = path.relative_to(base).as_posix()
                if (relative, is_joined) in files:
                    continue
                try:
                    file = LockedFile(relative, path.stat().st_size, _sha256(path, on_hashed), is_joined)
                    files[relative, is_joined] = file
                except OSError as error:
                    problems.append(Problem(f"{path} cannot be read: {error.strerror}", key=where))
    locked = LockedSource(root_name, tuple(paths), tuple(joined), tuple(files.values()))
    problems += [Problem(message, key=where) for message in locked.find_copies()]
    if problems:
        raise ConfigError(problems)
    return locked


def data_root(name: str, root_name: str, machine: MachineSettings, root: Path) -> Path:
    """Return the folder of a source's data root; raises ConfigError when the machine settings lack it."""
    if root_name not in machine.data_roots:
        hint = did_you_mean(root_name, machine.data_roots)
        message = f"source '{name}' lies below the data root '{root_name}', which is not set{hint}"
        raise ConfigError(Problem(f"{message}; add it to machine.data_roots", "config.yaml", key="machine.data_roots"))
    return machine.root(root_name, root)


def _sha256(path: Path, on_hashed: OnHashed | None = None) -> str:
    digest, done, told = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while piece := file.read(1 << 20):
            digest.update(piece)
            done += len(piece)
            if on_hashed is not None and done - told >= _TOLD_BYTES:
                told = done
                on_hashed(f"{path.name}: {done / 2**30:.0f} of {size / 2**30:.1f} GiB hashed")
    return digest.hexdigest()


Seen = dict[str, list[int | str]]
"""Path of a source file -> size, time of change and digest, as this machine last saw them together."""


def read_seen(work: Path) -> Seen:
    """Read what this machine knows of source files; a list that cannot be read is forgotten, it is a cache."""
    try:
        seen = json.loads((work / _SEEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return seen if isinstance(seen, dict) else {}


def remember_files(source: LockedSource, machine: MachineSettings, root: Path, work: Path) -> None:
    """Note that a source's files were hashed as they are now, so that planning trusts even the largest."""
    seen = read_seen(work)
    base = machine.root(source.root, root)
    for file in source.files:
        status = (base / file.path).stat()
        seen[str(base / file.path)] = [status.st_size, status.st_mtime_ns, file.digest]
    write_json(work / _SEEN, seen)


def check_sources(
    sources: Mapping[str, LockedSource], machine: MachineSettings, root: Path, work: Path
) -> list[Problem]:
    """Look whether the files that are here still are what the lock says; files that are not here are no problem.

    A file whose size and time are as last seen is trusted. Another is hashed again when it is not larger than
    machine.rehash_limit_mib, else it is a problem whose cure is `mixlab lock NAME`.
    """
    seen = read_seen(work)
    known = dict(seen)
    problems = []
    for name, source in sorted(sources.items()):
        if source.root not in machine.data_roots:
            continue
        base = machine.root(source.root, root)
        for file in source.files:
            problems += _check_file(name, base / file.path, file, known, machine.rehash_limit_mib)
    if known != seen:
        write_json(work / _SEEN, known)
    return problems


def _check_file(name: str, path: Path, file: LockedFile, known: Seen, limit_mib: int) -> list[Problem]:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return []
    cure = f"run `mixlab lock {name}` to use what is there now, or put the locked file back"
    changed = Problem(f"source '{name}': {path} is not the file that was locked; {cure}")
    if status.st_size != file.bytes:
        return [changed]
    card = known.get(str(path))
    digest = card[2] if card and card[:2] == [status.st_size, status.st_mtime_ns] else None
    if digest is None and status.st_size > limit_mib * 2**20:
        return [Problem(f"source '{name}': {path} looks changed and is too large to hash while planning; {cure}")]
    if digest is None:
        digest = _sha256(path)
        known[str(path)] = [status.st_size, status.st_mtime_ns, digest]
    return [] if digest == file.digest else [changed]


def locate_files(sources: Iterable[LockedSource], machine: MachineSettings, root: Path) -> dict[str, str]:
    """Map each locked digest to the path where this machine has the file."""
    located = {}
    for source in sources:
        if source.root in machine.data_roots:
            base = machine.root(source.root, root)
            located.update({file.digest: str(base / file.path) for file in source.files})
    return located


def select(names: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Return the declared names that match `names` (shell patterns); raises ConfigError for one that matches none."""
    chosen: set[str] = set()
    allowed = sorted(declared)
    for name in names:
        matching = fnmatch.filter(allowed, name)
        if not matching:
            raise ConfigError(Problem(f"nothing that can be locked is named '{name}'{did_you_mean(name, allowed)}"))
        chosen.update(matching)
    return sorted(chosen)
