"""Put whole artifacts under DVC: their bytes into the cache, a pointer for git."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.manifest import check_files, read_manifest
from mixlab.artifacts.pointers import Pointer, read_pointer
from mixlab.artifacts.recompute import read_recompute, write_recompute
from mixlab.artifacts.remote import Depot, open_depot
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import drop_tombstones


def list_untracked(store: Store, names: Iterable[Name]) -> list[Name]:
    """List which of `names` are here, whole, and have no pointer, or one whose data was lost."""
    lost = read_recompute(store)
    found = (name for name in sorted(set(names)) if store.is_complete(*name))
    return [name for name in found if name in lost or not store.pointer(*name).is_file()]


def track_artifacts(store: Store, names: Sequence[Name], push: bool = False) -> list[Pointer]:
    """Give whole artifacts their pointers, in one batch; with `push` their data is uploaded before a pointer appears.

    Each artifact is first compared with its manifest: damage must not reach the remote. A tombstone of what is here
    again goes. Raises ArtifactError, and then writes no pointer, when an artifact is damaged or an upload fails.
    """
    if not names:
        return []
    if wrong := [line for name in names for line in _check(store, name)]:
        raise ArtifactError("\n".join([*wrong, "nothing was tracked; `mixlab verify --repair` repairs"]))
    from dvc.repo import lock_repo

    with open_depot(store) as depot, lock_repo(depot.repo):
        stages = [_commit(depot, name) for name in names]
        if push:
            depot.push(_describe(name, stage) for name, stage in zip(names, stages, strict=True))
        for stage in stages:
            stage.dump()
    drop_tombstones(store, names)
    write_recompute(store, read_recompute(store).difference(names))
    return [read_pointer(store, name) for name in names]


def push_artifacts(store: Store, names: Iterable[Name]) -> int:
    """Upload the data of tracked artifacts that the cache has; return the number of objects uploaded."""
    pointers = [read_pointer(store, name) for name in names]
    if not pointers:
        return 0
    with open_depot(store) as depot:
        return depot.push(one for one in pointers if depot.read_tree(one) is not None)


def _check(store: Store, name: Name) -> list[str]:
    folder = store.folder(*name)
    return check_files(folder, read_manifest(folder))


def _commit(depot: Depot, name: Name) -> Any:
    """Make DVC's stage of one artifact and put its bytes into the cache, linked where the cache type says so."""
    stage, key = name
    pointer: Path = depot.store.pointer(stage, key)
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    made = depot.repo.stage.create(
        single_stage=True,
        validate=False,
        fname=str(pointer),
        wdir=str(depot.store.folder(stage, key).parent),
        outs=[key],
    )
    made.save()
    made.commit()
    return made


def _describe(name: Name, stage: Any) -> Pointer:
    (out,) = stage.outs
    return Pointer(*name, out.hash_info.value, out.meta.size, out.meta.nfiles)
