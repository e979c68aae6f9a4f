"""What a merge of git leaves of pointers, tombstones and derived files."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.branches import Held
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import TRACKED, read_objects, run_git
from mixlab.artifacts.pointers import Pointer, list_pointers, parse_pointer
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import drop_tombstones

DISCARDED = "discarded"
OURS, THEIRS = "ours", "theirs"
_OWN_PATH = re.compile(r"^  path: *'?([0-9a-f]+)'? *$", re.MULTILINE)


@dataclass(frozen=True)
class Unmerged:
    """A path that git could not merge, and the blobs of both sides; an empty one where a side has no such file."""

    path: str
    ours: str
    theirs: str


def list_unmerged(root: Path) -> list[Unmerged]:
    """List what git could not merge below the working folder; nothing outside of a merge.

    Raises ArtifactError where git cannot say.
    """
    printed = run_git(root, "ls-files", "--unmerged", "-z")
    if printed is None:
        raise ArtifactError(f"{root}: git cannot read its index; `git status` says why")
    sides: dict[str, dict[str, str]] = {}
    for entry in printed.split("\0"):
        about, _, path = entry.partition("\t")
        if path:
            _, blob, number = about.split()
            sides.setdefault(path, {})[number] = blob
    return [Unmerged(path, blobs.get("2", ""), blobs.get("3", "")) for path, blobs in sorted(sides.items())]


def settle_pointers(store: Store, unmerged: Sequence[Unmerged]) -> tuple[list[Name], Held]:
    """Settle what needs no choice, and return it beside the artifacts of which both sides track other bytes.

    What one side tracks anew and the other dropped stays tracked; of two tombstones ours stays. What neither side has
    is removed. Where git took one pointer for another renamed, each counts for the artifact that it names. Pointers
    that need a choice stand here as ours. Raises ArtifactError for what is no pointer.
    """
    settled: list[Name] = []
    paths: list[str] = []
    held: Held = {}
    for path, texts in _sort_by_path(store.root, unmerged).items():
        stage, file = Path(path).parts[-2:]
        name = (stage, Path(file).stem)
        sides: dict[Pointer, list[str]] = {}
        for side, text in texts.items() if path.startswith(f"{TRACKED}/") else ():
            sides.setdefault(parse_pointer(*name, text), []).append(side)
        if texts:
            _write(store.root / path, next(iter(texts.values())))
        else:
            (store.root / path).unlink(missing_ok=True)
        if len(sides) > 1:
            held[name] = sides
        else:
            settled.append(name)
            paths.append(path)
    # at once: of a pointer that git took for another renamed, the index has the only trace until both are settled
    stage_files(store.root, paths)
    return settled, held


def _sort_by_path(root: Path, unmerged: Sequence[Unmerged]) -> dict[str, dict[str, str]]:
    """Map each path that git could not merge, and each that its pointers name, to the texts of the sides."""
    sorted_texts: dict[str, dict[str, str]] = {one.path: {} for one in unmerged}
    for one in unmerged:
        for side, text in _read_sides(root, one).items():
            named = _OWN_PATH.search(text) if one.path.startswith(f"{TRACKED}/") else None
            path = f"{TRACKED}/{Path(one.path).parts[-2]}/{named[1]}.dvc" if named else one.path
            sorted_texts.setdefault(path, {})[side] = text
    return {path: dict(sorted(texts.items())) for path, texts in sorted_texts.items()}


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
    there = {path for path in set(paths) if (root / path).exists()}
    lacking = sorted(set(paths) - there)
    starts = range(0, len(lacking), 1000)
    gone = [run_git(root, "ls-files", "-z", "--", *lacking[start : start + 1000]) or "" for start in starts]
    listed = sorted(there | {path for found in gone for path in found.split("\0") if path})
    asked = ("add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul")
    if listed and run_git(root, *asked, given="\0".join(listed)) is None:
        raise ArtifactError(f"{root}: git does not take {listed[0]}; `git add` says why")
