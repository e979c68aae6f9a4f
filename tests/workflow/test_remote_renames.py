"""Where git takes one pointer for another renamed, `mixlab merge` settles by what each pointer names."""

import subprocess
from pathlib import Path

import pytest
from dvc_checkouts import commit, mixlab, run
from shelves import switch

from mixlab.artifacts import merging
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import run_git
from mixlab.artifacts.hooks import HOOKS, install_driver
from mixlab.artifacts.pointers import Pointer, list_pointers, read_pointer, write_pointer
from mixlab.artifacts.store import Store

X, Y, Z = (digit * 16 for digit in "123")
STAGE = "contamination"


@pytest.fixture
def shelf(shelf: Path) -> Path:
    """A repository whose branch `main` tracks X."""
    track(shelf, X, "a")
    commit(shelf, "X")
    return shelf


def track(root: Path, key: str, digit: str) -> Pointer:
    pointer = Pointer(STAGE, key, f"{digit * 32}.dir", 400, 3)
    write_pointer(Store(root), pointer)
    return pointer


def branch_off(root: Path, branch: str, key: str, digit: str, forgets: bool = True) -> Pointer:
    """Let a branch of `main` track another pointer and, unless told otherwise, forget X."""
    switch(root, "main")
    switch(root, branch, new=True)
    if forgets:
        run(root, "git", "rm", "--quiet", f"tracked/{STAGE}/{X}.dvc")
    pointer = track(root, key, digit)
    commit(root, branch)
    return pointer


def test_both_sides_forgot_one_and_track_another(shelf: Path) -> None:
    left, right = branch_off(shelf, "left", Y, "b"), branch_off(shelf, "right", Z, "c")
    assert "rename/rename" in run(shelf, "git", "merge", "--no-edit", "left", code=1)
    assert "artifacts settled" in mixlab(shelf, "merge")
    store = Store(shelf)
    assert [read_pointer(store, name) for name in list_pointers(store)] == [left, right]
    assert run(shelf, "git", "ls-files", "--unmerged") == ""
    run(shelf, "git", "commit", "--quiet", "--no-edit")
    assert run(shelf, "git", "status", "--short") == ""


def test_one_side_forgot_what_the_other_tracks_anew(shelf: Path) -> None:
    left, right = branch_off(shelf, "left", Y, "b"), branch_off(shelf, "right", X, "c", forgets=False)
    run(shelf, "git", "merge", "--no-edit", "left", code=1)
    mixlab(shelf, "merge")
    store = Store(shelf)
    assert [read_pointer(store, name) for name in list_pointers(store)] == [right, left]
    assert run(shelf, "git", "ls-files", "--unmerged") == ""


def test_a_merge_that_is_killed_between_two_pointers_loses_neither(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = branch_off(shelf, "left", Y, "b"), branch_off(shelf, "right", X, "c", forgets=False)
    run(shelf, "git", "merge", "--no-edit", "left", code=1)

    def die_after_adding(root: Path, *arguments: str, **options: str) -> str | None:
        said = run_git(root, *arguments, **options)
        if arguments[0] == "add":
            raise SystemExit(137)
        return said

    with monkeypatch.context() as patch:
        patch.setattr(merging, "run_git", die_after_adding)
        mixlab(shelf, "merge", code=137)
    mixlab(shelf, "merge")
    run(shelf, "git", "commit", "--quiet", "--no-edit")
    run(shelf, "git", "reset", "--quiet", "--hard")
    store = Store(shelf)
    assert [read_pointer(store, name) for name in list_pointers(store)] == [right, left]


def test_with_the_settings_of_install_a_git_that_heeds_them_sees_no_renames(shelf: Path) -> None:
    branch_off(shelf, "left", Y, "b")
    branch_off(shelf, "right", Z, "c")
    install_driver(shelf)
    for hook in HOOKS:
        (shelf / ".git/hooks" / hook).unlink()
    # the default strategy of git 2.39 heeds merge.renames not at all
    run(shelf, "git", "-c", "pull.twohead=recursive", "merge", "--no-edit", "left")
    assert list_pointers(Store(shelf)) == [(STAGE, Y), (STAGE, Z)]


def test_hooks_that_all_repositories_share_are_left_alone(shelf: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    run(shelf, "git", "config", "core.hooksPath", str(shared))
    assert "may serve other repositories" in mixlab(shelf, "merge", "--install", code=2)
    assert not shared.exists()
    assert subprocess.run(["git", "config", "merge.mixlab.driver"], cwd=shelf, check=False).returncode == 1
    run(shelf, "git", "config", "core.hooksPath", ".githooks")
    assert [hook.name for hook in install_driver(shelf)] == ["post-merge", "post-checkout"]
    assert (shelf / ".githooks/post-checkout").is_file()
    (shelf / ".githooks/post-checkout").write_text("#!/bin/sh\n")
    with pytest.raises(ArtifactError, match="merge --check"):
        install_driver(shelf)
