"""Several branches, one remote: artifacts of others, merges, other bytes of one key, what was discarded elsewhere."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc_checkouts import clone, commit, list_bytes, mixlab, run
from shelves import make_one, switch

from mixlab.artifacts.dropping import find_digest
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.pointers import list_pointers
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import read_tombstone
from mixlab.artifacts.tracking import list_untracked

A, B, C = "00000000000000aa", "00000000000000bb", "12345678901234e5"


def publish(root: Path, *keys: str) -> None:
    """Track and upload artifacts, and commit."""
    mixlab(root, "track", *keys, "--push")
    commit(root, " ".join(keys))


def lose_here(root: Path) -> None:
    """Take artifacts and cache away, so that only the remote has the bytes."""
    shutil.rmtree(root / "artifacts", ignore_errors=True)
    shutil.rmtree(root / ".dvc/cache", ignore_errors=True)


def make_two_sides(root: Path, stage: str, reproducible: str) -> None:
    """Let branches `left` and `right` track other bytes of one key; the folder stands on `right`, as yet untracked."""
    switch(root, "left", new=True)
    make_one(root, stage, A, "made on the left\n", "gpu-left", reproducible)
    publish(root, A)
    switch(root, "main")
    lose_here(root)
    switch(root, "right", new=True)
    make_one(root, stage, A, "made on the right\n", "gpu-right", reproducible)


def read_payload(root: Path, stage: str, key: str) -> str:
    return (root / "artifacts" / stage / key / "payload.txt").read_text()


def test_an_artifact_of_another_branch_is_fetched_by_the_first_digits_of_its_key_and_git_sees_nothing(
    shelf: Path,
) -> None:
    switch(shelf, "other", new=True)
    make_one(shelf, "ipt", C, "far away\n")
    publish(shelf, C)
    switch(shelf, "main")
    lose_here(shelf)
    card = json.loads(mixlab(shelf, "fetch", C[:6], "--json"))
    assert card["fetched"] == [{"stage": "ipt", "key": C}]
    assert card["bytes"] == sum(map(len, list_bytes(shelf / "artifacts/ipt" / C).values()))
    assert read_payload(shelf, "ipt", C) == "far away\n"
    assert run(shelf, "git", "status", "--short") == ""
    assert "here already" in mixlab(shelf, "fetch", C)
    assert "no commit here tracks such a key" in mixlab(shelf, "fetch", "feedfeed", code=2)
    assert "is no key" in mixlab(shelf, "fetch", "ipt", code=2)


def test_a_clone_whose_history_is_cut_off_names_the_command_that_brings_the_key(shelf: Path, tmp_path: Path) -> None:
    switch(shelf, "other", new=True)
    make_one(shelf, "ipt", C, "far away\n")
    publish(shelf, C)
    switch(shelf, "main")
    shallow = tmp_path / "shallow"
    run(tmp_path, "git", "clone", "--quiet", "--depth", "1", f"file://{shelf}", str(shallow))
    said = mixlab(shallow, "fetch", C, code=2)
    assert "`git remote set-branches origin '*' && git fetch --unshallow` brings what others pushed" in said
    run(shallow, "sh", "-c", said.split("`")[1])
    assert "Fetched 1 artifact" in mixlab(shallow, "fetch", C)
    assert "`git fetch --all` brings what others pushed" in mixlab(shallow, "fetch", "feedfeed", code=2)


def test_restoring_what_is_here_says_that_its_pointer_was_written(shelf: Path) -> None:
    switch(shelf, "other", new=True)
    make_one(shelf, "ipt", C, "here as well\n")
    publish(shelf, C)
    switch(shelf, "main")
    said = mixlab(shelf, "restore", C)
    assert said == f"ipt {C}: here already; its pointer is written, tracked/ipt/{C}.dvc\n"
    assert list_pointers(Store(shelf)) == [("ipt", C)]
    assert mixlab(shelf, "restore", C) == "Nothing to restore.\n"


def test_what_a_side_branch_tracked_and_dropped_before_it_was_merged_is_found_in_history(shelf: Path) -> None:
    switch(shelf, "side", new=True)
    make_one(shelf, "ipt", A, "once\n")
    publish(shelf, A)
    mixlab(shelf, "forget", A)
    commit(shelf, "forgotten")
    switch(shelf, "main")
    commit(shelf, "elsewhere")
    run(shelf, "git", "merge", "--quiet", "--no-edit", "side")
    run(shelf, "git", "branch", "--delete", "side")
    lose_here(shelf)
    assert "Fetched 1 artifact" in mixlab(shelf, "fetch", A)
    assert list_pointers(Store(shelf)) == []


def test_two_people_who_track_different_artifacts_merge_without_conflict(shelf: Path) -> None:
    for branch, key in (("left", A), ("right", B)):
        switch(shelf, "main")
        switch(shelf, branch, new=True)
        make_one(shelf, "ipt", key, key)
        publish(shelf, key)
    run(shelf, "git", "merge", "--quiet", "--no-edit", "left")
    assert list_pointers(Store(shelf)) == [("ipt", A), ("ipt", B)]
    assert "Nothing to merge" in mixlab(shelf, "merge")


def test_numeric_bytes_that_differ_are_two_valid_children_and_one_line_keeps_one(shelf: Path) -> None:
    make_two_sides(shelf, "ipt", "numeric")
    said = mixlab(shelf, "track", A, "--push")
    assert "one key, 2 sets of bytes" in said
    assert "equally valid" in said
    assert "machine.accelerator" in said
    assert said.count("    made 20") == 2
    commit(shelf, "right")
    assert "CONFLICT" in run(shelf, "git", "merge", "--no-edit", "left", code=1)
    (clash,) = json.loads(mixlab(shelf, "merge", "--json", code=1))["clashes"]
    left = next(side for side in clash["sides"] if side["places"] == ["theirs"])
    assert [one["machine"] for one in left["provenance"]] == [{"accelerator": "gpu-left"}]
    assert read_payload(shelf, "ipt", A) == "made on the right\n"
    mixlab(shelf, "merge", "--keep", left["digest"][:10], A)
    assert read_payload(shelf, "ipt", A) == "made on the left\n"
    run(shelf, "git", "commit", "--quiet", "--no-edit")
    assert "Nothing to merge" in mixlab(shelf, "merge")


def test_bytes_that_break_a_promise_are_named_as_such_and_git_checkout_resolves_them_too(shelf: Path) -> None:
    make_two_sides(shelf, "pack", "bytes")
    assert "broken promise: pack declares" in mixlab(shelf, "track", A, code=1)
    mixlab(shelf, "track", A, "--push")
    commit(shelf, "right")
    run(shelf, "git", "merge", "--no-edit", "left", code=1)
    assert "a broken promise" in mixlab(shelf, "merge", code=1)
    run(shelf, "git", "checkout", "--theirs", f"tracked/pack/{A}.dvc")
    run(shelf, "git", "add", "tracked")
    assert "here with other bytes than its pointer's" in mixlab(shelf, "merge", code=1)
    assert "artifact kept" in mixlab(shelf, "merge", "--keep", _read_oid(shelf, "pack")[:8], A)
    assert read_payload(shelf, "pack", A) == "made on the left\n"
    run(shelf, "git", "commit", "--quiet", "--no-edit")


def _read_oid(root: Path, stage: str) -> str:
    return (root / f"tracked/{stage}/{A}.dvc").read_text().split("md5: ")[1].split()[0]


def test_which_bytes_to_fetch_is_asked_where_branches_have_several(shelf: Path) -> None:
    make_two_sides(shelf, "ipt", "numeric")
    publish(shelf, A)
    switch(shelf, "main")
    lose_here(shelf)
    said = mixlab(shelf, "fetch", A, code=2)
    assert "  --digest" not in said
    assert f"mixlab fetch {A} --digest DIGEST" in said
    (line,) = [line for line in said.splitlines() if line.endswith("  left")]
    mixlab(shelf, "fetch", A, "--digest", line.split()[0])
    assert read_payload(shelf, "ipt", A) == "made on the left\n"
    assert "is none of" in mixlab(shelf, "fetch", A, "--digest", "ffffff", code=2)


def test_who_must_push_is_named_though_only_another_branch_tracks_it(shelf: Path) -> None:
    switch(shelf, "other", new=True)
    make_one(shelf, "ipt", C, "never pushed\n")
    mixlab(shelf, "track", C)
    commit(shelf, C)
    switch(shelf, "main")
    lose_here(shelf)
    (shelf.parent / "remote/files/md5").mkdir(parents=True)
    assert "pointer committed by Hanako Data, commit " in mixlab(shelf, "fetch", C, code=2)


def test_a_tombstone_has_the_digest_of_the_bytes_that_the_pointer_names(shelf: Path) -> None:
    make_two_sides(shelf, "ipt", "numeric")
    publish(shelf, A)
    run(shelf, "git", "merge", "--no-edit", "left", code=1)
    mixlab(shelf, "merge", "--keep", "theirs")
    left = read_manifest(shelf / "artifacts/ipt" / A).digest
    shutil.rmtree(shelf / "artifacts")
    assert find_digest(Store(shelf), ("ipt", A)) == left
    shutil.rmtree(shelf / ".dvc/cache")
    assert find_digest(Store(shelf), ("ipt", A)) == "", "provenance knows of two"
    mixlab(shelf, "discard", A, "--reason", "averaged")
    assert read_tombstone(Store(shelf), ("ipt", A)).digest == left


def test_a_discard_on_one_branch_holds_in_a_merge_unless_the_other_tracks_anew(shelf: Path) -> None:
    for key in (A, B):
        make_one(shelf, "ipt", key, key)
    publish(shelf, A, B)
    switch(shelf, "drops", new=True)
    mixlab(shelf, "discard", A, B, "--reason", "averaged")
    commit(shelf, "discarded")
    switch(shelf, "main")
    mixlab(shelf, "restore", A, B)
    run(shelf, "git", "rm", "--quiet", f"tracked/ipt/{B}.dvc")
    shutil.rmtree(shelf / "artifacts/ipt" / B)
    make_one(shelf, "ipt", B, "made again\n")
    publish(shelf, B)
    run(shelf, "git", "merge", "--no-edit", "drops", code=1)
    said = mixlab(shelf, "merge")
    assert "no longer discarded: 1 ipt" in said
    run(shelf, "git", "commit", "--quiet", "--no-edit")
    assert list_pointers(Store(shelf)) == [("ipt", B)]
    assert [path.stem for path in shelf.glob("discarded/ipt/*")] == [A]
    (shelf / f"tracked/ipt/{B}.dvc").unlink()
    copies = [("ipt", A), ("ipt", B)]
    assert list_untracked(Store(shelf), copies) == [("ipt", B)], "the copy of what somebody discarded is left alone"
    mixlab(shelf, "track", A, B)
    assert list_pointers(Store(shelf)) == copies
    assert not list(shelf.glob("discarded/ipt/*"))


def test_a_remote_is_freed_of_what_nobody_tracks_and_of_nothing_else(shelf: Path, tmp_path: Path) -> None:
    make_one(shelf, "ipt", A, "tracked by a colleague\n")
    publish(shelf, A)
    other = clone(shelf, tmp_path / "colleague")
    run(other, "git", "switch", "--quiet", "--create", "theirs")
    make_one(other, "ipt", C, "pushed, its pointer not yet\n")
    mixlab(other, "track", C, "--push")
    run(shelf, "git", "remote", "add", "colleague", str(other))
    make_one(shelf, "ipt", B, "of no use\n")
    publish(shelf, B)
    mixlab(shelf, "forget", A, B)
    commit(shelf, "forgotten")
    there = set(list_bytes(tmp_path / "remote"))
    card = json.loads(mixlab(shelf, "gc", "--remote", "--json"))
    assert [one["key"] for one in card["artifacts"]] == [B]
    assert card["unknown"] == 3 and not card["removed"]
    assert set(list_bytes(tmp_path / "remote")) == there
    assert "--yes removes them, for everybody" in mixlab(shelf, "gc", "--remote")
    mixlab(shelf, "gc", "--remote", "--yes")
    assert there - set(list_bytes(tmp_path / "remote")) == {f"files/md5/{oid[:2]}/{oid[2:]}" for oid in card["objects"]}
    for key in (A, C):
        lose_here(other)
        mixlab(other, "restore", key)
    shutil.rmtree(other)
    assert "what its branches track is not known" in mixlab(shelf, "gc", "--remote", "--yes", code=2)


def test_a_state_to_resume_from_is_never_tracked(shelf: Path) -> None:
    store = Store(shelf)
    with pytest.raises(RuntimeError), store.writing("ipt", A) as draft:
        assert draft is not None
        (draft.resume / "state.safetensors").write_text("half way")
        (draft.out / "snapshot.safetensors").write_text("half written")
        raise RuntimeError("killed")
    make_one(shelf, "ipt", B, "whole\n")
    mixlab(shelf, "track", B, "--push")
    assert list_pointers(store) == [("ipt", B)]
    assert "is no stage, no study and no key" in mixlab(shelf, "track", A, code=2)
    assert (shelf / f"work/ipt/{A}/resume/state.safetensors").is_file()
    kept = {*list_bytes(shelf.parent / "remote").values(), *list_bytes(shelf / ".dvc/cache").values()}
    assert not any(text in content for content in kept for text in (b"half way", b"half written", b"resume"))
    assert "work/" not in run(shelf, "git", "status", "--short", "--untracked-files=all")


def test_a_half_written_object_on_the_remote_is_uploaded_again(shelf: Path, tmp_path: Path) -> None:
    make_one(shelf, "ipt", A, "a long text that an upload left half written\n")
    mixlab(shelf, "track", A, "--push")
    whole = list_bytes(tmp_path / "remote")
    (folder,) = [name for name in whole if name.endswith(".dir")]
    (payload,) = [name for name, text in whole.items() if text.startswith(b"a long text")]
    (tmp_path / "remote" / folder).unlink()
    (tmp_path / "remote" / payload).chmod(0o644)
    (tmp_path / "remote" / payload).write_text("a long")
    mixlab(shelf, "track", A, "--push")
    assert list_bytes(tmp_path / "remote") == whole


def test_without_a_remote_the_error_names_the_command_that_adds_one(shelf: Path) -> None:
    (shelf / ".dvc/config").write_text("[core]\n    analytics = false\n")
    make_one(shelf, "ipt", A, "here\n")
    assert "`dvc remote add --default NAME PLACE`" in mixlab(shelf, "track", A, "--push", code=2)
    assert "`dvc remote add --default NAME PLACE`" in mixlab(shelf, "gc", "--remote", "--alone", code=2)
    assert not (shelf / f"tracked/ipt/{A}.dvc").exists()


def test_a_full_disk_says_so_and_the_next_try_goes_on(shelf: Path) -> None:
    for key in (A, B):
        make_one(shelf, "ipt", key, key * 20_000)
    publish(shelf, A, B)
    made = list_bytes(shelf / "artifacts")
    lose_here(shelf)
    cache = shelf / ".dvc/cache"
    cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", cache]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk of one's own needs the right to mount")
    try:
        said = mixlab(shelf, "restore", A, B, code=2)
    finally:
        subprocess.run(["umount", cache], check=True)
    assert "No space left on device" in said
    assert "free space, then run again" in said
    assert "Traceback" not in said
    assert not list(shelf.glob("artifacts/*/*/manifest.json"))
    assert "Restored 2 artifacts" in mixlab(shelf, "restore", A, B)
    assert list_bytes(shelf / "artifacts") == made
