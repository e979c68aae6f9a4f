"""The index card of an artifact: what was done, from what, and the digest of every file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import build_digest, canonical_json, digest_file

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: path relative to its folder, size, digest, digests of its blocks when it is large."""

    path: str
    bytes: int
    digest: str
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What an artifact is: stage, key, spec, parents by role, and its files in order of path."""

    stage: str
    key: str
    spec: dict[str, Any]
    parents: dict[str, list[str]]
    files: tuple[FileEntry, ...]

    @property
    def digest(self) -> str:
        """The fingerprint of the artifact's bytes; the same for equal files, whatever made them."""
        return build_digest(canonical_json([[file.path, file.digest] for file in self.files]).encode())

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the sub-folders, each of which can be referred to as `key:member`."""
        return tuple(sorted({file.path.split("/")[0] for file in self.files if "/" in file.path}))


def list_files(folder: Path) -> list[Path]:
    """List the files of a folder in order of their relative path, the manifest left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST]
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def describe_file(folder: Path, path: Path) -> FileEntry:
    """Measure one file of an artifact."""
    digest, blocks = digest_file(path)
    return FileEntry(path.relative_to(folder).as_posix(), path.stat().st_size, digest, blocks)


def write_manifest(folder: Path, stage: str, key: str, spec: dict[str, Any], parents: dict[str, list[str]]) -> Manifest:
    """Measure every file of `folder` and write its manifest, which is therefore the last file to appear."""
    files = tuple(describe_file(folder, path) for path in list_files(folder))
    if not files:
        raise ArtifactError(f"{stage} {key}: the stage wrote no files into {folder}")
    manifest = Manifest(stage, key, spec, parents, files)
    text = json.dumps(asdict(manifest), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read an artifact's manifest.

    Raises ArtifactError when there is none or when it cannot be read.
    """
    path = folder / MANIFEST
    try:
        return parse_manifest(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: no {MANIFEST}, so it is not a whole artifact") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged ({error}); run `mixlab verify --repair`") from error


def parse_manifest(card: Any) -> Manifest:
    """Build a manifest from the JSON of its file; raises KeyError or TypeError when it is none."""
    files = tuple(FileEntry(**{**file, "blocks": tuple(file["blocks"])}) for file in card["files"])
    return Manifest(card["stage"], card["key"], card["spec"], card["parents"], files)


def check_files(folder: Path, manifest: Manifest, member: str = "") -> list[str]:
    """Compare an artifact, or one member of it, with its manifest and say what differs, file by file."""
    wrong = []
    listed = {file.path for file in manifest.files}
    for file in manifest.files:
        if member and not file.path.startswith(f"{member}/"):
            continue
        path = folder / file.path
        if not path.is_file():
            wrong.append(f"{path}: missing")
        elif path.stat().st_size != file.bytes:
            wrong.append(f"{path}: {path.stat().st_size} bytes, the manifest says {file.bytes}")
        elif digest_file(path)[0] != file.digest:
            wrong.append(f"{path}: its digest is not the manifest's")
    for path in list_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in listed and (not member or name.startswith(f"{member}/")):
            wrong.append(f"{path}: not in the manifest")
    return wrong
