"""Short, damaged and lacking objects: what is no whole copy is not taken for one, and damage reaches no remote."""

import shutil
from pathlib import Path

import pytest
from dvc_checkouts import commit, flip_byte, list_bytes, mixlab
from shelves import SHARED, make_one

A, B = "00000000000000aa", "00000000000000bb"


@pytest.fixture
def shelf(shelf: Path) -> Path:
    """A repository that tracks and has uploaded an artifact."""
    make_one(shelf, "ipt", A, "a checkpoint\n")
    mixlab(shelf, "track", A, "--push")
    commit(shelf, "one artifact")
    return shelf


def find_uploaded(shelf: Path, text: str) -> Path:
    """Find the object of the remote that begins with a text."""
    remote = shelf.parent / "remote"
    (name,) = [name for name, data in list_bytes(remote).items() if data.startswith(text.encode())]
    return remote / name


def shorten(path: Path) -> None:
    """Leave of a file what a killed upload may have written."""
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:4])
    path.chmod(0o444)


def test_a_short_object_below_a_whole_folder_is_no_copy_and_is_mended(shelf: Path) -> None:
    whole = list_bytes(shelf.parent / "remote")
    # as a second `dvc push` leaves it, which takes the short file for a whole one and uploads the folder
    shorten(find_uploaded(shelf, "a checkpoint"))
    assert f"ipt {A}: on no remote" in mixlab(shelf, "discard", A, "--reason", "averaged", code=2)
    assert (shelf / "artifacts/ipt" / A / "payload.txt").read_text() == "a checkpoint\n"
    mixlab(shelf, "track", A, "--push")
    assert list_bytes(shelf.parent / "remote") == whole
    assert "Discarded 1 artifact" in mixlab(shelf, "discard", A, "--reason", "averaged")


def test_a_cached_object_that_is_damaged_is_replaced_before_another_artifact_counts_on_it(shelf: Path) -> None:
    shutil.rmtree(shelf.parent / "remote/files")
    (shelf.parent / "remote/files/md5").mkdir(parents=True)
    flip_byte(shelf / "artifacts/ipt" / A / "shared.txt")
    make_one(shelf, "ipt", B, "another\n")
    mixlab(shelf, "track", B, "--push")
    assert find_uploaded(shelf, SHARED).read_text() == SHARED


def test_what_was_damaged_after_it_was_tracked_is_not_uploaded(shelf: Path) -> None:
    make_one(shelf, "ipt", B, "another\n")
    mixlab(shelf, "track", B)
    flip_byte(shelf / "artifacts/ipt" / B / "payload.txt")
    before = list_bytes(shelf.parent / "remote")
    said = mixlab(shelf, "track", B, "--push", code=2)
    assert said == f"mixlab: ipt {B}: damaged in the cache, so it is not uploaded; `mixlab verify --repair {B}`\n"
    assert list_bytes(shelf.parent / "remote") == before


def test_what_is_here_is_uploaded_though_the_cache_was_emptied(shelf: Path) -> None:
    make_one(shelf, "ipt", B, "another\n")
    mixlab(shelf, "track", B)
    shutil.rmtree(shelf / ".dvc/cache")
    mixlab(shelf, "track", B, "--push")
    shutil.rmtree(shelf / "artifacts")
    shutil.rmtree(shelf / ".dvc/cache")
    assert "Restored 1 artifact" in mixlab(shelf, "restore", B)


def test_a_file_that_dvcignore_leaves_out_is_named_and_nothing_is_tracked(shelf: Path) -> None:
    (shelf / ".dvcignore").write_text("payload*\n")
    make_one(shelf, "ipt", B, "another\n")
    assert f"ipt/{B}/payload.txt: a pattern of .dvcignore leaves it out" in mixlab(shelf, "track", B, code=2)
    assert not (shelf / f"tracked/ipt/{B}.dvc").exists()


def test_repairing_removes_nothing_where_the_remotes_copy_is_damaged_as_well(shelf: Path) -> None:
    flip_byte(find_uploaded(shelf, SHARED))
    flip_byte(shelf / "artifacts/ipt" / A / "shared.txt")
    before = list_bytes(shelf / "artifacts")
    assert "missing or damaged" in mixlab(shelf, "verify", "--repair", A, code=2)
    assert list_bytes(shelf / "artifacts") == before
