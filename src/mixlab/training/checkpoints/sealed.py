"""Folders that are whole or not there: a temporary name, digests of the files, then one rename."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from mixlab.training.engines.engine import Alone, Crew

DIGESTS_FILE = "digests.json"
_PARTIAL = ".partial"


def write_sealed(folder: Path, fill: Callable[[Path], None], crew: Crew | None = None) -> None:
    """Let `fill` of every rank write files of its own into a temporary folder; rename it to `folder`.

    What was in `folder` is replaced, by the one rename. Raises OSError on every rank when one of them could not
    write; the temporary folder is removed then, and `folder` stays as it was.
    """
    crew = crew or Alone()
    partial = folder.with_name(folder.name + _PARTIAL)
    act_together(crew, lambda: _begin(partial) if crew.rank == 0 else {})
    try:
        act_together(crew, lambda: _fill(partial, fill))
        # only now: a file that another rank is still writing has a name of no rank
        shared = act_together(crew, lambda: _digest_own(partial, crew))
        digests = {name: digest for part in shared for name, digest in part.items()}
        act_together(crew, lambda: _seal(partial, folder, digests) if crew.rank == 0 else {})
    except OSError:
        if crew.rank == 0:
            shutil.rmtree(partial, ignore_errors=True)
        raise


def act_together(crew: Crew, act: Callable[[], dict[str, str]]) -> list[dict[str, str]]:
    """Run `act` on every rank and return what each gave, by name; raises the first rank's OSError on all of them."""
    try:
        told: dict[str, object] = {"done": act()}
    except OSError as error:
        if crew.ranks == 1:
            raise
        told = {"errno": error.errno, "text": error.strerror or str(error), "file": str(error.filename or "")}
    answers = [json.loads(answer) for answer in crew.share(json.dumps(told))]
    for rank, answer in enumerate(answers):
        if "errno" in answer:
            raise OSError(answer["errno"], f"{answer['text']} (rank {rank})", answer["file"])
    return [answer["done"] for answer in answers]


def _begin(partial: Path) -> dict[str, str]:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return {}


def _fill(partial: Path, fill: Callable[[Path], None]) -> dict[str, str]:
    fill(partial)
    return {}


def _digest_own(partial: Path, crew: Crew) -> dict[str, str]:
    """Digest what this rank wrote: the files whose names carry its number, or all when it is alone."""
    own = [path for path in list_files(partial) if owner_of(path.name) == crew.rank]
    return {path.relative_to(partial).as_posix(): _digest(path) for path in own}


def name_part(stem: str, rank: int, ranks: int) -> str:
    """`model.safetensors`, or `model.rank-00001-of-00004.safetensors` for rank 0 of 4."""
    return f"{stem}.safetensors" if ranks == 1 else f"{stem}.rank-{rank + 1:05d}-of-{ranks:05d}.safetensors"


def owner_of(name: str) -> int:
    """The rank that writes a file: the one in its name, else the first."""
    match = re.search(r"\.rank-(\d+)-of-\d+\.", name)
    return int(match[1]) - 1 if match else 0


def _seal(partial: Path, folder: Path, digests: dict[str, str]) -> dict[str, str]:
    text = json.dumps(digests, sort_keys=True, indent=2) + "\n"
    (partial / DIGESTS_FILE).write_text(text, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return {}


def list_files(folder: Path) -> list[Path]:
    """Every file of a folder, those of its sub-folders (an adapter) too; sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def find_fault(folder: Path, crew: Crew | None = None) -> str | None:
    """Say what is wrong with a sealed folder, or None when every file is as it was written.

    The ranks of a crew share the reading, and all hear the same answer.
    """
    crew = crew or Alone()
    faults = crew.share(_find_own_fault(folder, crew.rank, crew.ranks) or "")
    return next((fault for fault in faults if fault), None)


def _find_own_fault(folder: Path, rank: int, ranks: int) -> str | None:
    try:
        digests = json.loads((folder / DIGESTS_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        return f"{DIGESTS_FILE} cannot be read ({error})"
    if not isinstance(digests, dict):
        return f"{DIGESTS_FILE} is not a list of digests"
    for name, digest in sorted(digests.items())[rank::ranks]:
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
