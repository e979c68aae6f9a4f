"""Two folders that should hold the same bytes: where they first differ."""

from collections.abc import Iterator
from pathlib import Path

from mixlab.artifacts.manifest import MANIFEST, list_files

_BLOCK_BYTES = 1 << 20


def find_difference(old: Path, new: Path) -> str:
    """Name the first file, in order of path, that only one has or that differs, and its first byte that does.

    Empty when all files are equal; manifests are left out, they follow from the files.
    """
    names = [{path.relative_to(folder).as_posix() for path in list_files(folder)} for folder in (old, new)]
    for name in sorted(names[0] | names[1]):
        if name == MANIFEST:
            continue
        if name not in names[1]:
            return f"{name}: not made again"
        if name not in names[0]:
            return f"{name}: made now, and not there before"
        if told := _compare_files(old / name, new / name):
            return f"{name}: {told}"
    return ""


def _compare_files(old: Path, new: Path) -> str:
    at = 0
    for was, now in _read_both(old, new):
        if was != now:
            least = min(len(was), len(now))
            first = next((number for number in range(least) if was[number] != now[number]), least)
            sizes = old.stat().st_size, new.stat().st_size
            told = "" if sizes[0] == sizes[1] else f" ({sizes[0]} bytes before, {sizes[1]} now)"
            return f"differs from byte {at + first} on{told}"
        at += len(was)
    return ""


def _read_both(old: Path, new: Path) -> Iterator[tuple[bytes, bytes]]:
    with old.open("rb") as one, new.open("rb") as other:
        while True:
            pair = one.read(_BLOCK_BYTES), other.read(_BLOCK_BYTES)
            if pair == (b"", b""):
                return
            yield pair
