"""DVC's cache and remote: ask what can be had, fetch it, put it in its place, upload.

DVC is imported here and in exclusion.py only, and only when one of these functions is called (0.2 s warm, 2 s cold).
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.failures import Place, collect_failures, hide_secrets
from mixlab.artifacts.keys import name_file
from mixlab.artifacts.links import clear_links
from mixlab.artifacts.manifest import MANIFEST, Manifest, list_files, parse_manifest
from mixlab.artifacts.pointers import Pointer, list_pointers, read_pointer
from mixlab.artifacts.store import Store

log = logging.getLogger(__name__)

_HASH = "md5"
_FEW = 1000
"""So many objects of a server are measured one by one; beyond, listing all that it has takes fewer requests."""


@contextmanager
def open_depot(store: Store) -> Iterator[Depot]:
    """Open DVC's cache and remote for a batch; raises ArtifactError where there is no DVC repository."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    logging.getLogger("dvc").setLevel(logging.ERROR)
    settings: dict[str, Any] = {}
    try:
        with Repo(str(store.root), _wait_for_lock=True) as repo:
            if Path(repo.root_dir) != store.root.absolute():
                raise ArtifactError(f"{store.root}: the DVC repository is {repo.root_dir}; run mixlab there")
            remotes = enumerate(repo.config["remote"].values())
            settings |= {f"{name} {number}": value for number, one in remotes for name, value in one.items()}
            yield Depot(store, repo)
    except NotDvcRepoError:
        raise ArtifactError(f"{store.root}: no DVC repository; run `dvc init` in it") from None
    except sqlite3.Error as error:
        raise ArtifactError(f"DVC's databases, in DVC_SITE_CACHE_DIR or /var/tmp/dvc: {error}; is it full?") from error
    except (DvcException, SCMError) as error:
        raise ArtifactError(hide_secrets(f"DVC: {error}", settings)) from error
    finally:
        clear_links(store.root)


@dataclass(frozen=True)
class Depot:
    """The cache and the remote of one working folder, opened."""

    store: Store
    repo: Any

    @property
    def cache(self) -> Any:
        """DVC's object store on this machine."""
        return self.repo.cache.local

    @property
    def remote_name(self) -> str:
        """The name of the default remote, or nothing."""
        return str(self.repo.config["core"].get("remote") or "")

    @property
    def site(self) -> Place:
        """The default remote's name and settings, as errors show it."""
        return Place(self.remote_name, dict(self.repo.config["remote"].get(self.remote_name.lower(), {})))

    @cached_property
    def _remote(self) -> Any:
        with self.site.reached():
            return self.repo.cloud.get_remote_odb()

    def remote(self) -> Any:
        """Return the object store of the default remote, or None when none is configured."""
        return self._remote if self.remote_name else None

    def need_remote(self) -> Any:
        """Return the object store of the default remote; raises ArtifactError when none is configured."""
        remote = self.remote()
        if remote is None:
            raise ArtifactError("no DVC remote is configured; `dvc remote add --default NAME PLACE` names one")
        return remote

    def _lacks_folder(self) -> bool:
        """Whether the remote is a folder that is not there, or has none of DVC's: so looks what is not mounted."""
        remote = self.need_remote()
        with self.site.reached():
            return remote.fs.protocol == "local" and not Path(remote.path).is_dir()

    def _require_folder(self) -> None:
        """Raise ArtifactError where the remote is a folder that is not there: what is not mounted is not lost."""
        if not self._lacks_folder():
            return
        place = Path(self.need_remote().path)
        root = place.parents[1]
        lacking = f"has no {place.relative_to(root)} in it" if root.is_dir() else "does not exist"
        raise ArtifactError(
            f"remote '{self.remote_name}': {root} {lacking} (is it mounted?); "
            f"if nothing was ever pushed to it, `mkdir -p '{place}'` says so"
        )

    def read_tree(self, pointer: Pointer, *places: Any) -> dict[str, str] | None:
        """Map the files of an artifact to their objects, read from the first place that knows it; None if none does.

        Raises ArtifactError where the remote is asked, and is a folder that is not there.
        """
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree
        from dvc_objects.errors import ObjectFormatError

        for place in places or (self.cache,):
            with self.site.reached():
                try:
                    tree = Tree.load(place, HashInfo(_HASH, pointer.oid))
                except (FileNotFoundError, ObjectFormatError):
                    if place is not self.cache:
                        self._require_folder()
                    continue
            return {"/".join(parts): info.value for parts, _, info in tree}
        return None

    def has(self, oid: str) -> bool:
        """Whether an object is in the cache; its bytes are not looked at."""
        return self._path(oid).is_file()

    def _path(self, oid: str) -> Path:
        return Path(self.cache.oid_to_path(oid))

    def is_cached(self, pointer: Pointer) -> bool:
        """Whether the cache has the artifact's folder and every file of it; bytes are not looked at."""
        return all(map(self.has, (self.read_tree(pointer) or {"": ""}).values()))

    def read_manifest(self, pointer: Pointer) -> Manifest | None:
        """Read the manifest of the bytes that a pointer names, from cache or remote; None when neither has it."""
        places = [place for place in (self.cache, self.remote()) if place is not None]
        oid = (self.read_tree(pointer, *places) or {}).get(MANIFEST, "")
        for place in places if oid else ():
            with self.site.reached():
                try:
                    with place.fs.open(place.oid_to_path(oid), "rb") as file:
                        return parse_manifest(json.loads(file.read()))
                except FileNotFoundError:
                    continue
        return None

    def commit(self, name: tuple[str, str]) -> Pointer:
        """Put an artifact's bytes into the cache, linked where the cache type says so, and describe its pointer.

        The artifact's own files are not touched: a kill in between leaves it whole. Objects that the cache has already
        are read, and replaced where they are damaged. Raises ArtifactError where .dvcignore leaves out a file.
        """
        from dvc_data.hashfile.build import build
        from dvc_data.hashfile.transfer import transfer

        folder = self.store.folder(*name).absolute()
        built: Any = build(self.cache, str(folder), self.repo.fs, _HASH, ignore=self.repo.dvcignore)
        staged, meta, tree = built
        files = {"/".join(parts): info.value for parts, _, info in tree}
        there = {path.relative_to(folder).as_posix() for path in [*list_files(folder), folder / MANIFEST]}
        if left_out := sorted(there - set(files)):
            raise ArtifactError(f"{folder / left_out[0]}: a pattern of .dvcignore leaves it out; nothing was tracked")
        own = {oid for path, oid in files.items() if self.has(oid) and self._path(oid).samefile(folder / path)}
        self.drop(self._find_damaged({tree.oid, *files.values()} - own))
        linked = next(iter(self.cache.cache_types), None) == "hardlink"
        with collect_failures() as failed:
            transfer(staged, self.cache, {tree.hash_info}, shallow=False, hardlink=linked)
        if failed:
            raise ArtifactError(f"{name[0]} {name[1]}: cannot be put into the cache ({failed[0]}); nothing was tracked")
        return Pointer(*name, tree.oid, meta.size or 0, meta.nfiles or 0)

    def list_missing(self, pointers: Iterable[Pointer], cached: bool = True) -> list[Pointer]:
        """List the artifacts that cannot be had: some object is neither in the cache nor on the remote.

        The cache is asked first; the remote in two batches, folders then files. The folders' lists are brought along.
        `cached: False` asks the remote alone, and whether it has as much as the pointer says: a killed upload has less.
        """
        asked_for = sorted(set(pointers), key=lambda one: (one.name, one.oid))
        trees = {one: tree for one in asked_for if cached and (tree := self.read_tree(one)) is not None}
        unknown = [one for one in asked_for if one not in trees]
        there = self.list_uploaded({one.oid for one in unknown})
        if cached:
            self._transfer(there)
        for pointer in unknown:
            places = (self.cache, self.remote()) if cached else (self.remote(),)
            tree = self.read_tree(pointer, *places) if pointer.oid in there else None
            if tree is not None:
                trees[pointer] = tree
        wanted = {oid for tree in trees.values() for oid in tree.values() if not (cached and self.has(oid))}
        lacking = wanted - self.list_uploaded(wanted)
        lost = {one for one in asked_for if one not in trees or lacking & set(trees[one].values())}
        if not cached:
            sizes = self.measure_remote(wanted - lacking)
            whole = {one: sum(sizes[oid] for oid in trees[one].values()) for one in set(asked_for) - lost}
            lost |= {one for one, size in whole.items() if one.bytes and size != one.bytes}
        return [one for one in asked_for if one in lost]

    def fetch(self, pointers: Sequence[Pointer]) -> None:
        """Bring what the cache lacks from the remote; each object is compared with its name when it arrives."""
        lacking = {one.oid for one in pointers if not self.has(one.oid)}
        self._transfer(lacking)
        trees = {pointer: self.read_tree(pointer) or {} for pointer in pointers}
        self._transfer({oid for tree in trees.values() for oid in tree.values() if not self.has(oid)})
        for pointer, tree in trees.items():
            if not tree or not all(map(self.has, tree.values())):
                self._require_folder()
                stage, key = pointer.name
                raise ArtifactError(f"{stage} {key}: what the remote has of it is missing or damaged")

    def _transfer(self, oids: set[str]) -> None:
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.transfer import transfer

        if oids:
            wanted = [HashInfo(_HASH, oid) for oid in sorted(oids)]
            remote = self.need_remote()
            with self.site.reached() as failed:
                transfer(remote, self.cache, wanted, verify=True, cache_odb=remote)
            if failed and not isinstance(failed[0], FileNotFoundError):
                raise self.site.explain(failed[0])

    def push(self, pointers: Iterable[Pointer]) -> int:
        """Upload what the remote lacks, files before their folder; return the number of objects uploaded.

        The remote is asked for every object: DVC's note of what it has is not believed. What goes up is read first. A
        folder that is not there is made by the first upload; where the cache lacks what is tracked, it was not that.
        """
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.transfer import transfer

        remote = self.need_remote()
        listed = list(pointers)
        tracked = (read_pointer(self.store, name) for name in list_pointers(self.store))
        if self._lacks_folder() and not all(map(self.is_cached, tracked)):
            self._require_folder()
        self._mend_truncated(listed)
        wanted = [HashInfo(_HASH, one.oid) for one in listed]
        with self.site.reached() as failed:
            result = transfer(self.cache, remote, wanted, cache_odb=self.cache, shallow=False)
        if result.failed:
            error = self.site.explain(failed[0]) if failed else self.site
            raise ArtifactError(f"{len(result.failed)} objects could not be uploaded: {error}")
        return len(result.transferred)

    def _mend_truncated(self, pointers: Sequence[Pointer]) -> None:
        """Replace on the remote what an upload that was killed left half written there, files before their folders.

        All is measured: DVC takes a short file for a whole one, and uploads its folder. Raises ArtifactError where what
        is to be uploaded, now or afterwards, is damaged in the cache.
        """
        used = {one: self.list_used([one]) for one in pointers}
        there = self._list_there(set().union(*used.values()))
        short = self.list_short(there)
        for one, oids in used.items():
            if self._find_damaged(oids - (there - short)):
                say = f"damaged in the cache, so it is not uploaded; `mixlab verify --repair {one.key}`"
                raise ArtifactError(f"{one.stage} {one.key}: {say}")
        for oid in sorted(short, key=lambda oid: (oid.endswith(".dir"), oid)):
            self._replace_remote(oid)

    def list_short(self, oids: Iterable[str]) -> set[str]:
        """List which objects of the remote have another length than the cache's."""
        sizes = self.measure_remote(oids)
        return {oid for oid, size in sizes.items() if self.has(oid) and size != self._path(oid).stat().st_size}

    def _replace_remote(self, oid: str) -> None:
        """Replace an object of the remote by a rename, so that a clone which is just uploading it loses nothing.

        It may write on where no name leads any more: by then the whole object has the name, with the same bytes.
        """
        remote = self.need_remote()
        place = remote.oid_to_path(oid)
        aside = f"{place}.{socket.gethostname()}.{os.getpid()}"
        with self.site.reached():
            remote.fs.put_file(str(self._path(oid)), aside)
            remote.fs.mv(aside, place)

    def place(self, pointer: Pointer) -> Manifest | None:
        """Put a cached artifact in its place by one rename, after comparing it with its manifest; None if it is there.

        Raises ArtifactError when its bytes are not those of the manifest, BusyError when somebody writes it.
        """
        from dvc_data.hashfile.checkout import CheckoutError, LinkError, checkout
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        tree = Tree.load(self.cache, HashInfo(_HASH, pointer.oid))
        with self.store.writing(*pointer.name) as draft:
            if draft is None:
                return None
            try:
                checkout(str(draft.out), self.repo.fs, tree, self.cache, force=True, quiet=True)
            except (CheckoutError, LinkError) as error:
                raise error.__cause__ or error from None  # a full disk, or an object that has gone
            manifest = draft.adopt()
        self._remember(pointer, tree)
        return manifest

    def _remember(self, pointer: Pointer, tree: Any) -> None:
        """Tell DVC the digests of what was placed, so that `dvc status` need not read it all again."""
        folder = self.store.folder(*pointer.name)
        self.repo.state.save_many(((str(folder.joinpath(*parts)), oid, None) for parts, _, oid in tree), self.repo.fs)

    def list_damaged(self, pointer: Pointer) -> list[str]:
        """List the artifact's cached objects whose bytes are not what their name says, by reading them."""
        return self._find_damaged({pointer.oid, *(self.read_tree(pointer) or {}).values()})

    def _find_damaged(self, oids: Iterable[str]) -> list[str]:
        return sorted(oid for oid in oids if self.has(oid) and name_file(self._path(oid)) != oid.removesuffix(".dir"))

    def list_used(self, pointers: Iterable[Pointer]) -> set[str]:
        """List the objects that artifacts refer to, folders included, as far as the cache knows them."""
        used = set()
        for pointer in pointers:
            used |= {pointer.oid, *(self.read_tree(pointer) or {}).values()}
        return used

    def list_cached(self) -> dict[str, int]:
        """Map each cached object to the bytes that removing it frees: none while an artifact is a link to it."""
        found = {}
        for path in sorted(Path(self.cache.path).glob("??/*")):
            about = path.stat()
            found[path.parent.name + path.name] = about.st_size if about.st_nlink == 1 else 0
        return found

    def list_uploaded(self, oids: set[str]) -> set[str]:
        """List which objects the remote has; none when there is no remote.

        Raises ArtifactError where the remote is a folder that is not there.
        """
        there = self._list_there(oids)
        if self.remote_name and there < oids:
            self._require_folder()
        return there

    def _list_there(self, oids: set[str]) -> set[str]:
        remote = self.remote()
        if remote is None or not oids:
            return set()
        with self.site.reached():
            return set(remote.oids_exist(oids))

    def list_remote(self) -> set[str]:
        """List every object of the remote; raises ArtifactError where it is a folder that is not there."""
        remote = self.need_remote()
        self._require_folder()
        with self.site.reached():
            return set(remote.all())

    def measure_remote(self, oids: Iterable[str]) -> dict[str, int]:
        """Map objects of the remote to their bytes: few are asked for one by one, many by listing the whole remote."""
        remote = self.need_remote()
        paths = {remote.oid_to_path(oid): oid for oid in sorted(oids)}
        with self.site.reached():
            if remote.fs.protocol == "local":
                return {oid: Path(path).stat().st_size for path, oid in paths.items()}
            if len(paths) > _FEW:
                abouts = remote.fs.fs.find(remote.path, detail=True)
            else:
                abouts = dict(zip(paths, remote.fs.info(list(paths)), strict=True)) if paths else {}
        return {paths[path]: int(about["size"]) for path, about in abouts.items() if path in paths}

    def bring_trees(self, oids: Iterable[str]) -> None:
        """Bring folders' lists of files, a few bytes each, from the remote into the cache."""
        self._transfer({oid for oid in oids if not self.has(oid)})

    def remove_remote(self, oids: Iterable[str]) -> None:
        """Remove objects from the remote, and DVC's note on this machine of what it has seen there."""
        from dvc_data.hashfile.db import get_index

        remote = self.need_remote()
        with self.site.reached():
            for oid in oids:
                remote.fs.remove(remote.oid_to_path(oid))
            get_index(remote).clear()

    def drop(self, oids: Iterable[str]) -> int:
        """Remove objects from the cache; return the bytes that this frees."""
        freed = 0
        for oid in sorted(set(oids)):
            path = self._path(oid)
            if path.is_file():
                about = path.stat()
                freed += about.st_size if about.st_nlink == 1 else 0
                path.unlink()
        return freed
