"""Bytes that contradict their pointer: here from another branch or another making, whatever git brought since.

DVC is not asked: its name of a folder is the md5 of a list that the cache mostly has, and that can be made from the
files. What was found is noted in `work/` under the times of manifest and pointer, so that only what changed is read.
"""

import configparser
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import name_file
from mixlab.artifacts.manifest import MANIFEST, list_files, parse_manifest, read_manifest
from mixlab.artifacts.pointers import Pointer, list_pointers, read_pointer
from mixlab.artifacts.recompute import read_recompute
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store, write_json

_NOTES = "agreed.json"
_SHOWN_DIGITS = 12
_UNKNOWN = ""


def find_strays(store: Store, names: Iterable[Name] | None = None) -> list[Name]:
    """Find which of `names`, or of all that is tracked, are here with other bytes than their pointers name.

    What was lost and is being made again is left out, and so is what is damaged: `mixlab verify` tells of that.
    """
    lost, cache = read_recompute(store), find_cache(store)
    notes, changed, strays = _read_notes(store), False, []
    for name in sorted(set(list_pointers(store) if names is None else names) - lost):
        place = "/".join(name)
        times = _read_times(store, name)
        if times is None:
            continue
        note = notes.get(place, [None, None, _UNKNOWN, _UNKNOWN])
        if [note[0], note[1]] != times:
            pointer = read_pointer(store, name)
            here = note[2] if note[0] == times[0] and note[2] else name_bytes(store, pointer, cache)
            if here is None:
                continue
            note = notes[place] = [*times, here, pointer.oid]
            changed = True
        if note[2] != note[3]:
            strays.append(name)
    if changed:
        write_json(store.work / _NOTES, notes)
    return strays


def has_bytes(store: Store, pointer: Pointer) -> bool:
    """Whether the artifact that is here has the bytes that a pointer, from any branch, names; damage counts as not."""
    return name_bytes(store, pointer) == pointer.oid


def require_agreeing(store: Store, names: Iterable[Name]) -> None:
    """Raise ArtifactError listing those of `names` that are here with other bytes than their pointers name."""
    if strays := find_strays(store, names):
        raise ArtifactError("\n".join(describe_stray(store, name) for name in strays))


def describe_stray(store: Store, name: Name) -> str:
    """Say what is wrong with a stray artifact, and the command that brings what its pointer names."""
    stage, key = name
    oid = read_pointer(store, name).oid[:_SHOWN_DIGITS]
    cure = f"`mixlab merge --keep {oid} {key}` brings those of the pointer"
    return f"{stage} {key}: here with other bytes than its pointer's; {cure}"


def name_bytes(store: Store, pointer: Pointer, cache: Path | None = None) -> str | None:
    """Say by what name DVC knows the bytes that are here; empty: not by the pointer's; None: they are damaged.

    The pointer's own list of files is looked at first: where it names this manifest, so it does all files. `cache`:
    where DVC keeps its objects, where that is known.
    """
    folder = store.folder(*pointer.name)
    try:
        digest = read_manifest(folder).digest
    except ArtifactError:
        return None
    objects = cache or find_cache(store)
    listed = _read_list(objects, pointer)
    if listed is None:
        return name_folder(folder)
    if listed.get(MANIFEST) == name_file(folder / MANIFEST):
        return pointer.oid
    return pointer.oid if _read_digest(objects, listed.get(MANIFEST, "")) == digest else _UNKNOWN


def read_digest(store: Store, pointer: Pointer) -> str:
    """Read the digest of the bytes that a pointer names from the cache; empty where the cache does not know them."""
    objects = find_cache(store)
    return _read_digest(objects, (_read_list(objects, pointer) or {}).get(MANIFEST, "")) or ""


def name_folder(folder: Path) -> str:
    """Name a folder as DVC does, by reading all of it: the md5 of the list of its files and their md5."""
    paths = [*list_files(folder), folder / MANIFEST]
    rows = [{"md5": name_file(path), "relpath": path.relative_to(folder).as_posix()} for path in paths]
    text = json.dumps(sorted(rows, key=lambda row: row["relpath"]), sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def _read_times(store: Store, name: Name) -> list[list[int]] | None:
    """Read what of manifest and pointer changes when they are replaced; None where one of them is not there."""
    stage, key = name
    try:
        # os.stat on text: this is done for every artifact before every run
        abouts = [
            os.stat(f"{store.root}/artifacts/{stage}/{key}/{MANIFEST}"),  # noqa: PTH116
            os.stat(f"{store.root}/tracked/{stage}/{key}.dvc"),  # noqa: PTH116
        ]
    except FileNotFoundError:
        return None
    return [[about.st_mtime_ns, about.st_ino, about.st_size] for about in abouts]


def _read_notes(store: Store) -> dict[str, list[Any]]:
    try:
        notes: dict[str, list[Any]] = json.loads((store.work / _NOTES).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # no note is needed: without one the artifact is looked at again
    return notes


def find_cache(store: Store) -> Path:
    """Find where DVC keeps its objects, by its settings of this folder."""
    place = "cache"
    for name in ("config", "config.local"):
        settings = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            settings.read(store.root / ".dvc" / name, encoding="utf-8")
        except configparser.Error:
            continue  # then the folder is read instead of its list
        place = settings.get("cache", "dir", fallback=place).strip("\"'")
    return store.root / ".dvc" / place / "files" / "md5"


def _read_object(cache: Path, oid: str) -> Any:
    """Read a small JSON object of the cache; None when it is not there, or damaged."""
    try:
        return json.loads((cache / oid[:2] / oid[2:]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _read_list(cache: Path, pointer: Pointer) -> dict[str, str] | None:
    """Read the list of a pointer's files from the cache; None when it is not there."""
    rows = _read_object(cache, pointer.oid)
    return None if rows is None else {row["relpath"]: row["md5"] for row in rows}


def _read_digest(cache: Path, oid: str) -> str | None:
    """Read the digest of the files that a manifest in the cache lists; None when it is not there."""
    card = _read_object(cache, oid) if oid else None
    return None if card is None else parse_manifest(card).digest
