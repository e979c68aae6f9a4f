"""What nobody needs any more: artifacts, cached objects and work left behind, and whether a remote has them."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.costs import read_seconds
from mixlab.artifacts.dropping import list_kept
from mixlab.artifacts.errors import BusyError
from mixlab.artifacts.history import list_past
from mixlab.artifacts.keys import KEY_LENGTH
from mixlab.artifacts.locks import hold_lock
from mixlab.artifacts.manifest import MANIFEST
from mixlab.artifacts.pointers import Pointer
from mixlab.artifacts.remote import Depot, open_depot
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import drop_artifact


@dataclass(frozen=True)
class Garbage:
    """An artifact that nobody needs: its size, whether a remote has just these bytes, and what making it took."""

    stage: str
    key: str
    bytes: int
    pushed: bool
    seconds: float | None

    @property
    def name(self) -> Name:
        """Stage and key."""
        return self.stage, self.key


@dataclass(frozen=True)
class Finding:
    """All that nobody needs: artifacts, objects of the cache (name -> bytes freed), and work left behind."""

    artifacts: tuple[Garbage, ...]
    pushed_objects: Mapping[str, int]
    unpushed_objects: Mapping[str, int]
    work: tuple[tuple[Name, int], ...]


def find_garbage(store: Store, reachable: Iterable[Name]) -> Finding:
    """Find what is neither reachable nor kept by a pointer of this folder, a branch or a tag."""
    kept = list_kept(store)
    needed = {*reachable, *(one.name for one in kept)}
    old = {one for found in list_past(store.root).values() for one in found} - set(kept)
    names = [name for name in _list_folders(store.artifacts) if name not in needed]
    with _try_depot(store) as depot:
        uploaded = _list_uploaded(store, depot, names, old)
        orphans = _list_orphans(depot, old, kept)
        there = depot.list_uploaded(set(orphans)) if depot is not None and orphans else set()
        there -= depot.list_short(there) if depot is not None and there else set()
    return Finding(
        tuple(
            Garbage(*name, _measure(store.folder(*name)), name in uploaded, read_seconds(store, name)) for name in names
        ),
        {oid: size for oid, size in orphans.items() if oid in there},
        {oid: size for oid, size in orphans.items() if oid not in there},
        tuple((name, _measure(store.work / name[0] / name[1])) for name in _list_work(store, needed)),
    )


@contextmanager
def _try_depot(store: Store) -> Iterator[Depot | None]:
    if (store.root / ".dvc").is_dir():
        with open_depot(store) as depot:
            yield depot
    else:
        yield None


def _list_uploaded(store: Store, depot: Depot | None, names: Sequence[Name], old: Iterable[Pointer]) -> set[Name]:
    """List the artifacts of which the remote has these very bytes: equal manifests mean equal files."""
    if depot is None:
        return set()
    wanted = [one for one in old if one.name in names]
    there = set(wanted) - set(depot.list_missing(wanted, cached=False))
    found = set()
    for pointer in there:
        path = store.manifest_path(*pointer.name)
        tree = depot.read_tree(pointer, depot.cache, depot.remote()) or {}
        if path.is_file() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == tree.get(MANIFEST):
            found.add(pointer.name)
    return found


def _list_orphans(depot: Depot | None, old: Iterable[Pointer], kept: Iterable[Pointer]) -> dict[str, int]:
    """Map the objects that only pointers of the past named to the bytes they take beside the artifacts."""
    if depot is None:
        return {}
    cached = depot.list_cached()
    return {oid: cached[oid] for oid in sorted(depot.list_used(old) - depot.list_used(kept)) if oid in cached}


def _list_work(store: Store, needed: set[Name]) -> list[Name]:
    return [name for name in _list_folders(store.work) if name not in needed]


def _list_folders(parent: Path) -> list[Name]:
    """List the folders `<stage>/<key>` below `parent`; anything else there is not ours to judge."""
    found = [(path.parent.name, path.name) for path in sorted(parent.glob("*/*")) if path.is_dir()]
    return [name for name in found if len(name[1]) == KEY_LENGTH and set(name[1]) <= set("0123456789abcdef")]


def _measure(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free_garbage(store: Store, finding: Finding, unpushed: bool) -> int:
    """Remove pushed copies, then unpushed ones if asked to, then cached objects and work; return the bytes freed."""
    chosen = sorted((one for one in finding.artifacts if one.pushed or unpushed), key=lambda one: not one.pushed)
    freed = 0
    for one in chosen:
        drop_artifact(store, one.name)
        freed += one.bytes
    objects = {**finding.pushed_objects, **(finding.unpushed_objects if unpushed else {})}
    if objects:
        with open_depot(store) as depot:
            depot.drop(objects)
            freed += sum(objects.values())
    for name, size in finding.work:
        # a resume state is the only copy of a killed run's GPU hours
        if (unpushed or not holds_states(store, name)) and _drop_work(store, name):
            freed += size
    return freed


def holds_states(store: Store, name: Name) -> bool:
    """Whether an unfinished attempt left a resume state behind."""
    resume = store.work / name[0] / name[1] / "resume"
    return resume.is_dir() and any(resume.iterdir())


def _drop_work(store: Store, name: Name) -> bool:
    """Remove what an attempt left behind, unless somebody is at it."""
    try:
        with hold_lock(store.lock_path(*name)):
            shutil.rmtree(store.work / name[0] / name[1], ignore_errors=True)
    except BusyError:
        return False
    return True
