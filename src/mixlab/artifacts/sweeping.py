"""What a remote keeps that no branch, tag or worktree needs: named by pointers of the past, removed on demand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mixlab.artifacts.branches import list_refs
from mixlab.artifacts.dropping import list_kept
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import list_past, run_git
from mixlab.artifacts.pointers import Pointer
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.store import Store


@dataclass(frozen=True)
class Leftover:
    """Objects on the remote that only pointers of the past name: bytes by object, and the artifacts they belonged to.

    `needed`: objects that stay, because a pointer somewhere names them. `unknown`: objects that no pointer known here
    ever named; they stay as well, their pointer may be in a clone that has pushed its data and not its commits.
    """

    artifacts: tuple[Pointer, ...]
    objects: Mapping[str, int]
    needed: int
    unknown: int
    lost: tuple[Pointer, ...]


def fetch_branches(store: Store) -> None:
    """Let git fetch the branches of every remote of its own, so that what they track is known.

    Raises ArtifactError when one cannot be reached: then nobody knows what its branches need.
    """
    for remote in (run_git(store.root, "remote") or "").split():
        if run_git(store.root, "fetch", "--quiet", remote) is None:
            reason = "what its branches track is not known, so all stays"
            raise ArtifactError(f"git cannot fetch from '{remote}': {reason}; `git fetch {remote}` says why")


def find_leftover(store: Store) -> Leftover:
    """List what the remote has and no pointer of this folder, a branch, a tag, a stash or a worktree names.

    Raises ArtifactError when a pointer cannot be read or git knows no branch at all.
    """
    if not list_refs(store.root):
        raise ArtifactError(f"{store.root}: no git repository, so what branches need is not known, and all stays")
    kept = list_kept(store, set())
    old = {one for found in list_past(store.root).values() for one in found} - set(kept)
    with open_depot(store) as depot:
        there = depot.list_remote()
        depot.bring_trees({one.oid for one in {*kept, *old}} & there)
        lost = tuple(one for one in kept if depot.read_tree(one) is None)
        needed = depot.list_used(kept)
        chosen = (depot.list_used(old) - needed) & there
        sizes = depot.measure_remote(chosen)
    artifacts = tuple(sorted((one for one in old if one.oid in chosen), key=lambda one: (one.name, one.oid)))
    stay = needed & there
    return Leftover(artifacts, sizes, len(stay), len(there - stay - chosen), lost)


def sweep_remote(store: Store, objects: Iterable[str]) -> None:
    """Remove objects from the remote, folders before their files: what is half removed is never taken for whole."""
    with open_depot(store) as depot:
        depot.remove_remote(sorted(objects, key=lambda oid: (not oid.endswith(".dir"), oid)))
