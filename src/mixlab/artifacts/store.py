"""The store: where artifacts live, how one is opened, and the one rename by which it appears."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import split_reference
from mixlab.artifacts.locks import hold_lock
from mixlab.artifacts.manifest import MANIFEST, Manifest, check_files, read_manifest, write_manifest


@dataclass(frozen=True)
class Store:
    """The folders below one working folder: artifacts, work in progress, pointers, tombstones, provenance."""

    root: Path

    @property
    def artifacts(self) -> Path:
        """Whole artifacts, `artifacts/<stage>/<key>/`."""
        return self.root / "artifacts"

    @property
    def work(self) -> Path:
        """Work in progress, locks, resume states and plans; never read for a result."""
        return self.root / "work"

    @property
    def tracked(self) -> Path:
        """Pointers, `tracked/<stage>/<key>.dvc`, committed to git."""
        return self.root / "tracked"

    @property
    def discarded(self) -> Path:
        """Tombstones, `discarded/<stage>/<key>.json`, committed to git."""
        return self.root / "discarded"

    @property
    def metrics(self) -> Path:
        """What training runs measured of themselves, `metrics/<stage>/<key>.jsonl`; no result, never tracked."""
        return self.root / "metrics"

    def folder(self, stage: str, key: str) -> Path:
        """Where an artifact is, or would be."""
        return self.artifacts / stage / key

    def manifest_path(self, stage: str, key: str) -> Path:
        """The file whose presence means that the artifact is whole."""
        return self.folder(stage, key) / MANIFEST

    def pointer(self, stage: str, key: str) -> Path:
        """The file whose presence means that the artifact is tracked."""
        return self.tracked / stage / f"{key}.dvc"

    def tombstone(self, stage: str, key: str) -> Path:
        """The file whose presence means that the artifact's data was discarded on purpose."""
        return self.discarded / stage / f"{key}.json"

    def lock_path(self, stage: str, key: str) -> Path:
        """The lock that a writer of the artifact holds."""
        return self.work / stage / f"{key}.lock"

    def is_complete(self, stage: str, key: str) -> bool:
        """Whether the artifact is here and whole."""
        return self.manifest_path(stage, key).is_file()

    def open(self, stage: str, reference: str) -> Path:
        """Return the folder of a verified artifact, or of one member of it (`key:member`).

        Raises ArtifactError when it is absent, not whole, or differs from its manifest by a single byte.
        """
        key, member = split_reference(reference)
        folder = self.folder(stage, key)
        if not self.is_complete(stage, key):
            raise ArtifactError(f"{stage} {key}: not here; run snakemake for it, or `mixlab restore {key}`")
        manifest = read_manifest(folder)
        if (manifest.stage, manifest.key) != (stage, key):
            raise ArtifactError(f"{folder}: its manifest is of {manifest.stage} {manifest.key}")
        if member and member not in manifest.members:
            raise ArtifactError(f"{stage} {key}: no member '{member}'; it has {', '.join(manifest.members) or 'none'}")
        if wrong := check_files(folder, manifest, member):
            raise ArtifactError("\n".join([*wrong, f"run `mixlab verify --repair {key}`"]))
        return folder / member if member else folder

    @contextmanager
    def writing(self, stage: str, key: str, origin: Mapping[str, str] | None = None) -> Iterator["Draft | None"]:
        """Hold the artifact's lock and give a draft to fill, or None when it is already whole.

        Raises BusyError when another process holds the lock, and ArtifactError where artifacts lie on another file
        system than work. The draft's `resume` folder survives a failure. `origin` is noted in the lock.
        """
        draft = Draft(self, stage, key)
        try:
            with hold_lock(self.lock_path(stage, key), origin):
                if self.is_complete(stage, key):
                    yield None
                    return
                shutil.rmtree(draft.out, ignore_errors=True)
                draft.out.mkdir(parents=True)
                self._require_one_disk(stage)
                draft.resume.mkdir(exist_ok=True)
                yield draft
        except OSError as error:
            if error.errno == errno.EROFS:
                message = f"{stage} {key}: {error.filename or draft.folder} is on a disk that cannot be written to"
                raise ArtifactError(f"{message}; nothing was published, finished work is kept") from error
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            shutil.rmtree(draft.out, ignore_errors=True)
            message = f"{stage} {key}: the disk is full ({draft.out}); nothing was published"
            raise ArtifactError(f"{message}. Free space, then run again: finished work is kept") from error

    def _require_one_disk(self, stage: str) -> None:
        """Raise ArtifactError where no rename leads from work to artifacts: told before anything is computed."""
        place = self.artifacts / stage
        place.mkdir(parents=True, exist_ok=True)
        if place.stat().st_dev != self.work.stat().st_dev:
            raise ArtifactError(
                f"{self.artifacts} and {self.work} lie on two file systems, and an artifact appears by one rename; "
                "put both on one: where one is a link to another disk, the other has to be as well"
            )


@dataclass(frozen=True)
class Draft:
    """An artifact being written: `out` becomes the artifact, `resume` outlives a killed attempt."""

    store: Store
    stage: str
    key: str

    @property
    def folder(self) -> Path:
        """The draft's folder under `work/`, on the file system of the artifacts."""
        return self.store.work / self.stage / self.key

    @property
    def out(self) -> Path:
        """Where the stage writes."""
        return self.folder / "out"

    @property
    def resume(self) -> Path:
        """Where a stage keeps what lets it go on after a kill."""
        return self.folder / "resume"

    def publish(
        self,
        spec: dict[str, Any],
        parents: dict[str, list[str]],
        before_rename: Callable[[Manifest], object] = lambda manifest: None,
    ) -> Manifest:
        """Seal the draft and let the artifact appear by one rename; what must never lack comes before the rename.

        What is made anew is no longer discarded: its tombstone goes first.

        Raises ArtifactError when something that is no whole artifact stands in its place.
        """
        manifest = write_manifest(self.out, self.stage, self.key, spec, parents)
        before_rename(manifest)
        self.store.tombstone(self.stage, self.key).unlink(missing_ok=True)
        self._appear()
        return manifest

    def adopt(self) -> Manifest:
        """Let a restored artifact appear like a published one, after comparing it with the manifest it brought.

        Raises ArtifactError when it is another artifact, or differs from its manifest by a single byte.
        """
        manifest = read_manifest(self.out)
        if (manifest.stage, manifest.key) != (self.stage, self.key):
            raise ArtifactError(f"{self.out}: its manifest is of {manifest.stage} {manifest.key}")
        if wrong := check_files(self.out, manifest):
            raise ArtifactError("\n".join(wrong))
        self._appear()
        return manifest

    def _appear(self) -> None:
        for path in [*sorted(self.out.rglob("*")), self.out]:
            _flush(path)
        target = self.store.folder(self.stage, self.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.out.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise ArtifactError(f"{target}: holds files but no {MANIFEST}; move it away and run again") from error
        _flush(target.parent)
        shutil.rmtree(self.folder)


def _flush(path: Path) -> None:
    """Ask the kernel to put a file or folder on disk, so that a power cut cannot leave a name without its bytes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write a small JSON file by temporary name and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
