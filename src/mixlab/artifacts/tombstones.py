"""Tombstones: data dropped on purpose, and the one way in which an artifact's folder disappears."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.locks import hold_lock
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store, write_json

DROPPED = "dropped"


@dataclass(frozen=True)
class Tombstone:
    """What was dropped: stage, key, digest of the bytes, their number, and why.

    An artifact that is here is complete whatever its tombstone says; `mixlab track` removes such a tombstone.
    """

    stage: str
    key: str
    digest: str
    bytes: int
    reason: str


def write_tombstone(store: Store, tombstone: Tombstone) -> None:
    """Write `discarded/<stage>/<key>.json`, which git keeps: no date and no host, so that branches agree."""
    write_json(store.tombstone(tombstone.stage, tombstone.key), asdict(tombstone))


def read_tombstone(store: Store, name: Name) -> Tombstone:
    """Read an artifact's tombstone; raises ArtifactError when there is none or when it cannot be read."""
    path = store.tombstone(*name)
    try:
        return Tombstone(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ArtifactError(f"{name[0]} {name[1]}: was not discarded") from None
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged ({error}); `git checkout` it") from None


def drop_tombstones(store: Store, names: Iterable[Name]) -> list[Name]:
    """Remove the tombstones of artifacts that are here again; return those that had one."""
    dropped = []
    for name in sorted(names):
        path = store.tombstone(*name)
        if path.is_file():
            path.unlink()
            dropped.append(name)
    return dropped


def drop_artifact(store: Store, name: Name) -> None:
    """Remove an artifact from this machine: by one rename first, so that no half of it is ever taken for a whole.

    Raises BusyError while somebody writes it.
    """
    with hold_lock(store.lock_path(*name)):
        folder = store.folder(*name)
        aside = store.work / name[0] / f"{name[1]}.{DROPPED}"
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            folder.rename(aside)
            shutil.rmtree(aside)
