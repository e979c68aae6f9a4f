"""What `gc --remote` may not take: what a branch that this clone does not follow, a stash or a worktree needs."""

import json
import shutil
from pathlib import Path

import pytest
from dvc_checkouts import commit, list_bytes, mixlab, run
from shelves import make_one, switch

A, B = "00000000000000aa", "00000000000000bb"


@pytest.fixture
def shelf(shelf: Path) -> Path:
    """A repository that tracks and has uploaded two artifacts on its branch `main`."""
    for key in (A, B):
        make_one(shelf, "ipt", key, f"{key}\n")
    mixlab(shelf, "track", A, B, "--push")
    commit(shelf, "two artifacts")
    return shelf


def forget(root: Path, *keys: str) -> None:
    mixlab(root, "forget", *keys)
    commit(root, "forgotten")


def list_doomed(root: Path, *options: str) -> list[str]:
    card = json.loads(mixlab(root, "gc", "--remote", "--json", *options))
    return [one["key"] for one in card["artifacts"]]


def test_a_clone_of_one_branch_keeps_what_the_others_track(shelf: Path, tmp_path: Path) -> None:
    switch(shelf, "theirs", new=True)
    forget(shelf, B)
    switch(shelf, "main")
    forget(shelf, A, B)
    other = tmp_path / "other"
    clone = ("git", "clone", "--quiet", "--single-branch", "--branch", "main")
    run(tmp_path, *clone, f"file://{shelf}", str(other))
    assert list_doomed(other, "--yes") == [B]
    assert "refs/mixlab" not in run(other, "git", "branch", "--all")
    switch(shelf, "theirs")
    for place in ("artifacts", ".dvc/cache"):
        shutil.rmtree(shelf / place, ignore_errors=True)
    assert "Restored 1 artifact" in mixlab(shelf, "restore", A)


def test_a_branch_that_went_on_the_other_side_keeps_nothing(shelf: Path, tmp_path: Path) -> None:
    switch(shelf, "theirs", new=True)
    switch(shelf, "main")
    forget(shelf, A, B)
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "--quiet", "--single-branch", "--branch", "main", f"file://{shelf}", str(other))
    assert list_doomed(other) == []
    run(shelf, "git", "branch", "--move", "theirs", "fix/HEAD")
    assert list_doomed(other) == []
    run(shelf, "git", "branch", "--delete", "--force", "fix/HEAD")
    assert list_doomed(other) == [A, B]


def test_what_an_older_stash_and_another_worktree_name_stays(shelf: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    run(shelf, "git", "worktree", "add", "--quiet", "-b", "tree", str(tree))
    forget(shelf, A, B)
    run(tree, "git", "reset", "--quiet", "--hard", "main")
    assert list_doomed(shelf, "--alone") == [A, B]
    (tree / "tracked/ipt").mkdir(parents=True)
    (tree / f"tracked/ipt/{A}.dvc").write_text(run(shelf, "git", "show", f"HEAD~1:tracked/ipt/{A}.dvc"))
    assert list_doomed(shelf, "--alone") == [B]
    run(shelf, "git", "checkout", "HEAD~1", "--", f"tracked/ipt/{B}.dvc")
    run(shelf, "git", "stash", "--quiet")
    (shelf / "config.yaml").write_text(f"{(shelf / 'config.yaml').read_text()}# later\n")
    run(shelf, "git", "stash", "--quiet")
    assert run(shelf, "git", "stash", "list").count("\n") == 2
    assert list_doomed(shelf, "--alone") == []


def test_what_a_branch_names_by_a_pointer_that_was_edited_or_torn_stays(shelf: Path) -> None:
    switch(shelf, "edited", new=True)
    for key, edit in ((A, lambda text: text.replace("\n", "\r\n")), (B, lambda text: text[:40])):
        pointer = shelf / f"tracked/ipt/{key}.dvc"
        pointer.write_bytes(edit(pointer.read_text()).encode())
    commit(shelf, "edited on another machine, and torn")
    switch(shelf, "main")
    forget(shelf, A, B)
    assert list_doomed(shelf, "--alone") == []
    run(shelf, "git", "branch", "--delete", "--force", "edited")
    assert list_doomed(shelf, "--alone") == [A, B]


def test_what_an_experiment_that_was_pushed_names_stays(shelf: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "--quiet", f"file://{shelf}", str(other))
    run(shelf, "git", "update-ref", "refs/exps/12/34567890/more-math", "HEAD")
    forget(shelf, A)
    run(other, "git", "pull", "--quiet")
    assert list_doomed(other) == []
    run(shelf, "git", "update-ref", "-d", "refs/exps/12/34567890/more-math")
    assert list_doomed(other) == [A]


def test_nothing_goes_where_the_pointers_of_others_cannot_be_known(shelf: Path, tmp_path: Path) -> None:
    before = list_bytes(tmp_path / "remote")
    forget(shelf, A)
    assert "no git remote" in mixlab(shelf, "gc", "--remote", "--yes", code=2)
    assert "add --remote" in mixlab(shelf, "gc", "--alone", code=2)
    shallow = tmp_path / "shallow"
    run(tmp_path, "git", "clone", "--quiet", "--depth", "1", f"file://{shelf}", str(shallow))
    assert "git fetch --unshallow" in mixlab(shallow, "gc", "--remote", "--yes", code=2)
    make_one(shelf, "pack", "00000000000000cc", "never uploaded\n")
    mixlab(shelf, "track", "00000000000000cc")
    shutil.rmtree(shelf / ".dvc/cache")
    said = mixlab(shelf, "gc", "--remote", "--alone", "--yes", code=2)
    assert "pack 00000000000000cc: tracked, but its list of files" in said
    assert list_bytes(tmp_path / "remote") == before
