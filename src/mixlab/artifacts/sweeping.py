"""What a remote keeps that no branch, tag or worktree needs: named by pointers of the past, removed on demand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mixlab.artifacts.branches import FETCHED, list_refs
from mixlab.artifacts.dropping import list_kept
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import is_shallow, list_past, run_git
from mixlab.artifacts.pointers import Pointer
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.store import Store

_KINDS = ("heads", "tags", "exps")
"""What of a git remote counts: branches, tags, and experiments that `dvc exp push` brought."""


@dataclass(frozen=True)
class Leftover:
    """Objects on the remote that only pointers of the past name: bytes by object, and the artifacts they belonged to.

    Nothing of it is a guess: where somebody's pointers may be unknown, there is an error instead.
    `needed`: objects that stay, because a pointer somewhere names them. `unknown`: objects that no pointer known here
    ever named; they stay as well, their pointer may be in a clone that has pushed its data and not its commits.
    """

    artifacts: tuple[Pointer, ...]
    objects: Mapping[str, int]
    needed: int
    unknown: int


def fetch_branches(store: Store, alone: bool) -> None:
    """Let git fetch every branch, tag and experiment of every remote of its own, whichever of them this clone follows.

    They go to refs of their own, so that no branch of the user's moves. `alone`: nobody else uses the DVC remote, so
    that a repository without a git remote knows all pointers. Raises ArtifactError when a remote cannot be reached,
    history is cut off, or nobody said `alone`: then nobody knows what the branches of others need.
    """
    if not list_refs(store.root):
        raise ArtifactError(f"{store.root}: no git repository, so what branches need is not known, and all stays")
    if is_shallow(store.root):
        raise ArtifactError("this clone's history is cut off, so all stays; `git fetch --unshallow` brings it")
    remotes = (run_git(store.root, "remote") or "").split()
    if not remotes and not alone:
        raise ArtifactError(
            "this repository has no git remote, so what others track is not known, and all stays; "
            "`git remote add NAME URL`, or --alone where nobody else uses the DVC remote"
        )
    for remote in remotes:
        wanted = [f"+refs/{kind}/*:{FETCHED}{remote}/{kind}/*" for kind in _KINDS]
        if run_git(store.root, "fetch", "--quiet", "--prune", "--no-tags", remote, *wanted) is None:
            reason = "what its branches track is not known, so all stays"
            raise ArtifactError(f"git cannot fetch from '{remote}': {reason}; `git fetch {remote}` says why")


def find_leftover(store: Store) -> Leftover:
    """List what the remote has and no pointer of this folder, a branch, a tag, a stash or a worktree names.

    Raises ArtifactError when a pointer cannot be read, or the list of files of an artifact that is tracked somewhere
    is neither on the remote nor here: nobody knows which objects it needs.
    """
    kept = list_kept(store)
    old = {one for found in list_past(store.root).values() for one in found} - set(kept)
    with open_depot(store) as depot:
        there = depot.list_remote()
        depot.bring_trees({one.oid for one in {*kept, *old}} & there)
        if lost := [one for one in kept if depot.read_tree(one) is None]:
            raise _explain(lost)
        needed = depot.list_used(kept)
        chosen = (depot.list_used(old) - needed) & there
        sizes = depot.measure_remote(chosen)
    artifacts = tuple(sorted((one for one in old if one.oid in chosen), key=lambda one: (one.name, one.oid)))
    stay = needed & there
    return Leftover(artifacts, sizes, len(stay), len(there - stay - chosen))


def _explain(lost: Iterable[Pointer]) -> ArtifactError:
    lines = [f"{one.stage} {one.key}: tracked, but its list of files is neither on the remote nor here" for one in lost]
    cure = "`mixlab track KEY --push` where they were made, or `mixlab forget KEY` on each branch that tracks them"
    return ArtifactError("\n".join([*lines, f"nobody knows which objects these need, so all stays; {cure}"]))


def sweep_remote(store: Store, objects: Iterable[str]) -> None:
    """Remove objects from the remote, folders before their files: what is half removed is never taken for whole."""
    with open_depot(store) as depot:
        depot.remove_remote(sorted(objects, key=lambda oid: (not oid.endswith(".dir"), oid)))
