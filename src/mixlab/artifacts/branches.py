"""What every branch and tag tracks, read without a checkout: four processes of git, however many branches."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import TRACKED, GitObject, is_repository, read_objects, run_git
from mixlab.artifacts.keys import KEY_LENGTH
from mixlab.artifacts.pointers import Pointer, parse_pointer
from mixlab.artifacts.states import Name

_SUFFIX = b".dvc"
_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")

Held = dict[Name, dict[Pointer, list[str]]]
"""Artifact -> its pointers -> the branches, remote branches and tags (short names) that have them."""


FETCHED = "refs/mixlab/"
"""Where `mixlab gc --remote` keeps what it fetched: all branches and tags of git's remotes, whatever one follows."""


def list_refs(root: Path, fetched: bool = False) -> dict[str, str]:
    """Map every commit that something names to a short name of it.

    Branches, remote branches, tags, every stash, DVC's experiments, and what each worktree has checked out; with
    `fetched` also what `gc --remote` fetched from git's remotes. A symbolic ref names one of the others. Raises
    ArtifactError where git refuses the repository.
    """
    printed = run_git(root, "for-each-ref", "--format=%(symref)%00%(refname)%00%(refname:short)")
    if printed is None:
        if is_repository(root):
            raise ArtifactError(f"{root}: git cannot list its branches; `git for-each-ref` says why")
        return {}
    listed = [line.split("\0") for line in printed.splitlines() if line]
    # origin/HEAD is symbolic; a branch may well be called fix/HEAD
    refs = {ref: short for target, ref, short in listed if not target}
    refs = {ref: short for ref, short in refs.items() if fetched or not ref.startswith(FETCHED)}
    detached = {tree.partition("HEAD ")[2].split()[0] for tree in _describe_worktrees(root) if "\ndetached" in tree}
    return {**refs, **_list_stashes(root), **{head: f"commit {head[:12]}" for head in sorted(detached)}}


def _list_stashes(root: Path) -> dict[str, str]:
    """Map the commits of every stash to its short name: its files, its index, and what git did not know.

    A ref names the newest stash alone, its reflog the others.
    """
    asked = ("log", "--walk-reflogs", "--format=%H %P", "refs/stash", "--")
    stashes: dict[str, str] = {}
    for number, line in enumerate((run_git(root, *asked) or "").splitlines()):
        commit, _, *parts = line.split()
        stashes |= dict.fromkeys((commit, *parts), f"stash@{{{number}}}" if number else "stash")
    return stashes


def _describe_worktrees(root: Path) -> list[str]:
    return (run_git(root, "worktree", "list", "--porcelain") or "").split("\n\n")


def list_worktrees(root: Path) -> list[Path]:
    """List the folders that stand for `root` in all worktrees of its repository, `root` itself among them."""
    inside = (run_git(root, "rev-parse", "--show-prefix") or "").strip()
    firsts = [tree.splitlines()[0] for tree in _describe_worktrees(root) if tree.startswith("worktree ")]
    return [Path(first.removeprefix("worktree ")) / inside for first in firsts]


def read_branches(root: Path, keys: Iterable[str] | None = None, fetched: bool = False) -> Held:
    """Read the pointers on every branch and tag: all, or those of artifacts whose key begins with one of `keys`.

    A stage's folder that is the same on many branches is read once. `fetched`: as `list_refs` has it.
    """
    held: Held = {}
    for name, blob, places in _read_holders(root, keys, fetched):
        pointer = _parse(name, blob)
        if pointer is not None:
            held.setdefault(name, {})[pointer] = list(dict.fromkeys(places))
    return held


def list_unreadable(root: Path, fetched: bool = False) -> list[Name]:
    """List the artifacts whose pointer on some branch or tag cannot be read: torn, or edited by hand.

    What it names is not known. A foreign .dvc file below tracked/ names no artifact.
    """
    listed = _read_holders(root, None, fetched)
    return sorted({name for name, blob, _ in listed if _KEY.fullmatch(name[1]) and _parse(name, blob) is None})


def _read_holders(
    root: Path, keys: Iterable[str] | None, fetched: bool
) -> list[tuple[Name, GitObject | None, list[str]]]:
    holders = _find_blobs(list_refs(root, fetched), root, None if keys is None else Wanted.sort(keys))
    listed = sorted(holders)
    read = read_objects(root, [oid for _, oid in listed])
    return [(one[0], blob, holders[one]) for one, blob in zip(listed, read, strict=True)]


def _parse(name: Name, blob: GitObject | None) -> Pointer | None:
    try:
        return parse_pointer(*name, blob.data.decode(errors="replace")) if blob else None
    except ArtifactError:
        return None  # torn, edited, or a foreign .dvc file below tracked/, which names no artifact


@dataclass(frozen=True)
class Wanted:
    """Which keys are asked for: whole ones, of which there may be thousands, and the beginnings of others."""

    whole: frozenset[bytes]
    prefixes: tuple[bytes, ...]

    @classmethod
    def sort(cls, keys: Iterable[str]) -> "Wanted":
        """Tell whole keys from beginnings."""
        known = {key.encode() for key in keys}
        whole = frozenset(key for key in known if len(key) == KEY_LENGTH)
        return cls(whole, tuple(sorted(known - whole)))

    def __contains__(self, key: bytes) -> bool:
        return key in self.whole or key.startswith(self.prefixes)


def _find_blobs(refs: dict[str, str], root: Path, wanted: Wanted | None) -> dict[tuple[Name, str], list[str]]:
    """Map artifact and blob of a pointer to those of the refs that have it."""
    folders: dict[str, list[str]] = {}
    for short, tree in zip(refs.values(), read_objects(root, [f"{ref}:./{TRACKED}" for ref in refs]), strict=True):
        if tree is not None and tree.type == "tree":
            for folder, oid in _list_entries(tree):
                folders.setdefault(f"{oid} {os.fsdecode(folder)}", []).append(short)
    holders: dict[tuple[Name, str], list[str]] = {}
    places = sorted(folders)
    for place, tree in zip(places, read_objects(root, [place.split()[0] for place in places]), strict=True):
        if tree is None or tree.type != "tree":
            continue
        stage = place.partition(" ")[2]
        for file, oid in _list_entries(tree):
            key = file.removesuffix(_SUFFIX)
            if key != file and (wanted is None or key in wanted):
                holders.setdefault(((stage, os.fsdecode(key)), oid), []).extend(folders[place])
    return holders


def _list_entries(tree: GitObject) -> Iterator[tuple[bytes, str]]:
    """List name and object of a tree's entries; its bytes are `mode name NUL object` one after another."""
    width = len(tree.oid) // 2
    place = 0
    while place < len(tree.data):
        end = tree.data.index(b"\0", place)
        name = tree.data[place:end].partition(b" ")[2]
        place = end + 1 + width
        yield name, tree.data[end + 1 : place].hex()


def read_texts(root: Path, folder: str) -> dict[str, str]:
    """Map the files of a folder that any branch or tag has to their text; of equal names the first found."""
    trees = read_objects(root, [f"{ref}:./{folder}" for ref in list_refs(root)])
    files = {
        os.fsdecode(file): oid for tree in trees if tree and tree.type == "tree" for file, oid in _list_entries(tree)
    }
    found = zip(files, read_objects(root, list(files.values())), strict=True)
    return {name: blob.data.decode(errors="replace") for name, blob in found if blob is not None}
