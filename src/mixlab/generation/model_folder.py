"""The digest of a model folder: what transformers reads in it, not where it lies."""

import hashlib
from pathlib import Path

from mixlab.artifacts.keys import digest_file
from mixlab.config.problems import DataError


def digest_model_folder(folder: Path) -> str:
    """Return sha256 over the names and digests of a model folder's files; hidden files and *.md decide nothing.

    Raises DataError when `folder` is none, or holds no config.json.
    """
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: no model folder: it has no config.json")
    total = hashlib.sha256()
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name, path in sorted(names.items()):
        if path.suffix.lower() != ".md" and not any(part.startswith(".") for part in Path(name).parts):
            total.update(f"{digest_file(path)[0]}  {name}\n".encode())
    return total.hexdigest()
