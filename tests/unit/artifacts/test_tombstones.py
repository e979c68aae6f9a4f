"""Tombstones, removal by one rename, and adopting what was restored."""

from pathlib import Path

import pytest

from mixlab.artifacts.errors import ArtifactError, BusyError
from mixlab.artifacts.locks import hold_lock
from mixlab.artifacts.manifest import MANIFEST, write_manifest
from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import (
    Tombstone,
    drop_artifact,
    drop_tombstones,
    read_tombstone,
    write_tombstone,
)

NAME = ("ipt", "89db06905f4b250e")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one artifact."""
    store = Store(tmp_path / "保管 place")
    with store.writing(*NAME) as draft:
        assert draft is not None
        (draft.out / "model.bin").write_bytes(b"weights")
        draft.publish({}, {})
    return store


def test_a_tombstone_says_what_it_was_told(store: Store) -> None:
    tombstone = Tombstone(*NAME, "digest", 7, "averaged 平均")
    write_tombstone(store, tombstone)
    assert read_tombstone(store, NAME) == tombstone
    assert "averaged 平均" in store.tombstone(*NAME).read_text(encoding="utf-8")


def test_a_dropped_artifact_with_a_tombstone_is_finished_and_not_complete(store: Store) -> None:
    write_tombstone(store, Tombstone(*NAME, "digest", 7, "averaged"))
    drop_artifact(store, NAME)
    states = read_states(store, ["ipt"])
    assert states.is_finished(NAME)
    assert NAME not in states.complete
    assert not list(store.work.glob("*/*.dropped"))


def test_what_somebody_writes_is_not_dropped(store: Store) -> None:
    with hold_lock(store.lock_path(*NAME)), pytest.raises(BusyError, match="is being written by process"):
        drop_artifact(store, NAME)
    assert store.is_complete(*NAME)


def test_only_the_tombstones_asked_for_go(store: Store) -> None:
    for key in ("a", "b"):
        write_tombstone(store, Tombstone("ipt", key, "digest", 7, "averaged"))
    assert drop_tombstones(store, [("ipt", "a"), ("ipt", "c")]) == [("ipt", "a")]
    assert read_states(store, ["ipt"]).discarded == {("ipt", "b")}


def test_a_damaged_tombstone_is_named(store: Store) -> None:
    write_tombstone(store, Tombstone(*NAME, "digest", 7, "averaged"))
    store.tombstone(*NAME).write_text("{}")
    with pytest.raises(ArtifactError, match=rf"{NAME[1]}\.json: damaged"):
        read_tombstone(store, NAME)


def test_a_restored_artifact_appears_only_when_it_equals_its_manifest(store: Store) -> None:
    name = ("ipt", "060bbe2fbbdab7a6")
    with store.writing(*name) as draft:
        assert draft is not None
        (draft.out / "model.bin").write_bytes(b"weights")
        write_manifest(draft.out, *name, {}, {})
        (draft.out / "model.bin").write_bytes(b"weightS")
        with pytest.raises(ArtifactError, match=r"model\.bin: its digest is not the manifest's"):
            draft.adopt()
        assert not store.is_complete(*name)
        (draft.out / "model.bin").write_bytes(b"weights")
        draft.adopt()
    assert store.is_complete(*name)


def test_a_restored_artifact_takes_the_place_of_an_empty_folder_only(store: Store) -> None:
    name = ("ipt", "060bbe2fbbdab7a6")
    folder = store.folder(*name)
    folder.mkdir()
    for stray in (True, False):
        with store.writing(*name) as draft:
            assert draft is not None
            (draft.out / "model.bin").write_bytes(b"weights")
            write_manifest(draft.out, *name, {}, {})
            if stray:
                (folder / "stray").touch()
                with pytest.raises(ArtifactError, match=f"holds files but no {MANIFEST}"):
                    draft.adopt()
                (folder / "stray").unlink()
            else:
                draft.adopt()
    assert store.open(*name) == folder


def test_another_artifacts_files_are_not_adopted(store: Store) -> None:
    with store.writing("ipt", "060bbe2fbbdab7a6") as draft:
        assert draft is not None
        (draft.out / "model.bin").write_bytes(b"weights")
        write_manifest(draft.out, *NAME, {}, {})
        with pytest.raises(ArtifactError, match=f"its manifest is of ipt {NAME[1]}"):
            draft.adopt()
