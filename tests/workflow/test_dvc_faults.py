"""What goes wrong with data that is elsewhere: never pushed, damaged, dropped on purpose, no longer needed."""

import json
import shutil
from pathlib import Path

from dvc_checkouts import (
    commit,
    empty_remote,
    flip_byte,
    list_bytes,
    make_artifacts,
    make_foreign,
    mixlab,
    plan_micro,
    run,
    snakemake,
)
from edits import REMAKING

from mixlab.artifacts.locks import hold_lock
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.plan.graph import Node

FOREIGN = "00000000000000aa"


def first(root: Path, stage: str) -> Node:
    """The first node of a stage."""
    return plan_micro(root).by_stage(stage)[0]


def take_away(root: Path, name: Name) -> Path:
    """Remove an artifact's folder."""
    folder = root / "artifacts" / name[0] / name[1]
    shutil.rmtree(folder)
    return folder


def list_cached(root: Path) -> set[str]:
    """Names of the objects in a copy's cache."""
    return {path.parent.name + path.name for path in (root / ".dvc/cache/files/md5").glob("??/*")}


def lose(root: Path, name: Name) -> None:
    """Take an artifact away together with cache and remote."""
    take_away(root, name)
    shutil.rmtree(root / ".dvc/cache")
    empty_remote(root)


def test_a_pointer_without_data_stops_a_run_before_its_first_job(root: Path) -> None:
    report = first(root, "report")
    lose(root, report.name)
    said = snakemake(root, "all", code=2)
    assert f"report {report.key}: tracked, but neither cache nor remote has its data" in said
    assert "Hanako Data, commit" in said
    assert "mixlab forget" in said
    assert "rule fetch" not in said


def test_a_remote_that_is_not_mounted_is_named_and_nothing_counts_as_lost(root: Path) -> None:
    report = first(root, "report")
    take_away(root, report.name)
    shutil.rmtree(root / ".dvc/cache")
    shutil.move(root.parent / "remote", root.parent / "elsewhere")
    for said in (
        snakemake(root, "--dry-run", "all", code=2),
        mixlab(root, "restore", "micro", code=2),
        mixlab(root, "restore", "--recompute-missing", code=2),
    ):
        assert f"remote 'store': {root.parent / 'remote'} does not exist (is it mounted?)" in said
        assert "forget" not in said
    assert not (root / "work/recompute.json").exists()
    assert not (root.parent / "remote").exists()
    shutil.move(root.parent / "elsewhere", root.parent / "remote")
    assert "Restored 1 artifact" in mixlab(root, "restore", "micro")


def test_restoring_lists_all_that_is_missing_and_fetches_nothing(root: Path) -> None:
    report, ipt = first(root, "report"), first(root, "ipt")
    take_away(root, ipt.name)
    shutil.copytree(root.parent / "remote", root.parent / "whole")
    lose(root, report.name)
    said = mixlab(root, "restore", ipt.key, report.key, code=2)
    assert ipt.key in said
    assert report.key in said
    shutil.rmtree(root.parent / "remote")
    shutil.move(root.parent / "whole", root.parent / "remote")
    (lost,) = (root.parent / "remote").rglob(f"{_oid(root, ipt.name)[2:]}")
    lost.unlink()
    said = mixlab(root, "restore", ipt.key, report.key, code=2)
    assert ipt.key in said
    assert report.key not in said
    assert not list(root.glob("artifacts/report/*"))


def _oid(root: Path, name: Name) -> str:
    text = (root / "tracked" / name[0] / f"{name[1]}.dvc").read_text()
    return text.split("md5: ")[1].split()[0]


def test_recomputing_what_is_missing_makes_it_wanted_until_it_is_tracked_again(root: Path) -> None:
    report = first(root, "report")
    lose(root, report.name)
    pointer = root / f"tracked/report/{report.key}.dvc"
    before = pointer.read_text()
    mixlab(root, "restore", "--recompute-missing")
    wanted = json.loads(mixlab(root, "plan", "--json"))
    assert [node["key"] for node in wanted["run"]] == [report.key]
    make_artifacts(root, [report], payload="made again")
    mixlab(root, "track")
    assert pointer.read_text() != before
    assert not (root / "work/recompute.json").exists()
    assert "up to date" in run(root, "dvc", "status", str(pointer.relative_to(root)))


def test_forgetting_drops_the_pointer_and_nothing_else(root: Path) -> None:
    report = first(root, "report")
    cached, there = list_cached(root), list_bytes(root / "artifacts")
    assert "git add tracked/report" in mixlab(root, "forget", report.key[:9])
    assert not (root / f"tracked/report/{report.key}.dvc").exists()
    assert (list_cached(root), list_bytes(root / "artifacts")) == (cached, there)
    assert "has no pointer" in mixlab(root, "forget", report.key, code=2)


def test_restoring_fills_the_empty_folder_that_snakemake_made(root: Path) -> None:
    ipt = first(root, "ipt")
    there = list_bytes(root / "artifacts")
    take_away(root, ipt.name).mkdir()
    assert "Restored 1 artifact" in mixlab(root, "restore", ipt.key)
    assert list_bytes(root / "artifacts") == there
    assert "up to date" in run(root, "dvc", "status")


def test_a_key_of_another_branch_is_found_by_history_and_restored(root: Path) -> None:
    run(root, "git", "switch", "--quiet", "--create", "elsewhere")
    name = make_foreign(root, "ipt", FOREIGN)
    mixlab(root, "track", FOREIGN, "--push")
    commit(root, "a checkpoint")
    run(root, "git", "switch", "--quiet", "main")
    take_away(root, name)
    shutil.rmtree(root / ".dvc/cache")
    assert "Restored 1 artifact" in mixlab(root, "restore", FOREIGN)
    assert Store(root).open(*name).is_dir()
    assert "no commit here tracks such a key" in mixlab(root, "restore", "00000000000000ab", code=2)


def test_a_flipped_byte_is_named_and_mended_though_the_cache_has_it_too(root: Path) -> None:
    ipt = first(root, "ipt")
    folder = take_away(root, ipt.name)
    mixlab(root, "restore", ipt.key)
    payload = folder / "payload.txt"
    good = payload.read_bytes()
    assert payload.stat().st_nlink == 2
    flip_byte(payload)
    assert str(payload) in mixlab(root, "verify", code=1)
    assert "replaced by its tracked copy" in mixlab(root, "verify", "--repair", ipt.key)
    assert payload.read_bytes() == good
    mixlab(root, "verify", "ipt")


def test_a_flipped_byte_without_a_good_copy_stays_and_forget_is_named(root: Path) -> None:
    ipt = first(root, "ipt")
    folder = take_away(root, ipt.name)
    mixlab(root, "restore", ipt.key)
    flip_byte(folder / "payload.txt")
    empty_remote(root)
    bad = list_bytes(folder)
    assert f"mixlab forget {ipt.key}" in mixlab(root, "verify", "--repair", code=2)
    assert list_bytes(folder) == bad
    mixlab(root, "forget", ipt.key)
    assert "removed; the next run makes it again" in mixlab(root, "verify", "--repair", ipt.key)
    assert not folder.exists()


def test_a_cached_flipped_byte_is_not_restored(root: Path) -> None:
    ipt = first(root, "ipt")
    folder = take_away(root, ipt.name)
    mixlab(root, "restore", ipt.key)
    good = list_bytes(folder)
    flip_byte(folder / "payload.txt")
    take_away(root, ipt.name)
    mixlab(root, "restore", ipt.key)
    assert list_bytes(folder) == good


def test_what_is_damaged_is_not_tracked(root: Path) -> None:
    name = make_foreign(root, "ipt", FOREIGN)
    payload = root / "artifacts" / "/".join(name) / "payload.txt"
    flip_byte(payload)
    assert "nothing was tracked" in mixlab(root, "track", FOREIGN, code=2)
    assert not (root / f"tracked/ipt/{FOREIGN}.dvc").exists()


def test_an_upload_that_fails_leaves_no_pointer(root: Path) -> None:
    make_foreign(root, "ipt", FOREIGN)
    shutil.rmtree(root.parent / "remote")
    (root.parent / "remote").write_text("not a folder")
    mixlab(root, "track", FOREIGN, "--push", code=2)
    assert not (root / f"tracked/ipt/{FOREIGN}.dvc").exists()


def test_discarded_data_is_finished_and_gone_from_the_cache(root: Path) -> None:
    ipt = {node.key for node in plan_micro(root).by_stage("ipt")}
    cached = list_cached(root)
    said = mixlab(root, "discard", "ipt", "--reason", "averaged")
    assert f"Discarded {len(ipt)} artifacts" in said
    assert {path.stem for path in (root / "discarded/ipt").iterdir()} == ipt
    assert not list(root.glob("artifacts/ipt/*")) + list(root.glob("tracked/ipt/*"))
    assert len(cached - list_cached(root)) == 3 * len(ipt)
    assert "Nothing to be done" in snakemake(root, "--dry-run", "all")
    assert "up to date" in run(root, "dvc", "status")
    assert "nothing to discard" in mixlab(root, "discard", "ipt", "--reason", "again", code=2)


def test_a_discarded_artifact_that_came_back_loses_its_tombstone_when_tracked(root: Path) -> None:
    ipt = first(root, "ipt")
    mixlab(root, "discard", ipt.key, "--reason", "averaged")
    make_artifacts(root, [ipt])
    mixlab(root, "track")
    assert not (root / f"discarded/ipt/{ipt.key}.json").exists()
    assert (root / f"tracked/ipt/{ipt.key}.dvc").exists()


def test_the_only_copy_what_is_needed_and_what_a_study_is_for_are_not_discarded_lightly(root: Path) -> None:
    there = list_bytes(root / "artifacts")
    assert "aggregate cannot be discarded" in mixlab(root, "discard", "aggregate", "--reason", "x", code=2)
    REMAKING[0].apply(root)
    said = mixlab(root, "discard", "source", "pack", "--reason", "x", code=2)
    assert "needed by mixture" in said
    assert "--force" in said
    make_foreign(root, "ipt", FOREIGN)
    assert "--unpushed drops the only copy" in mixlab(root, "discard", FOREIGN, "--reason", "x", code=2)
    mixlab(root, "discard", FOREIGN, "--reason", "x", "--unpushed")
    assert list_bytes(root / "artifacts") == there


def test_gc_keeps_studies_branches_and_writers_and_frees_pushed_copies_first(root: Path) -> None:
    there = list_bytes(root / "artifacts")
    run(root, "git", "switch", "--quiet", "--create", "kept")
    make_foreign(root, "ipt", "00000000000000a1")
    mixlab(root, "track", "00000000000000a1", "--push")
    commit(root, "kept")
    make_foreign(root, "ipt", "00000000000000a2")
    mixlab(root, "track", "00000000000000a2", "--push")
    commit(root, "pushed")
    mixlab(root, "forget", "00000000000000a2")
    commit(root, "forgotten")
    run(root, "git", "switch", "--quiet", "main")
    for key in ("00000000000000a3", "00000000000000a4"):
        make_foreign(root, "ipt", key)
    (root / "work/ipt/00000000000000a5/resume").mkdir(parents=True)
    with hold_lock(Store(root).lock_path("ipt", "00000000000000a4")):
        card = json.loads(mixlab(root, "gc", "--json"))
        assert [one["key"] for one in card["free"]] == ["00000000000000a2"]
        assert [one["key"] for one in card["stay"]] == ["00000000000000a3"]
        assert card["work"] == ["work/ipt/00000000000000a5"]
        assert "--yes frees it" in mixlab(root, "gc")
        cached = list_cached(root)
        mixlab(root, "gc", "--yes")
        assert _list_foreign(root) == {"00000000000000a1", "00000000000000a3", "00000000000000a4"}
        assert len(cached - list_cached(root)) == 3
        mixlab(root, "gc", "--yes", "--unpushed")
        assert _list_foreign(root) == {"00000000000000a1", "00000000000000a4"}
    assert there.items() <= list_bytes(root / "artifacts").items()
    assert not (root / "work/ipt/00000000000000a5").exists()


def _list_foreign(root: Path) -> set[str]:
    return {path.name for path in root.glob("artifacts/ipt/00000000000000*")}


def test_gc_refuses_while_a_study_cannot_be_read(root: Path) -> None:
    (root / "studies/broken.yaml").write_text("variants: [")
    assert "studies/broken.yaml" in mixlab(root, "gc", "--yes", code=2)
