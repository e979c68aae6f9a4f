"""The store: an artifact is whole or not there, and a flipped bit is found before it is used."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.store import Store

STAGE, KEY = "sft", "0123456789abcdef"
FULL_BYTES = 1 << 20


def publish(store: Store, **files: bytes) -> Path:
    """Publish an artifact with the given files; `a__b` stands for `a/b`."""
    with store.writing(STAGE, KEY) as draft:
        assert draft is not None
        for name, data in files.items():
            path = draft.out / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        draft.publish({"version": 1}, {"model": ["f" * 16]})
    return store.folder(STAGE, KEY)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work folder 作業")


def test_what_was_published_opens_and_says_what_it_is(store: Store) -> None:
    folder = publish(store, model=b"weights", log__steps=b"1")
    assert store.open(STAGE, KEY) == folder
    manifest = read_manifest(folder)
    assert (manifest.stage, manifest.key, manifest.spec, manifest.parents) == (
        STAGE,
        KEY,
        {"version": 1},
        {"model": ["f" * 16]},
    )
    assert [file.path for file in manifest.files] == ["log/steps", "model"]
    assert manifest.bytes == 8
    assert not (store.work / STAGE / KEY).exists()


def test_a_second_writing_of_a_whole_artifact_has_nothing_to_do(store: Store) -> None:
    publish(store, model=b"weights")
    with store.writing(STAGE, KEY) as draft:
        assert draft is None


def test_nothing_appears_when_a_stage_fails_and_what_it_kept_for_resuming_stays(store: Store) -> None:
    with pytest.raises(RuntimeError), store.writing(STAGE, KEY) as draft:
        assert draft is not None
        (draft.out / "half").write_bytes(b"half")
        (draft.resume / "state").write_bytes(b"state")
        raise RuntimeError
    assert not store.folder(STAGE, KEY).exists()
    with store.writing(STAGE, KEY) as draft:
        assert draft is not None
        assert list(draft.out.iterdir()) == []
        assert (draft.resume / "state").read_bytes() == b"state"
        (draft.out / "model").write_bytes(b"weights")
        draft.publish({}, {})
    assert [path.name for path in sorted(store.folder(STAGE, KEY).iterdir())] == ["manifest.json", "model"]


def test_a_stage_that_writes_nothing_is_an_error(store: Store) -> None:
    with pytest.raises(ArtifactError, match="wrote no files"):
        publish(store)
    assert not store.folder(STAGE, KEY).exists()


@pytest.mark.parametrize("position", [0, 3, 6])
def test_a_flipped_byte_is_refused_and_named(store: Store, position: int) -> None:
    path = publish(store, model=b"weights", other=b"fine") / "model"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        ArtifactError, match=rf"model: its digest is not the manifest's\nrun `mixlab verify --repair {KEY}"
    ):
        store.open(STAGE, KEY)


def test_a_missing_a_shorter_and_an_added_file_are_named_together(store: Store) -> None:
    folder = publish(store, a=b"aa", b=b"bb")
    (folder / "a").unlink()
    (folder / "b").write_bytes(b"b")
    (folder / "c").write_bytes(b"c")
    with pytest.raises(ArtifactError) as raised:
        store.open(STAGE, KEY)
    assert [line.rpartition("/")[2] for line in str(raised.value).splitlines()[:3]] == [
        "a: missing",
        "b: 1 bytes, the manifest says 2",
        "c: not in the manifest",
    ]


def test_a_damaged_manifest_is_refused(store: Store) -> None:
    folder = publish(store, model=b"weights")
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ArtifactError, match=r"manifest\.json: damaged"):
        store.open(STAGE, KEY)


def test_an_artifact_under_anothers_name_is_refused(store: Store) -> None:
    publish(store, model=b"weights").rename(store.folder(STAGE, "f" * 16))
    with pytest.raises(ArtifactError, match=f"its manifest is of {STAGE} {KEY}"):
        store.open(STAGE, "f" * 16)


def test_an_absent_artifact_is_told_with_the_cure(store: Store) -> None:
    with pytest.raises(ArtifactError, match=f"not here; run snakemake for it, or `mixlab restore {KEY}`"):
        store.open(STAGE, KEY)


def test_a_folder_without_manifest_is_no_artifact_and_is_not_overwritten(store: Store) -> None:
    folder = store.folder(STAGE, KEY)
    folder.mkdir(parents=True)
    (folder / "model").write_bytes(b"of unknown origin")
    assert not store.is_complete(STAGE, KEY)
    with pytest.raises(ArtifactError, match=r"holds files but no manifest\.json; move it away and run again"):
        publish(store, model=b"weights")
    assert (folder / "model").read_bytes() == b"of unknown origin"


def test_an_empty_folder_in_its_place_is_taken(store: Store) -> None:
    """Snakemake makes the parent folders of outputs before a job starts."""
    store.folder(STAGE, KEY).mkdir(parents=True)
    assert (publish(store, model=b"weights") / "model").read_bytes() == b"weights"


def test_a_member_opens_alone_and_is_checked_alone(store: Store) -> None:
    folder = publish(store, **{"last-00__model": b"new", "last-01__model": b"old"})
    assert read_manifest(folder).members == ("last-00", "last-01")
    (folder / "last-01/model").write_bytes(b"bad")
    assert store.open(STAGE, f"{KEY}:last-00") == folder / "last-00"
    with pytest.raises(ArtifactError, match="last-01/model"):
        store.open(STAGE, f"{KEY}:last-01")
    with pytest.raises(ArtifactError, match="no member 'last-02'; it has last-00, last-01"):
        store.open(STAGE, f"{KEY}:last-02")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Store]:
    """A store on a file system of one MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={FULL_BYTES}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield Store(folder)
    subprocess.run(["umount", str(folder)], check=True)


def test_artifacts_on_another_disk_than_work_are_told_before_anything_is_made(full_disk: Store, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    store = Store(tmp_path / "root")
    full_disk.artifacts.mkdir()
    full_disk.work.mkdir()
    store.artifacts.symlink_to(full_disk.artifacts)
    made = []
    with pytest.raises(ArtifactError, match="lie on two file systems"), store.writing(STAGE, KEY):
        made.append(KEY)
    assert not made
    shutil.rmtree(store.work)
    store.work.symlink_to(full_disk.work)
    assert publish(store, model=b"weights").is_dir()


def test_a_full_disk_is_told_nothing_is_published_and_the_next_run_with_space_succeeds(full_disk: Store) -> None:
    with pytest.raises(ArtifactError, match=r"the disk is full \(.*\); nothing was published"):
        publish(full_disk, model=b"w" * (2 * FULL_BYTES))
    assert not full_disk.folder(STAGE, KEY).exists()
    assert not (full_disk.work / STAGE / KEY / "out").exists()
    publish(full_disk, model=b"w" * 1000)
    assert full_disk.open(STAGE, KEY)


def test_a_disk_that_fills_while_the_manifest_is_written_publishes_nothing(full_disk: Store) -> None:
    ballast = full_disk.root / "ballast"
    with pytest.raises(ArtifactError, match="the disk is full"), full_disk.writing(STAGE, KEY) as draft:
        assert draft is not None
        (draft.out / "model").write_bytes(b"w" * 1000)
        with pytest.raises(OSError, match="No space left"):
            ballast.write_bytes(b"w" * (2 * FULL_BYTES))
        draft.publish({"version": 1}, {})
    assert not full_disk.folder(STAGE, KEY).exists()


def test_a_disk_that_is_full_from_the_start_is_told_as_well(full_disk: Store) -> None:
    with pytest.raises(OSError, match="No space left"):
        (full_disk.root / "ballast").write_bytes(b"w" * (2 * FULL_BYTES))
    with pytest.raises(ArtifactError, match="the disk is full"):
        publish(full_disk, model=b"w" * 10_000)
    assert not full_disk.folder(STAGE, KEY).exists()
