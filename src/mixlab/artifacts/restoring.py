"""Bring tracked artifacts back: ask first, fetch, put in place, and mend what was damaged on this machine."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mixlab.artifacts.errors import ArtifactError, BusyError
from mixlab.artifacts.history import read_committers
from mixlab.artifacts.pointers import Pointer, read_pointer, write_pointer
from mixlab.artifacts.remote import Depot, open_depot
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import drop_artifact, drop_tombstones

_PATIENCE_SECONDS = 60.0
"""How long the copying of an artifact by another process is waited for: a trainer's lock is held for days."""
_PAUSE_SECONDS = 0.2

CURE = (
    "push them where they were made (`dvc push`), or make them again (`mixlab restore --recompute-missing`), "
    "or drop their pointers (`mixlab forget KEY`)"
)


@dataclass(frozen=True)
class Missing:
    """A tracked artifact whose data cannot be had, and who committed its pointer."""

    stage: str
    key: str
    committer: str

    @property
    def name(self) -> Name:
        """Stage and key."""
        return self.stage, self.key

    def __str__(self) -> str:
        place = f"{self.stage} {self.key}"
        return f"{place}: tracked, but neither cache nor remote has its data; pointer committed by {self.committer}"


def check_fetchable(store: Store, names: Iterable[Name]) -> list[Missing]:
    """List which tracked artifacts cannot be fetched: the cache is asked first, then the remote, in one batch.

    Raises ArtifactError where there is no DVC repository or a pointer cannot be read.
    """
    pointers = [read_pointer(store, name) for name in sorted(set(names))]
    if not pointers:
        return []
    with open_depot(store) as depot:
        return _name_committers(store, depot.list_missing(pointers))


def _name_committers(store: Store, lost: Sequence[Pointer]) -> list[Missing]:
    committers = read_committers(store.root, [one.name for one in lost])
    return [Missing(*one.name, committers[one.name]) for one in lost]


def require_fetchable(store: Store, names: Iterable[Name]) -> None:
    """Raise ArtifactError listing every tracked artifact of `names` that cannot be fetched, with the cures."""
    if missing := check_fetchable(store, names):
        raise build_error(missing)


def check_fetchable_pointers(store: Store, pointers: Sequence[Pointer]) -> None:
    """Raise ArtifactError listing the pointers, from any branch, whose data cannot be had."""
    with open_depot(store) as depot:
        if lost := depot.list_missing(pointers):
            raise build_error(_name_committers(store, lost))


def build_error(missing: Sequence[Missing]) -> ArtifactError:
    """Build the error that lists what cannot be fetched, and the cures."""
    return ArtifactError("\n".join([*map(str, missing), CURE]))


def restore_artifacts(store: Store, names: Iterable[Name]) -> list[Name]:
    """Fetch tracked artifacts and put each in its place, verified; return those that were not here.

    A tombstone of what is here again goes.
    Nothing is fetched when something cannot be had: then ArtifactError lists it with key and committer.
    """
    wanted = [read_pointer(store, name) for name in sorted(set(names)) if not store.is_complete(*name)]
    restored = bring_artifacts(store, wanted)
    drop_tombstones(store, restored)
    return restored


def bring_artifacts(store: Store, pointers: Sequence[Pointer]) -> list[Name]:
    """Fetch what pointers name, from any branch, and put each in its place; nothing that git keeps is changed.

    Raises ArtifactError as `restore_artifacts` does.
    """
    if not pointers:
        return []
    with open_depot(store) as depot:
        if lost := depot.list_missing(pointers):
            raise build_error(_name_committers(store, lost))
        depot.fetch(pointers)
        for pointer in pointers:
            _place(depot, pointer)
    return [pointer.name for pointer in pointers]


def _place(depot: Depot, pointer: Pointer) -> None:
    """Place an artifact; when the cache's copy is damaged, replace it by the remote's, once."""
    try:
        _place_patiently(depot, pointer)
    except BusyError:
        raise
    except ArtifactError:
        damaged = depot.list_damaged(pointer)
        if not damaged:
            raise
        if depot.list_missing([pointer], cached=False):
            raise _hopeless(depot, pointer) from None
        depot.drop(damaged)
        depot.fetch([pointer])
        _place_patiently(depot, pointer)


def _place_patiently(depot: Depot, pointer: Pointer) -> None:
    """Place an artifact, or wait while another process does; raises BusyError when it writes for long."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            depot.place(pointer)
        except BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def repair_artifact(store: Store, name: Name) -> bool:
    """Replace a damaged artifact by its tracked copy; return False when it was removed because it is not tracked.

    A flipped byte is in the cache as well where artifacts are links to it: the cached objects are read, and the
    damaged ones dropped, before anything is fetched. Raises ArtifactError, and removes nothing, when there is no good
    copy.
    """
    if not store.pointer(*name).is_file():
        drop_artifact(store, name)
        return False
    pointer = read_pointer(store, name)
    with open_depot(store) as depot:
        damaged = depot.list_damaged(pointer)
        whole = depot.read_tree(pointer) is not None and not damaged
        if depot.list_missing([pointer], cached=whole):
            raise _hopeless(depot, pointer)
        depot.drop(damaged)
        # what the remote has may be damaged as well: then the artifact stays as it is
        depot.fetch([pointer])
        drop_artifact(store, name)
        depot.place(pointer)
    return True


def _hopeless(depot: Depot, pointer: Pointer) -> ArtifactError:
    stage, key = pointer.name
    place = f"remote '{depot.remote_name}'" if depot.remote_name else "no remote is configured, so nothing else"
    return ArtifactError(
        f"{stage} {key}: damaged here and in the cache, and {place} has no copy; "
        f"`mixlab forget {key}`, then `mixlab verify --repair {key}`, and the next run makes it again"
    )


def adopt_pointers(store: Store, pointers: Sequence[Pointer]) -> list[Name]:
    """Bring what pointers of other branches or of the past name, and write them here; return what was not here.

    The data comes first: a pointer says that an artifact is finished. Raises ArtifactError as `restore_artifacts` does.
    """
    brought = bring_artifacts(store, [one for one in pointers if not store.is_complete(*one.name)])
    for pointer in pointers:
        write_pointer(store, pointer)
    drop_tombstones(store, [pointer.name for pointer in pointers])
    return brought
