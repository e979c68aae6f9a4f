"""A remote that is a folder: made by the first upload, and never taken for empty where it is merely not there."""

import shutil
from pathlib import Path

import pytest
from dvc_checkouts import clone, commit, list_bytes, make_repository, mixlab
from shelves import make_one

from mixlab.artifacts.collecting import find_garbage
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.store import Store

A, B, C = "00000000000000aa", "00000000000000bb", "00000000000000cc"


@pytest.fixture
def shelf(shelf: Path) -> Path:
    """A repository that tracks and has uploaded an artifact, to a folder that the upload made."""
    make_one(shelf, "ipt", A, "here\n")
    assert "Tracked 1 artifact" in mixlab(shelf, "track", A, "--push")
    commit(shelf, "one artifact")
    return shelf


def list_kept_by_git(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in list_bytes(root).items() if name.startswith(("tracked/", "discarded/"))}


@pytest.mark.parametrize("is_mount_point", [False, True], ids=["no folder", "empty folder"])
def test_what_asks_an_unmounted_remote_names_it_and_changes_nothing(
    shelf: Path, tmp_path: Path, is_mount_point: bool
) -> None:
    mixlab(shelf, "forget", A)
    make_one(shelf, "ipt", B, "there\n")
    mixlab(shelf, "track", B, "--push")
    commit(shelf, "another")
    other = clone(shelf, tmp_path / "other")
    make_one(other, "ipt", C, "new\n")
    kept = list_kept_by_git(other)
    remote = tmp_path / "remote"
    shutil.move(remote, tmp_path / "elsewhere")
    if is_mount_point:
        remote.mkdir()
    what = "has no files/md5 in it" if is_mount_point else "does not exist"
    for command in (
        ("restore", B),
        ("restore", B, "--recompute-missing"),
        ("fetch", A),
        ("discard", B, "--reason", "x", "--force"),
        ("gc", "--remote", "--yes"),
        ("track", C, "--push"),
    ):
        said = mixlab(other, *command, code=2)
        assert f"remote 'store': {remote} {what} (is it mounted?)" in said, command
        assert said.count("\n") == 1
    with pytest.raises(ArtifactError, match="is it mounted"):
        find_garbage(Store(shelf), [])
    assert list_kept_by_git(other) == kept
    assert not (other / "work/recompute.json").exists()
    assert is_mount_point == remote.exists()
    assert not list(tmp_path.glob("remote/*"))


def test_what_the_cache_has_is_restored_while_the_remote_is_away(shelf: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "remote", tmp_path / "elsewhere")
    shutil.rmtree(shelf / f"artifacts/ipt/{A}")
    assert "Restored 1 artifact" in mixlab(shelf, "restore", A)


def test_where_nothing_was_pushed_a_folder_made_by_hand_says_so(shelf: Path, tmp_path: Path) -> None:
    shutil.rmtree(shelf / ".dvc/cache")
    shutil.rmtree(shelf / f"artifacts/ipt/{A}")
    shutil.rmtree(tmp_path / "remote")
    place = tmp_path / "remote/files/md5"
    assert f"`mkdir -p '{place}'` says so" in mixlab(shelf, "restore", A, code=2)
    place.mkdir(parents=True)
    assert "neither cache nor remote has its data" in mixlab(shelf, "restore", A, code=2)


def test_a_new_project_asks_for_nothing_before_anything_was_pushed(tmp_path: Path) -> None:
    root = make_repository(tmp_path)
    assert "Nothing to restore." in mixlab(root, "restore")
    assert not (tmp_path / "remote").exists()
