"""What a merge of git leaves of pointers, tombstones and derived files, and the driver that saves it the conflicts."""

import shlex
import stat
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.branches import Held
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import TRACKED, read_objects, run_git
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.pointers import Pointer, list_pointers, parse_pointer, read_pointer
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import drop_tombstones

DISCARDED = "discarded"
OURS, THEIRS = "ours", "theirs"

DRIVER = {"merge.mixlab.name": "files that mixlab derives from studies and pointers", "merge.mixlab.driver": "true"}
"""Settings of git. The driver takes our side without a conflict; the hook below rewrites the files right afterwards."""
HOOK = "post-merge"
_MARK = "# mixlab merge --install"
_SCRIPT = """\
#!/bin/sh
{mark}: derived files follow what was merged, in the merge's own commit
# nothing to do after a fast-forward, nor after --squash
[ "$1" = 0 ] && git rev-parse --quiet --verify HEAD^2 > /dev/null || exit 0
git reflog -1 --format=%gs | grep -q Fast-forward && exit 0
cd {folder} || exit 1
{command}
code=$?
git diff --cached --quiet && exit $code
# git still counts itself in the merge here, so that `git commit --amend` is refused
sign=
[ "$(git config --bool commit.gpgsign)" = true ] && sign=-S
parents=$(git show -s --format=%P HEAD | sed 's/[^ ][^ ]*/-p &/g')
merged=$(git show -s --format=%B HEAD | git commit-tree $sign $parents "$(git write-tree)") || exit 1
git update-ref -m "mixlab merge: derived files" HEAD "$merged" || exit 1
exit $code
"""


@dataclass(frozen=True)
class Unmerged:
    """A path that git could not merge, and the blobs of both sides; an empty one where a side has no such file."""

    path: str
    ours: str
    theirs: str


def list_unmerged(root: Path) -> list[Unmerged]:
    """List what git could not merge below the working folder; nothing outside of a merge."""
    sides: dict[str, dict[str, str]] = {}
    for entry in (run_git(root, "ls-files", "--unmerged", "-z") or "").split("\0"):
        about, _, path = entry.partition("\t")
        if path:
            _, blob, number = about.split()
            sides.setdefault(path, {})[number] = blob
    return [Unmerged(path, blobs.get("2", ""), blobs.get("3", "")) for path, blobs in sorted(sides.items())]


def settle_pointers(store: Store, unmerged: Sequence[Unmerged]) -> tuple[list[Name], Held]:
    """Settle what needs no choice, and return it beside the artifacts of which both sides track other bytes.

    What one side tracks anew and the other dropped stays tracked; of two tombstones ours stays. Pointers that need a
    choice stand here as ours. Raises ArtifactError for what is no pointer.
    """
    settled: list[Name] = []
    held: Held = {}
    for one in unmerged:
        stage, file = Path(one.path).parts[-2:]
        name = (stage, Path(file).stem)
        texts = _read_sides(store.root, one)
        sides: dict[Pointer, list[str]] = {}
        for side, text in texts.items() if one.path.startswith(f"{TRACKED}/") else ():
            sides.setdefault(parse_pointer(*name, text), []).append(side)
        _write(store.root / one.path, next(iter(texts.values())))
        if len(sides) > 1:
            held[name] = sides
        else:
            settled.append(name)
            stage_files(store.root, [one.path])
    return settled, held


def find_strays(store: Store) -> list[Name]:
    """Find what is here with other bytes than its pointer names since git brought another pointer: by a merge, a pull.

    Compares manifests: the pointer's is read from cache or remote, and what neither has is passed over.
    """
    changed = _list_changed(store.root, "HEAD") | _list_changed(store.root, "ORIG_HEAD", "HEAD")
    names = sorted((Path(path).parts[-2], Path(path).stem) for path in changed if path.endswith(".dvc"))
    names = [name for name in names if store.pointer(*name).is_file() and store.is_complete(*name)]
    if not names:
        return []
    with open_depot(store) as depot:
        wanted = {name: depot.read_manifest(read_pointer(store, name)) for name in names}
    return [name for name, one in wanted.items() if one is not None and read_manifest(store.folder(*name)) != one]


def _list_changed(root: Path, *revisions: str) -> set[str]:
    printed = run_git(root, "diff", "--name-only", "--relative", "--no-renames", "-z", *revisions, "--", TRACKED)
    return {path for path in (printed or "").split("\0") if path}


def _read_sides(root: Path, one: Unmerged) -> dict[str, str]:
    blobs = {side: blob for side, blob in ((OURS, one.ours), (THEIRS, one.theirs)) if blob}
    read = zip(blobs, read_objects(root, list(blobs.values())), strict=True)
    return {side: found.data.decode(errors="replace") for side, found in read if found is not None}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def revive_tracked(store: Store) -> list[Name]:
    """Remove the tombstones of what is tracked: one side discarded its copy, the other has one and needs it."""
    dropped = drop_tombstones(store, [name for name in list_pointers(store) if store.tombstone(*name).is_file()])
    stage_files(store.root, [store.tombstone(*name).relative_to(store.root).as_posix() for name in dropped])
    return dropped


def stage_files(root: Path, paths: Iterable[str]) -> None:
    """Tell git about files or folders as they are now, removed ones too; raises ArtifactError when it refuses."""
    listed = sorted(path for path in set(paths) if (root / path).exists() or run_git(root, "ls-files", "--", path))
    for start in range(0, len(listed), 500):
        if run_git(root, "add", "--all", "--", *listed[start : start + 500]) is None:
            raise ArtifactError(f"{root}: git does not take {listed[start]}; `git add` says why")


def install_driver(root: Path) -> Path:
    """Name the merge driver to git and put the hook in its place; return the hook.

    Raises ArtifactError where there is no git repository, or another hook already.
    """
    place = run_git(root, "rev-parse", "--git-path", f"hooks/{HOOK}")
    if place is None:
        raise ArtifactError(f"{root}: no git repository; run `git init` in it")
    hook = root / place.strip()
    command = f"{shlex.quote(sys.executable)} -m mixlab.cli merge"
    if hook.is_file() and _MARK not in hook.read_text(encoding="utf-8"):
        raise ArtifactError(f"{hook}: another hook is there; add the line `{command}` to it")
    for name, value in DRIVER.items():
        subprocess.run(["git", "-C", str(root), "config", name, value], check=True)
    hook.parent.mkdir(parents=True, exist_ok=True)
    inside = (run_git(root, "rev-parse", "--show-prefix") or "").strip() or "."
    hook.write_text(_SCRIPT.format(mark=_MARK, folder=shlex.quote(inside), command=command), encoding="utf-8")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return hook
