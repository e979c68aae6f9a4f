"""Folders that are whole or not there: a temporary name, digests of the files, then one rename."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

DIGESTS_FILE = "digests.json"
_PARTIAL = ".partial"


def write_sealed(folder: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write files into a temporary folder and rename it to `folder`, replacing what was there."""
    partial = folder.with_name(folder.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    digests = {path.relative_to(partial).as_posix(): _digest(path) for path in list_files(partial)}
    (partial / DIGESTS_FILE).write_text(json.dumps(digests, sort_keys=True, indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def list_files(folder: Path) -> list[Path]:
    """Every file of a folder, those of its sub-folders (an adapter) too; sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def find_fault(folder: Path) -> str | None:
    """Say what is wrong with a sealed folder, or None when every file is as it was written."""
    try:
        digests = json.loads((folder / DIGESTS_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        return f"{DIGESTS_FILE} cannot be read ({error})"
    if not isinstance(digests, dict):
        return f"{DIGESTS_FILE} is not a list of digests"
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if _digest(path) != digest:
            return f"{name} has changed since it was written"
    return None


def remove_partial(folder: Path) -> None:
    """Remove what a killed `write_sealed` left in `folder`."""
    for path in sorted(folder.glob(f"*{_PARTIAL}")):
        shutil.rmtree(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
