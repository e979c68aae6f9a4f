"""Pointers: the small files by which git knows an artifact and DVC finds its bytes."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store

_FIELD = re.compile(r"""^(?:- |  )(md5|size|nfiles|path): *(['"]?)([^'"\n]*?)\2 *(?:#.*)?\r?$""", re.MULTILINE)
_DIRECTORY = re.compile(r"[0-9a-f]{32}\.dir")


@dataclass(frozen=True)
class Pointer:
    """What a pointer says: DVC's name of the artifact's folder, its size and its number of files."""

    stage: str
    key: str
    oid: str
    bytes: int
    files: int

    @property
    def name(self) -> Name:
        """Stage and key."""
        return self.stage, self.key


def parse_pointer(stage: str, key: str, text: str) -> Pointer:
    """Parse the text of `tracked/<stage>/<key>.dvc`; raises ArtifactError when it is not such a text."""
    fields = {name: value for name, _, value in _FIELD.findall(text)}
    counts = [fields.get(name, "0") for name in ("size", "nfiles")]
    is_folder = _DIRECTORY.fullmatch(fields.get("md5", ""))
    if fields.get("path") != key or not is_folder or not all(count.isdecimal() for count in counts):
        raise _explain(stage, key)
    return Pointer(stage, key, fields["md5"], int(counts[0]), int(counts[1]))


def _explain(stage: str, key: str) -> ArtifactError:
    place = f"tracked/{stage}/{key}.dvc"
    return ArtifactError(f"{place}: not a pointer to {stage} {key}; `git checkout` it, or `mixlab forget {key}`")


def read_pointer(store: Store, name: Name) -> Pointer:
    """Read an artifact's pointer; raises ArtifactError when there is none."""
    try:
        return parse_pointer(*name, store.pointer(*name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{name[0]} {name[1]}: not tracked, so there is nothing to fetch") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise _explain(*name) from None


def render_pointer(pointer: Pointer) -> str:
    """Render a pointer as DVC writes it, by DVC's own YAML: the same text whoever makes the artifact."""
    from dvc.utils.serialize import dumps_yaml

    out = {"md5": pointer.oid, "size": pointer.bytes, "nfiles": pointer.files, "hash": "md5", "path": pointer.key}
    return str(dumps_yaml({"wdir": f"../../artifacts/{pointer.stage}", "outs": [out]}))


def write_pointer(store: Store, pointer: Pointer) -> None:
    """Write a pointer by one rename from `work/`, so that a kill leaves the old one, the new one or none."""
    path, temporary = store.pointer(*pointer.name), store.work / f".{pointer.key}.dvc.{os.getpid()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(render_pointer(pointer), encoding="utf-8")
    temporary.replace(path)


def list_pointers(store: Store) -> list[Name]:
    """List every artifact that has a pointer in this working folder, in order of stage and key."""
    return sorted((path.parent.name, path.stem) for path in store.tracked.glob("*/*.dvc"))


def drop_pointers(store: Store, names: Iterable[Name]) -> list[Path]:
    """Remove pointers and nothing else; return those that were there."""
    dropped = []
    for name in sorted(names):
        path = store.pointer(*name)
        if path.is_file():
            path.unlink()
            dropped.append(path)
    return dropped
