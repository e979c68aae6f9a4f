"""What git knows of pointers: who committed one, which ones any branch or tag has, and where a lost one was."""

import os
import subprocess
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.pointers import Pointer, parse_pointer
from mixlab.artifacts.states import Name

TRACKED = "tracked"
EVERYWHERE = ("--all", "--full-history")
"""All branches and tags; without the second, git passes over a side branch whose pointers the merge dropped."""
_CHANGED = ("-c", "--no-renames", "--diff-filter=AM")
"""What commits brought or changed, merges too where that is on no side; a pointer is never another one renamed."""
_NOT_COMMITTED = "nobody yet"


def is_repository(root: Path) -> bool:
    """Whether the working folder belongs to a git repository with at least one commit or none yet.

    Raises ArtifactError where there is one and git refuses it, as it does one that another user owns: what its branches
    track is not known then.
    """
    command = ["git", "-C", str(root), "rev-parse", "--git-dir"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        return False
    said = " ".join(done.stderr.split())
    if done.returncode and "not a git repository" not in said:
        raise ArtifactError(f"{root}: git refuses this repository: {said.removeprefix('fatal: ')}")
    return not done.returncode


def _run_bytes(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Run git below `root` and return what it prints, or None when it fails or is not installed."""
    command = ["git", "-C", str(root), "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def run_git(root: Path, *arguments: str, given: str = "") -> str | None:
    """Run git below `root` and return what it prints as text, or None when it fails or is not installed."""
    printed = _run_bytes(root, *arguments, given=given.encode())
    return None if printed is None else printed.decode(errors="replace")


def is_shallow(root: Path) -> bool:
    """Whether a clone's history is cut off (`git clone --depth`), or git cannot say."""
    return (run_git(root, "rev-parse", "--is-shallow-repository") or "").strip() != "false"


def render_fetch(root: Path) -> str:
    """Render the command that brings all branches with their history: a clone may follow one branch, or be shallow."""
    steps = []
    for remote in (run_git(root, "remote") or "").split():
        followed = (run_git(root, "config", "--get-all", f"remote.{remote}.fetch") or "").splitlines()
        if not any(one.removeprefix("+").startswith(("refs/heads/*:", "refs/*:")) for one in followed):
            steps.append(f"git remote set-branches {remote} '*'")
    return " && ".join([*steps, f"git fetch {'--unshallow' if is_shallow(root) else '--all'}"])


@dataclass(frozen=True)
class GitObject:
    """An object of git: its name, its type (blob, tree, commit) and its bytes."""

    oid: str
    type: str
    data: bytes


def read_objects(root: Path, names: Sequence[str]) -> list[GitObject | None]:
    """Read many objects (`blob`, `ref:./path`) in one process, in their order; None for what is not there.

    Raises ArtifactError when git fails: what branches track is not taken for nothing then.
    """
    if not names:
        return []
    printed = _run_bytes(root, "cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode())
    if printed is None:
        raise ArtifactError(f"{root}: git cannot read its objects; `git fsck` says why")
    found: list[GitObject | None] = []
    place = 0
    for _ in names:
        end = printed.find(b"\n", place)
        about = printed[place:end].split() if end >= 0 else []
        place = end + 1
        if len(about) != 3 or not about[2].isdigit():
            found.append(None)
            continue
        size = int(about[2])
        found.append(GitObject(about[0].decode(), about[1].decode(), printed[place : place + size]))
        place += size + 1
    return found


def _to_name(path: str) -> Name:
    stage, _, file = path.rpartition("/")
    return stage.rpartition("/")[2], file.removesuffix(".dvc")


def read_committers(root: Path, names: Iterable[Name]) -> dict[Name, str]:
    """Map each artifact to who committed its pointer last and in which commit, on the current branch or, failing that,
    on any other.
    """
    wanted = dict.fromkeys(names, _NOT_COMMITTED)
    for where in ((), EVERYWHERE):
        left = [name for name, committer in wanted.items() if committer == _NOT_COMMITTED]
        paths = _shorten([f"{TRACKED}/{stage}/{key}.dvc" for stage, key in left])
        asked = ("log", *where, *_CHANGED, "--format=%x00%cn, commit %h", "--name-only")
        printed = (run_git(root, *asked, "--", *paths) or "") if left else ""
        for block in printed.split("\0")[1:]:
            committer, _, files = block.partition("\n")
            for path in files.split():
                if wanted.get(_to_name(path)) == _NOT_COMMITTED:
                    wanted[_to_name(path)] = committer
    return wanted


def list_additions(root: Path, stage: str, names: Set[Name]) -> dict[str, list[Name]]:
    """Map the commits that brought pointers of a stage to those of `names` among them, newest commit first.

    Each pointer stands once, at the newest commit of any branch or tag that added it.
    """
    if not names:
        return {}
    asked = ("log", *EVERYWHERE, "--date-order", "-c", "--no-renames", "--diff-filter=A", "--relative", "--name-only")
    added: dict[str, list[Name]] = {}
    left = set(names)
    for block in (run_git(root, *asked, "--format=%x00%H", "--", f"{TRACKED}/{stage}") or "").split("\0")[1:]:
        commit, _, files = block.partition("\n")
        found = sorted({_to_name(path) for path in files.splitlines() if path} & left)
        left.difference_update(found)
        if found:
            added[commit] = found
    return added


def _shorten(paths: list[str], most: int = 1000) -> list[str]:
    """A command line has an end: beyond `most` paths, ask for the whole folder."""
    return paths if len(paths) <= most else [TRACKED]


def list_uncommitted(root: Path, places: Iterable[str]) -> list[str]:
    """List the files below some places that git does not have as they are: new, changed or removed."""
    printed = run_git(root, "status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", *places) or ""
    # with -z paths begin at the top of the repository, wherever git runs
    inside = (run_git(root, "rev-parse", "--show-prefix") or "").strip("\n") if printed else ""
    return sorted(line[3:].removeprefix(inside) for line in printed.split("\0") if line)


def stage_files(root: Path, places: Iterable[str]) -> None:
    """Tell git of all that is new, changed or removed below some places; raises ArtifactError when it refuses."""
    there = [place for place in places if (root / place).exists()]
    if there and run_git(root, "add", "--all", "--", *there) is None:
        raise ArtifactError(f"git add {' '.join(there)} failed in {root}; run it by hand and see")


def list_past(root: Path) -> dict[Name, set[Pointer]]:
    """Map each artifact to every pointer it ever had in any commit that git still knows."""
    return _read_blobs(root, set(_list_blobs(root, TRACKED)))


def find_past(root: Path, key: str) -> list[Pointer]:
    """List the pointers that artifacts whose key begins with `key` ever had on any branch, newest first."""
    read = (_read_blobs(root, [blob]) for blob in dict.fromkeys(_list_blobs(root, f":(glob){TRACKED}/*/{key}*.dvc")))
    return [pointer for found in read for pointers in found.values() for pointer in pointers]


def _list_blobs(root: Path, place: str) -> list[tuple[str, str]]:
    """List blob and path of all pointers that any commit brought or changed, newest first."""
    asked = ("log", *EVERYWHERE, *_CHANGED, "--raw", "--no-abbrev", "--format=", "--", place)
    rows = (line.partition("\t") for line in (run_git(root, *asked) or "").splitlines() if line.startswith(":"))
    # of a merge there are modes and blobs of each parent; its own blob is the last before the letters
    return [(about.split()[-2], path) for about, _, path in rows if path.endswith(".dvc")]


def _read_blobs(root: Path, blobs: Iterable[tuple[str, str]]) -> dict[Name, set[Pointer]]:
    """Read many pointers by their blob and path, in one process."""
    found: dict[Name, set[Pointer]] = {}
    listed = sorted(blobs)
    for (_, path), read in zip(listed, read_objects(root, [blob for blob, _ in listed]), strict=True):
        if read is None:
            continue  # a blob that a partial clone left behind
        name = _to_name(path)
        try:
            found.setdefault(name, set()).add(parse_pointer(*name, read.data.decode(errors="replace")))
        except ArtifactError:
            continue  # a foreign .dvc file below tracked/ names no artifact
    return {name: pointers for name, pointers in found.items() if pointers}
