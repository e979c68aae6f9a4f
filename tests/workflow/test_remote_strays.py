"""Bytes that contradict their pointer are noticed by whatever would use them, however git brought the pointer."""

import json
import shutil
from pathlib import Path

import pytest
from checkouts import REPOSITORY
from dvc_checkouts import (
    clone,
    commit,
    empty_remote,
    make_artifacts,
    make_repository,
    mixlab,
    plan_micro,
    run,
    snakemake,
)
from shelves import make_one, make_shelf, switch

from mixlab.artifacts.pointers import read_pointer, write_pointer
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import find_strays, name_folder
from mixlab.plan.workflow import open_workflow

A, B = "00000000000000aa", "00000000000000bb"
OTHER_BYTES = "here with other bytes than its pointer's"


@pytest.fixture
def shelf(shelf: Path) -> Path:
    """Branches `left` and `right` track other bytes of one key; the folder stands on `right`, with its bytes."""
    for branch in ("left", "right"):
        switch(shelf, "main")
        lose_here(shelf)
        switch(shelf, branch, new=True)
        make_one(shelf, "ipt", A, f"made on the {branch}\n", f"gpu-{branch}")
        mixlab(shelf, "track", A, "--push")
        commit(shelf, branch)
    return shelf


def lose_here(root: Path) -> None:
    for place in ("artifacts", ".dvc/cache"):
        shutil.rmtree(root / place, ignore_errors=True)


def read_payload(root: Path) -> str:
    return (root / f"artifacts/ipt/{A}/payload.txt").read_text()


def check_noticed(root: Path) -> None:
    """Every command that reads artifacts says it, and the command in the message brings the pointer's bytes."""
    assert OTHER_BYTES in mixlab(root, "restore", A, code=2)
    assert "1 artifact checked, 1 damaged" in mixlab(root, "verify", A, code=1)
    assert OTHER_BYTES in mixlab(root, "verify", "--repair", A, code=1)
    assert OTHER_BYTES in mixlab(root, "track", A, code=1)
    (line,) = [line for line in mixlab(root, "merge", code=1).splitlines() if OTHER_BYTES in line]
    mixlab(root, *line.split("`")[1].split()[1:])
    assert mixlab(root, "verify", A).startswith("1 artifact checked, 0 damaged")


def test_after_a_switch_of_branches(shelf: Path) -> None:
    assert find_strays(Store(shelf)) == []
    switch(shelf, "left")
    check_noticed(shelf)
    assert read_payload(shelf) == "made on the left\n"


def test_after_a_pull_that_was_a_fast_forward_of_bytes_that_only_history_tracks(shelf: Path, tmp_path: Path) -> None:
    other = clone(shelf, tmp_path / "colleague")
    mixlab(other, "restore", A)
    (left,) = [name for name in run(shelf, "git", "show", f"left:tracked/ipt/{A}.dvc").split() if ".dir" in name]
    run(shelf, "git", "merge", "--no-edit", "left", code=1)
    mixlab(shelf, "merge", "--keep", "theirs", A)
    run(shelf, "git", "commit", "--quiet", "--no-edit")
    run(shelf, "git", "branch", "--force", "main")
    run(other, "git", "pull", "--quiet")
    run(other, "git", "commit", "--quiet", "--allow-empty", "--message", "later")
    assert left in (other / f"tracked/ipt/{A}.dvc").read_text()
    check_noticed(other)
    assert read_payload(other) == "made on the left\n"


def test_the_hooks_say_so_after_a_switch_and_a_fast_forward(shelf: Path) -> None:
    mixlab(shelf, "merge", "--install")
    path = {"PYTHONPATH": str(REPOSITORY / "src")}
    assert OTHER_BYTES in run(shelf, "git", "switch", "left", **path)
    assert OTHER_BYTES not in run(shelf, "git", "switch", "right", **path)
    run(shelf, "git", "branch", "behind", "main")
    switch(shelf, "behind")
    assert OTHER_BYTES in run(shelf, "git", "merge", "left", **path)


def test_no_run_reads_them_and_what_is_being_made_again_is_no_contradiction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = make_repository(tmp_path)
    monkeypatch.chdir(root)
    nodes = list(plan_micro(root).nodes.values())
    (report,) = [node for node in nodes if node.stage == "report"]
    (aggregate,) = [node for node in nodes if node.stage == "aggregate"]
    make_artifacts(root, [node for node in nodes if node != report])
    mixlab(root, "track")
    assert open_workflow(root, {}, is_main=True, environment={}).demand.run == (report.key,)
    store = Store(root)
    pointer = read_pointer(store, aggregate.name)
    shutil.rmtree(store.folder(*aggregate.name))
    make_artifacts(root, [aggregate], "other bytes")
    assert f"aggregate {aggregate.key}: {OTHER_BYTES}" in snakemake(root, "--dry-run", "all", code=2)
    (root / "work/recompute.json").write_text(json.dumps([aggregate.name]))
    assert open_workflow(root, {}, is_main=True, environment={}).demand.run == (report.key,)
    mixlab(root, "track")
    assert read_pointer(store, aggregate.name) != pointer
    assert find_strays(store) == []
    write_pointer(store, pointer)
    assert find_strays(store) == [aggregate.name]


def test_a_folder_is_named_as_dvc_names_it_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = make_shelf(tmp_path / "shelf")
    store = Store(root)
    with store.writing("ipt", A) as draft:
        assert draft is not None
        (draft.out / "b/日本").mkdir(parents=True)
        for name in ("b/日本/ü.txt", "b.txt", "a", "empty"):
            (draft.out / name).write_text("" if name == "empty" else name)
        draft.publish({}, {})
    mixlab(root, "track", A)
    folder = store.folder("ipt", A)
    assert name_folder(folder) == read_pointer(store, ("ipt", A)).oid
    shutil.rmtree(root / ".dvc/cache")
    assert find_strays(store) == []
    monkeypatch.setattr("mixlab.artifacts.strays.name_bytes", lambda *given: pytest.fail("looked at again"))
    assert find_strays(store) == []


def test_a_fetch_of_other_bytes_than_those_here_names_both(shelf: Path) -> None:
    switch(shelf, "main")
    (line,) = [line for line in mixlab(shelf, "fetch", A, code=2).splitlines() if line.endswith("  left")]
    said = mixlab(shelf, "fetch", A, "--digest", line.split()[0], code=2)
    assert f"than those asked for ({line.split()[0]})" in said
    assert f"mixlab merge --keep {line.split()[0]} {A}" in said
    assert read_payload(shelf) == "made on the right\n"
    (line,) = [line for line in mixlab(shelf, "fetch", A, code=2).splitlines() if line.endswith("  right")]
    assert "here already" in mixlab(shelf, "fetch", A, "--digest", line.split()[0])


def test_restore_writes_no_pointer_to_what_cannot_be_had_or_may_be_either_of_two(shelf: Path) -> None:
    switch(shelf, "main")
    lose_here(shelf)
    assert "one key, 2 sets of bytes" in mixlab(shelf, "restore", A, code=2)
    run(shelf, "git", "branch", "--delete", "--force", "right")
    empty_remote(shelf)
    assert "neither cache nor remote has its data" in mixlab(shelf, "restore", A, code=2)
    assert run(shelf, "git", "status", "--short", "--untracked-files=all") == ""


def test_they_are_not_discarded_by_the_way(shelf: Path) -> None:
    make_one(shelf, "ipt", B, "of both\n")
    switch(shelf, "left")
    said = mixlab(shelf, "discard", A, B, "--reason", "x", code=2)
    assert OTHER_BYTES in said
    assert "--unpushed drops what is here, even an only copy" in said
    assert read_payload(shelf) == "made on the right\n"
    assert run(shelf, "git", "status", "--short", "tracked", "discarded") == ""
    mixlab(shelf, "discard", A, "--reason", "x", "--unpushed")
    assert not (shelf / f"artifacts/ipt/{A}").exists()


def test_what_they_share_with_those_discarded_stays_in_the_cache(shelf: Path) -> None:
    empty_remote(shelf)
    for branch in ("one", "two"):
        switch(shelf, "main")
        switch(shelf, branch, new=True)
        with Store(shelf).writing("ipt", B) as draft:
            assert draft is not None
            for name, text in (("config.json", "{}\n"), ("weights", branch)):
                (draft.out / name).write_text(text)
            draft.publish({}, {})
        mixlab(shelf, "track", B)
        commit(shelf, branch)
        shutil.rmtree(shelf / f"artifacts/ipt/{B}")
    mixlab(shelf, "restore", B)
    mixlab(shelf, "discard", B, "--reason", "x", "--unpushed")
    commit(shelf, "discarded")
    switch(shelf, "one")
    assert "Restored 1 artifact" in mixlab(shelf, "restore", B)
