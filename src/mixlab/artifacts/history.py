"""What git knows of pointers: who committed one, which ones any branch or tag has, and where a lost one was."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.pointers import Pointer, parse_pointer
from mixlab.artifacts.states import Name

TRACKED = "tracked"
_NOT_COMMITTED = "nobody yet"


def is_repository(root: Path) -> bool:
    """Whether the working folder belongs to a git repository with at least one commit or none yet."""
    return _run(root, "rev-parse", "--git-dir") is not None


def _run_bytes(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Run git below `root` and return what it prints, or None when it fails or is not installed."""
    command = ["git", "-C", str(root), "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _run(root: Path, *arguments: str) -> str | None:
    printed = _run_bytes(root, *arguments)
    return None if printed is None else printed.decode(errors="replace")


def _to_name(path: str) -> Name:
    stage, _, file = path.rpartition("/")
    return stage.rpartition("/")[2], file.removesuffix(".dvc")


def read_committers(root: Path, names: Iterable[Name]) -> dict[Name, str]:
    """Map each artifact to who committed its pointer last and in which commit, on the current branch."""
    wanted = dict.fromkeys(names, _NOT_COMMITTED)
    if not wanted:
        return {}
    paths = [f"{TRACKED}/{stage}/{key}.dvc" for stage, key in wanted]
    printed = _run(root, "log", "--format=%x00%cn, commit %h", "--name-only", "--", *_shorten(paths)) or ""
    for block in printed.split("\0")[1:]:
        committer, _, files = block.partition("\n")
        for path in files.split():
            if wanted.get(_to_name(path)) == _NOT_COMMITTED:
                wanted[_to_name(path)] = committer
    return wanted


def _shorten(paths: list[str], most: int = 1000) -> list[str]:
    """A command line has an end: beyond `most` paths, ask for the whole folder."""
    return paths if len(paths) <= most else [TRACKED]


def list_uncommitted(root: Path, places: Iterable[str]) -> list[str]:
    """List the files below some places that git does not have as they are: new, changed or removed."""
    printed = _run(root, "status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", *places) or ""
    return sorted(line[3:] for line in printed.split("\0") if line)


def stage_files(root: Path, places: Iterable[str]) -> None:
    """Tell git of all that is new, changed or removed below some places; raises ArtifactError when it refuses."""
    there = [place for place in places if (root / place).exists()]
    if there and _run(root, "add", "--all", "--", *there) is None:
        raise ArtifactError(f"git add {' '.join(there)} failed in {root}; run it by hand and see")


def find_pointer(root: Path, key: str) -> tuple[str, str] | None:
    """Find the newest pointer to `key` on any branch or tag; return its stage and text, or None."""
    place = f":(glob){TRACKED}/*/{key}.dvc"
    printed = _run(root, "log", "--all", "--diff-filter=AM", "-1", "--format=%H", "--name-only", "--", place) or ""
    commit, *paths = printed.split()[:2] or [""]
    if not paths:
        return None
    stage, _ = _to_name(paths[0])
    text = _run(root, "show", f"{commit}:./{TRACKED}/{stage}/{key}.dvc")
    return (stage, text) if text is not None else None


def list_reachable(root: Path) -> dict[Name, set[Pointer]]:
    """Map each artifact to its pointers on any branch, remote branch or tag, read without a checkout."""
    refs = (_run(root, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes", "refs/tags") or "").split()
    return _read_trees(root, [*refs, "HEAD"])


def list_past(root: Path) -> dict[Name, set[Pointer]]:
    """Map each artifact to every pointer it ever had in any commit that git still knows."""
    printed = _run(root, "log", "--all", "--diff-filter=AM", "--raw", "--no-abbrev", "--format=", "--", TRACKED) or ""
    rows = (line.split() for line in printed.splitlines() if line.startswith(":"))
    return _read_blobs(root, {(row[3], row[5]) for row in rows if row[5].endswith(".dvc")})


def _read_trees(root: Path, refs: Iterable[str]) -> dict[Name, set[Pointer]]:
    trees = (_run(root, "rev-parse", "--verify", "--quiet", f"{ref}:./{TRACKED}") for ref in refs)
    blobs: set[tuple[str, str]] = set()
    for tree in sorted({tree.strip() for tree in trees if tree}):
        for line in (_run(root, "ls-tree", "-r", "--full-tree", tree) or "").splitlines():
            about, _, path = line.partition("\t")
            if path.endswith(".dvc"):
                blobs.add((about.split()[2], path))
    return _read_blobs(root, blobs)


def _read_blobs(root: Path, blobs: Iterable[tuple[str, str]]) -> dict[Name, set[Pointer]]:
    """Read many pointers by their blob and path, in one process."""
    found: dict[Name, set[Pointer]] = {}
    listed = sorted(blobs)
    printed = _run_bytes(root, "cat-file", "--batch", given="".join(f"{blob}\n" for blob, _ in listed).encode())
    rest = printed or b""
    for _, path in listed:
        head, _, rest = rest.partition(b"\n")
        about = head.split()
        if len(about) != 3:
            continue  # a blob that a partial clone left behind
        size = int(about[2])
        text, rest = rest[:size].decode(errors="replace"), rest[size + 1 :]
        name = _to_name(path)
        try:
            found.setdefault(name, set()).add(parse_pointer(*name, text))
        except ArtifactError:
            continue  # a foreign .dvc file below tracked/ names no artifact
    return {name: pointers for name, pointers in found.items() if pointers}
