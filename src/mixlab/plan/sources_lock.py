"""`sources.lock`: the digests of every file source. Planning reads it, and never a source."""

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.store import write_json
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.sources import FilesConfig, SourceConfig

LOCK = "sources.lock"
_SEEN = "seen_files.json"


@dataclass(frozen=True)
class LockedFile:
    """One file of a source: path below its data root, size, sha256, and whether it is one of the joined files."""

    path: str
    bytes: int
    digest: str
    joined: bool = False


@dataclass(frozen=True)
class LockedSource:
    """A source as it was locked: its data root, the patterns it was declared with, the files found."""

    root: str
    paths: tuple[str, ...]
    joined_paths: tuple[str, ...]
    files: tuple[LockedFile, ...]

    def digests(self, joined: bool = False) -> tuple[str, ...]:
        """Digests of the main files, or of the joined ones."""
        return tuple(file.digest for file in self.files if file.joined == joined)

    def is_of(self, origin: FilesConfig) -> bool:
        """Whether it was locked for this declaration."""
        return (self.root, self.paths, self.joined_paths) == (origin.root, origin.paths, joined_paths(origin))


def joined_paths(origin: FilesConfig) -> tuple[str, ...]:
    """The patterns of the second files of a source, if it has any."""
    return origin.joined.paths if origin.joined is not None else ()


def read_lock(root: Path) -> dict[str, LockedSource]:
    """Read `sources.lock` of a working folder; empty when there is none.

    Raises ConfigError when it cannot be understood.
    """
    path = root / LOCK
    if not path.exists():
        return {}
    try:
        cards = json.loads(path.read_text(encoding="utf-8"))["sources"]
        return {
            name: LockedSource(
                card["root"],
                tuple(card["paths"]),
                tuple(card["joined_paths"]),
                tuple(LockedFile(**file) for file in card["files"]),
            )
            for name, card in cards.items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(Problem(f"cannot be read ({error}); run `mixlab lock`", LOCK)) from error


def write_lock(root: Path, sources: Mapping[str, LockedSource]) -> None:
    """Write `sources.lock`, sorted, so that two people's locks merge line by line."""
    cards = {
        name: {
            "root": source.root,
            "paths": source.paths,
            "joined_paths": source.joined_paths,
            "files": [vars(file) for file in source.files],
        }
        for name, source in sorted(sources.items())
    }
    write_json(root / LOCK, {"sources": cards})


def lock_source(name: str, config: SourceConfig, machine: MachineSettings, root: Path) -> LockedSource:
    """Find and hash the files of a source.

    Raises ConfigError when its data root is not set, or a pattern matches no file.
    """
    origin = config.origin
    if not isinstance(origin, FilesConfig):
        raise ConfigError(Problem("is generated; there is nothing to lock", key=f"sources.{name}"))
    base = data_root(name, origin.root, machine, root)
    files: list[LockedFile] = []
    problems: list[Problem] = []
    for joined, patterns in ((False, origin.paths), (True, joined_paths(origin))):
        for pattern in patterns:
            try:
                found = sorted(path for path in base.glob(pattern) if path.is_file())
            except (NotImplementedError, ValueError) as error:
                where = f"sources.{name}.origin.paths"
                problems.append(Problem(f"'{pattern}' is no pattern below a data root ({error})", key=where))
                continue
            if not found:
                problems.append(Problem(f"no file matches '{pattern}' in {base}", key=f"sources.{name}.origin.paths"))
            for path in found:
                relative = path.relative_to(base).as_posix()
                files.append(LockedFile(relative, path.stat().st_size, _sha256(path), joined))
    if problems:
        raise ConfigError(problems)
    return LockedSource(origin.root, origin.paths, joined_paths(origin), tuple(files))


def data_root(name: str, root_name: str, machine: MachineSettings, root: Path) -> Path:
    """Return the folder of a source's data root; raises ConfigError when the machine settings lack it."""
    if root_name not in machine.data_roots:
        hint = did_you_mean(root_name, machine.data_roots)
        message = f"source '{name}' lies below the data root '{root_name}', which is not set{hint}"
        raise ConfigError(Problem(f"{message}; add it to machine.data_roots", "config.yaml", key="machine.data_roots"))
    return machine.root(root_name, root)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
            raise ConfigError(Problem(f"no file source is named '{name}'{did_you_mean(name, allowed)}"))
        chosen.update(matching)
    return sorted(chosen)
