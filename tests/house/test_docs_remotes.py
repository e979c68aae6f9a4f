"""docs/remotes.md shows what the commands print, in a repository made for it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import REPOSITORY
from docs_blocks import find_difference, read_commands, run_command
from dvc_checkouts import commit, mixlab, run
from shelves import make_one, make_shelf, switch

DOCUMENT = REPOSITORY / "docs/remotes.md"
FETCHED, TWICE, USELESS = (f"5eed{number:012d}" for number in (1, 2, 3))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with a remote in a folder, made the current folder."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = make_shelf(tmp_path / "shelf")
    monkeypatch.chdir(root)
    return root


def lose_here(root: Path) -> None:
    for place in ("artifacts", ".dvc/cache"):
        shutil.rmtree(root / place, ignore_errors=True)


def share_on_branch(root: Path, branch: str, key: str, payload: str) -> None:
    """Let a branch track and upload an artifact; the folder is on main afterwards, without it."""
    switch(root, branch, new=True)
    make_one(root, "ipt", key, payload, "gpu01")
    mixlab(root, "track", key, "--push")
    commit(root, branch)
    switch(root, "main")
    lose_here(root)


def make_other_bytes(root: Path) -> None:
    share_on_branch(root, "theirs", TWICE, "made by them\n")
    make_one(root, "ipt", TWICE, "made by us\n", "gpu02")


def leave_useless(root: Path) -> None:
    run(root, "git", "remote", "add", "origin", str(root))
    share_on_branch(root, "useless", USELESS, "of no use\n")
    switch(root, "useless")
    mixlab(root, "forget", USELESS)
    commit(root, "forgotten")
    switch(root, "main")


BEFORE: dict[str, Callable[[Path], None]] = {
    "mixlab fetch": lambda root: share_on_branch(root, "elsewhere", FETCHED, "trained there\n"),
    "mixlab track": make_other_bytes,
    "mixlab gc": leave_useless,
}
"""What must have happened before a command of the document."""


def test_the_document_shows_what_its_commands_print(shelf: Path) -> None:
    commands = [one for one in read_commands(DOCUMENT) if one.text.startswith("mixlab ")]
    assert len(commands) == 5
    for command in commands:
        prepare = BEFORE.get(" ".join(command.text.split()[:2]), lambda root: None)
        prepare(shelf)
        difference = find_difference(command, mixlab(shelf, *command.text.split()[1:]))
        assert not difference, difference


@pytest.mark.long
def test_the_commands_that_name_a_remote_keep_what_is_ones_own_out_of_git(shelf: Path) -> None:
    (shelf / ".dvc/config").write_text("")
    commands = [one for one in read_commands(DOCUMENT) if one.text.startswith("dvc ")]
    assert len(commands) == 3
    for command in commands:
        run_command(shelf, command.text)
    assert "ssh://data.lab.example/srv/mixlab" in (shelf / ".dvc/config").read_text()
    assert "keyfile" not in (shelf / ".dvc/config").read_text()
    assert run(shelf, "git", "status", "--short") == " M .dvc/config\n"
