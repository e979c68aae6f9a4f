"""What history knows of pointers that no branch has any more, whichever kind of commit brought them."""

import shutil
from pathlib import Path

from dvc_checkouts import commit, mixlab, run
from shelves import make_one, switch

from mixlab.artifacts.history import list_additions, list_past, read_committers
from mixlab.artifacts.store import Store

A = ("ipt", "00000000000000aa")


def track(root: Path, key: str) -> None:
    """Make, track and upload an artifact."""
    make_one(root, "ipt", key, f"{key}\n")
    mixlab(root, "track", key, "--push")


def test_what_was_tracked_in_the_commit_of_a_merge_is_found_in_history(shelf: Path) -> None:
    switch(shelf, "side", new=True)
    commit(shelf, "side")
    switch(shelf, "main")
    commit(shelf, "main")
    run(shelf, "git", "merge", "--quiet", "--no-ff", "--no-commit", "side")
    track(shelf, A[1])
    commit(shelf, "merged, and made what it lacked")
    assert list(list_additions(shelf, "ipt", {A}).values()) == [[A]]
    assert read_committers(shelf, [A])[A].startswith("Hanako Data")
    mixlab(shelf, "forget", A[1])
    commit(shelf, "forgotten")
    shutil.rmtree(shelf / "artifacts")
    shutil.rmtree(shelf / ".dvc/cache")
    assert "Fetched 1 artifact" in mixlab(shelf, "fetch", A[1])
    assert "Would remove 4 objects" in mixlab(shelf, "gc", "--remote", "--alone")


def test_a_pointer_that_came_as_another_one_went_is_found_in_history(shelf: Path) -> None:
    names = [("tokenize_shard", key) for key in ("00000000000000aa", "00000000000000bb")]
    make_one(shelf, *names[0], "first\n")
    mixlab(shelf, "track", names[0][1])
    commit(shelf, "one")
    mixlab(shelf, "forget", names[0][1])
    make_one(shelf, *names[1], "other\n")
    mixlab(shelf, "track", names[1][1])
    commit(shelf, "git takes the second for the first, renamed")
    assert "R0" in run(shelf, "git", "show", "--raw", "--format=")
    assert read_committers(shelf, names)[names[1]].startswith("Hanako Data")
    assert sorted(list_past(shelf)) == names


def test_a_folder_with_a_space_in_its_name_has_a_history(tmp_path: Path) -> None:
    root = tmp_path / "of all" / "my mixes"
    pointer = Store(root).pointer(*A)
    pointer.parent.mkdir(parents=True)
    pointer.write_text(f"wdir: ../../artifacts/ipt\nouts:\n- md5: {'0' * 32}.dir\n  path: {A[1]}\n")
    run(root.parent, "git", "init", "--quiet")
    for name in ("name", "email"):
        run(root.parent, "git", "config", f"user.{name}", "hanako@lab.example")
    commit(root, "one")
    assert list(list_past(root)) == [A]


def test_of_a_forgotten_pointer_that_git_never_had_nothing_is_left_to_do(shelf: Path) -> None:
    make_one(shelf, *A, "one\n")
    mixlab(shelf, "track", A[1])
    assert mixlab(shelf, "forget", A[1]) == "Forgot 1 pointer.\n"
