"""Put whole artifacts under DVC: their bytes into the cache, a pointer for git."""

from collections.abc import Iterable, Sequence

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.exclusion import hold_repository
from mixlab.artifacts.manifest import check_files, read_manifest
from mixlab.artifacts.pointers import Pointer, read_pointer, write_pointer
from mixlab.artifacts.recompute import read_recompute, write_recompute
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import has_bytes
from mixlab.artifacts.tombstones import drop_tombstones


def list_untracked(store: Store, names: Iterable[Name]) -> list[Name]:
    """List which of `names` are here, whole, and have no pointer, or one whose data was lost.

    What has a tombstone is left out: a copy made before somebody discarded it, here or on a branch merged since. To
    make it anew removes the tombstone, and `mixlab track KEY` takes the copy back.
    """
    return [name for name in list_copies(store, names) if not store.tombstone(*name).is_file()]


def list_copies(store: Store, names: Iterable[Name]) -> list[Name]:
    """List which of `names` are here, whole, and have no pointer or one whose data was lost, discarded or not."""
    lost = read_recompute(store)
    found = (name for name in sorted(set(names)) if store.is_complete(*name))
    return [name for name in found if name in lost or not store.pointer(*name).is_file()]


def track_artifacts(store: Store, names: Sequence[Name], push: bool = False) -> list[Pointer]:
    """Give whole artifacts their pointers, in one batch; with `push` their data is uploaded before a pointer appears.

    Each artifact is first compared with its manifest: damage must not reach the remote. A tombstone of what is here
    again goes. What another process tracked in the meantime is left as it is. Raises ArtifactError, and then writes no
    pointer, when an artifact is damaged or an upload fails.
    """
    if not names:
        return []
    if wrong := [line for name in names for line in _check(store, name)]:
        raise ArtifactError("\n".join([*wrong, "nothing was tracked; `mixlab verify --repair` repairs"]))
    with open_depot(store) as depot, hold_repository(depot.repo):
        made = [depot.commit(name) for name in list_copies(store, names)]
        if push:
            depot.push(made)
        for pointer in made:
            write_pointer(store, pointer)
        drop_tombstones(store, names)
        write_recompute(store, read_recompute(store).difference(names))
    return [read_pointer(store, name) for name in names]


def push_artifacts(store: Store, names: Iterable[Name]) -> int:
    """Upload the data of tracked artifacts that the cache has, or that is here; return the number of objects uploaded.

    A cache may be new, or emptied: what is here with the bytes of its pointer is put into it again.
    """
    pointers = [read_pointer(store, name) for name in names]
    if not pointers:
        return 0
    with open_depot(store) as depot:
        here = [one for one in pointers if store.is_complete(*one.name) and not depot.is_cached(one)]
        lost = [one for one in depot.list_missing(here, cached=False) if has_bytes(store, one)] if here else []
        if lost:
            with hold_repository(depot.repo):
                for pointer in lost:
                    depot.commit(pointer.name)
        return depot.push(one for one in pointers if depot.is_cached(one))


def _check(store: Store, name: Name) -> list[str]:
    folder = store.folder(*name)
    return check_files(folder, read_manifest(folder))
