"""What branches, tags, stashes and worktrees track is read without a checkout."""

from pathlib import Path

import pytest
from dvc_checkouts import commit, run
from shelves import make_shelf, switch

from mixlab.artifacts.branches import read_branches
from mixlab.artifacts.dropping import list_kept
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import find_past, is_repository
from mixlab.artifacts.pointers import Pointer, render_pointer
from mixlab.artifacts.store import Store

KEYS = [f"0{number}23456789abcdef" for number in range(4)]


def place(root: Path, stage: str, key: str, oid: str) -> Pointer:
    """Write a pointer as it is on a branch."""
    pointer = Pointer(stage, key, f"{oid * 32}.dir", 7, 2)
    path = root / f"tracked/{stage}/{key}.dvc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_pointer(pointer))
    return pointer


def test_pointers_of_branches_tags_stashes_and_worktrees_are_found_with_their_places(tmp_path: Path) -> None:
    root = make_shelf(tmp_path / "shelf")
    both = place(root, "ipt", KEYS[0], "a")
    (root / "tracked/ipt/notes.txt").write_text("no pointer")
    (root / "tracked/ipt/foreign.dvc").write_text("outs: []")
    commit(root, "on main")
    switch(root, "other", new=True)
    other = place(root, "ipt", KEYS[0], "b")
    commit(root, "on other")
    tagged = place(root, "pack", KEYS[1], "c")
    commit(root, "tagged")
    run(root, "git", "tag", "--annotate", "--message", "v1", "v1")
    run(root, "git", "reset", "--quiet", "--hard", "HEAD^")
    place(root, "sft", KEYS[2], "d")
    run(root, "git", "add", "tracked")
    run(root, "git", "stash")
    switch(root, "main")
    run(root, "git", "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    worked = place(tmp_path / "tree", "ipt", KEYS[3], "e")
    commit(tmp_path / "tree", "detached")
    held = read_branches(root)
    assert set(held) == {("ipt", KEYS[0]), ("pack", KEYS[1]), ("sft", KEYS[2]), ("ipt", KEYS[3])}
    assert held["ipt", KEYS[0]][other] == ["other", "stash", "v1"]
    assert "main" in held["ipt", KEYS[0]][both]
    assert held["pack", KEYS[1]] == {tagged: ["v1"]}
    assert [name.split()[0] for name in held["ipt", KEYS[3]][worked]] == ["commit"]
    assert set(read_branches(root, [KEYS[1], KEYS[0][:4]])) == {("ipt", KEYS[0]), ("pack", KEYS[1])}
    assert read_branches(root, []) == {}


def test_a_branch_whose_name_ends_in_head_tracks_and_a_symbolic_ref_is_none_of_its_own(tmp_path: Path) -> None:
    root = make_shelf(tmp_path / "shelf")
    switch(root, "fix/HEAD", new=True)
    pointer = place(root, "ipt", KEYS[0], "a")
    commit(root, "on fix/HEAD")
    for ref in ("refs/mixlab/origin/heads/fix/HEAD", "refs/remotes/origin/main"):
        run(root, "git", "update-ref", ref, "HEAD")
    run(root, "git", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    switch(root, "main")
    assert read_branches(root)["ipt", KEYS[0]] == {pointer: ["fix/HEAD", "origin/main"]}
    holders = read_branches(root, fetched=True)["ipt", KEYS[0]][pointer]
    assert holders == ["fix/HEAD", "mixlab/origin/heads/fix/HEAD", "origin/main"]


def test_the_newest_pointer_of_the_past_comes_first(tmp_path: Path) -> None:
    root = make_shelf(tmp_path / "shelf")
    made = []
    for oid in "ab":
        made.append(place(root, "ipt", KEYS[0], oid))
        commit(root, oid)
    run(root, "git", "rm", "--quiet", "-r", "tracked")
    commit(root, "gone")
    assert find_past(root, KEYS[0][:5]) == made[::-1]
    assert read_branches(root) == {}


def test_a_git_that_cannot_read_its_objects_is_an_error_and_not_an_empty_answer(tmp_path: Path) -> None:
    root = make_shelf(tmp_path / "shelf")
    assert read_branches(tmp_path) == {}, "no repository tracks nothing"
    (root / ".git/config").write_text("[core]\n\trepositoryformatversion = 99\n")
    with pytest.raises(ArtifactError, match="git fsck"):
        from mixlab.artifacts.history import read_objects

        read_objects(root, ["HEAD"])


def test_a_repository_that_git_refuses_is_no_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_shelf(tmp_path / "shelf")
    place(root, "ipt", KEYS[0], "a")
    commit(root, "tracked")
    switch(root, "empty", new=True)
    run(root, "git", "rm", "--quiet", "-r", "tracked")
    commit(root, "nothing")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(ArtifactError, match=r"git refuses .*: detected dubious .* safe\.directory"):
        list_kept(Store(root))
    assert not is_repository(tmp_path)
