"""Drop data on purpose: from the artifacts, from the cache, never from a remote."""

from collections.abc import Iterable, Sequence

from mixlab.artifacts.branches import list_unreadable, list_worktrees, read_branches
from mixlab.artifacts.history import list_past
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.pointers import Pointer, drop_pointers, list_pointers, read_pointer
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.recompute import read_recompute, write_recompute
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import read_digest
from mixlab.artifacts.tombstones import Tombstone, drop_artifact, write_tombstone


def list_unpushed(store: Store, names: Iterable[Name]) -> list[Name]:
    """List which of `names` no remote has whole: those without a pointer, and those whose objects it lacks."""
    tracked = {name: read_pointer(store, name) for name in names if store.pointer(*name).is_file()}
    only = [name for name in names if name not in tracked]
    if tracked:
        with open_depot(store) as depot:
            only += [one.name for one in depot.list_missing(tracked.values(), cached=False)]
    return sorted(only)


def discard_artifacts(store: Store, names: Sequence[Name], reason: str) -> list[Tombstone]:
    """Leave tombstones and drop pointers, artifacts and their share of the cache, in that order.

    Killed in between, an artifact is still finished: by its tombstone, or because it is still here.
    """
    tombstones = describe_dropped(store, names, reason)
    pointers = [read_pointer(store, name) for name in names if store.pointer(*name).is_file()]
    for tombstone in tombstones:
        write_tombstone(store, tombstone)
    drop_pointers(store, names)
    for name in names:
        drop_artifact(store, name)
    drop_cached(store, pointers)
    write_recompute(store, read_recompute(store).difference(names))
    return tombstones


def describe_dropped(store: Store, names: Sequence[Name], reason: str) -> list[Tombstone]:
    """Describe artifacts for their tombstones: by the manifest, here or of the bytes that the pointer names.

    Where neither cache nor remote has it, by provenance.
    """
    known = {name: read_manifest(store.folder(*name)) for name in names if store.is_complete(*name)}
    absent = [read_pointer(store, name) for name in names if name not in known]
    if absent:
        with open_depot(store) as depot:
            found = {one.name: depot.read_manifest(one) for one in absent}
        known |= {name: manifest for name, manifest in found.items() if manifest is not None}
    lost = {one.name: Tombstone(*one.name, find_digest(store, one.name), one.bytes, reason) for one in absent}
    return [
        Tombstone(*name, known[name].digest, known[name].bytes, reason) if name in known else lost[name]
        for name in names
    ]


def find_digest(store: Store, name: Name) -> str:
    """Find the digest of what is tracked and not here: by the cache, else by provenance where that knows but one.

    Empty where neither says: an artifact that was made twice may be either.
    """
    known = read_digest(store, read_pointer(store, name)) if store.pointer(*name).is_file() else ""
    made = {str(one.get("digest", "")) for one in read_provenance(store, *name) if "error" not in one}
    return known or (made.pop() if len(made) == 1 else "")


def drop_cached(store: Store, pointers: Sequence[Pointer]) -> int:
    """Remove the artifacts' objects from the cache, but for those that another pointer needs; return the bytes freed.

    Other pointers are those of this folder, of every branch and of every tag, those to other bytes of one of these
    artifacts among them.
    """
    if not pointers:
        return 0
    gone = {one.oid for one in pointers}
    kept = [one for one in list_kept(store) if one.oid not in gone]
    with open_depot(store) as depot:
        return depot.drop(depot.list_used(pointers) - depot.list_used(kept))


def list_kept(store: Store) -> list[Pointer]:
    """List the pointers of this folder, of every other worktree, and of every branch and tag.

    Raises ArtifactError for a pointer here that cannot be read: nobody knows what it needs. For one on a branch all
    count that its artifact ever had: a tag cannot be mended.
    """
    held = read_branches(store.root, fetched=True)
    kept = {one for found in held.values() for one in found}
    unreadable = list_unreadable(store.root, fetched=True)
    past = list_past(store.root) if unreadable else {}
    kept.update(one for name in unreadable for one in past.get(name, ()))
    for place in (store, *map(Store, list_worktrees(store.root))):
        kept.update(read_pointer(place, name) for name in list_pointers(place))
    return sorted(kept, key=lambda one: (one.name, one.oid))
