"""A working folder that is not the top of its git repository, there and in a linked worktree."""

import sys
from pathlib import Path

import pytest
from dvc_checkouts import commit, run
from shelves import make_shelf, switch

from mixlab.artifacts.history import list_uncommitted
from mixlab.artifacts.hooks import install_driver


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The folder `lab 研究` of a repository that was made above it."""
    made = make_shelf(tmp_path / "repository")
    root = made / "lab 研究"
    root.mkdir()
    (root / "config.yaml").write_text((made / "config.yaml").read_text())
    commit(made, "a folder")
    return root


def test_what_is_not_committed_is_named_from_the_working_folder_on(shelf: Path) -> None:
    (shelf / "tracked/ipt").mkdir(parents=True)
    (shelf / "tracked/ipt/a.dvc").write_text("")
    (shelf.parent / "tracked").mkdir()
    (shelf.parent / "tracked/b.dvc").write_text("")
    assert list_uncommitted(shelf, ["tracked", "discarded"]) == ["tracked/ipt/a.dvc"]


def test_the_hooks_know_the_top_of_a_linked_worktree(shelf: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    for hook in install_driver(shelf):
        text = hook.read_text()
        assert sys.executable in text
        hook.write_text(
            text.replace(f"{sys.executable} -m mixlab.cli merge", f"git rev-parse --show-prefix >> {said};:")
        )
    top = shelf.parent
    switch(top, "left", new=True)
    (top / "left").write_text("")
    commit(top, "left")
    switch(top, "main")
    (top / "right").write_text("")
    commit(top, "right")
    run(top, "git", "worktree", "add", "--quiet", "-b", "tree", str(tmp_path / "tree"))
    said.unlink()
    run(tmp_path / "tree", "git", "merge", "--quiet", "--no-edit", "left")
    run(tmp_path / "tree", "git", "switch", "--quiet", "--detach", "left")
    assert said.read_text().splitlines() == ["lab 研究/"] * 2


def test_what_is_not_committed_gets_into_no_merge(shelf: Path) -> None:
    for hook in install_driver(shelf):
        text = hook.read_text()
        hook.write_text(text.replace(f"{sys.executable} -m mixlab.cli merge", "echo derive"))
    switch(shelf, "left", new=True)
    (shelf / "left").write_text("")
    commit(shelf, "left")
    switch(shelf, "main")
    (shelf / "studies").mkdir()
    (shelf / "studies/trial.yaml").write_text("")
    said = run(shelf, "git", "merge", "--no-ff", "--no-edit", "left")
    assert "?? lab 研究/studies/trial.yaml" in said.replace('"', "")
    assert "derive --check" in said
    assert "derive\n" not in said
    run(shelf, "git", "reset", "--quiet", "--hard", "HEAD~1")
    (shelf / "studies/trial.yaml").unlink()
    said = run(shelf, "git", "merge", "--no-ff", "--no-edit", "left")
    assert "derive\n" in said
    assert "not committed" not in said
