"""Faults of the data chain: a disk that is full at any byte, a source that is another than the one that was locked."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import list_made, list_wanted, run_python
from runs import differing, read_artifacts, run

from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.planfile import render_plan, write_plan

PAGE_BYTES = 4096
FREE_PAGES = (0, 1, 3)
"""A page is what a file takes at least, so the last file of an artifact or the first one does not fit."""
MADE = {
    "source": "micro/source/raw_ja",
    "contamination": "micro/contamination/math_file",
    "filter": "micro/filter/raw_file/1 exact_duplicates",
    "label": "micro/label/reasoning_ja",
    "tokenizer": "micro/tokenizer/bpe",
    "tokenize_shard": "micro/tokenize/bpe/math_file/shard 1 of 2",
    "tokenize": "micro/tokenize/bpe/raw_ja",
    "pack": "micro/pack/bpe/raw_ja/packed 64",
    "mixture": "micro/even/mixture_seed 1/mixture",
    "counts": "micro/counts",
}
QUICK = ("source", "tokenize", "mixture")
"""Stage -> label of the artifact that is made on a full disk."""


def find_key(plan: Plan, label: str) -> str:
    (node,) = [node for node in plan.nodes.values() if label in node.labels]
    return node.key


def write_plan_file(root: Path) -> tuple[Plan, str]:
    """Write the plan file that a run in `root` would; return the plan and the file's name."""
    planned = build_plan(root, ["micro"])
    text = render_plan(planned.plan, planned.config.machine, planned.files)
    return planned.plan, str(write_plan(Store(root), text).relative_to(root))


def make(root: Path, stage: str, plan_file: str, key: str) -> "subprocess.CompletedProcess[str]":
    """Run the job of one artifact."""
    return run_python(root, "-P", f"workflow/scripts/{stage}.py", "--plan", plan_file, "--key", key)


@pytest.fixture
def small_disk(study: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk that artifacts and work of a finished study lie on; skips where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        for name in ("artifacts", "work"):
            shutil.move(study / name, disk / name)
            (study / name).symlink_to(disk / name)
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path, pages: int) -> None:
    """Leave so many pages free."""
    state = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        file.write(bytes(state.f_bavail * state.f_frsize - pages * PAGE_BYTES))


@pytest.mark.parametrize("stage", [pytest.param(one, marks=() if one in QUICK else pytest.mark.long) for one in MADE])
def test_a_disk_that_fills_while_a_data_stage_writes_ends_it_with_nothing_published(
    study: Path, small_disk: Path, finished: Path, stage: str
) -> None:
    plan, plan_file = write_plan_file(study)
    key = find_key(plan, MADE[stage])
    folder = study / "artifacts" / stage / key
    shutil.rmtree(folder)
    failures = 0
    for pages in FREE_PAGES:
        fill(small_disk, pages)
        done = make(study, stage, plan_file, key)
        (small_disk / "filler").unlink()
        if done.returncode:
            failures += 1
            assert done.returncode == 2, done.stderr
            assert "the disk is full" in done.stderr
            assert "Traceback" not in done.stderr
            assert not folder.exists()
        else:
            break
    assert failures
    if not folder.exists():
        done = make(study, stage, plan_file, key)
        assert done.returncode == 0, done.stderr
    whole = read_artifacts(finished, f"{stage}/{key}")
    assert differing(read_artifacts(study, f"{stage}/{key}"), whole) == []


@pytest.mark.parametrize("stage", ["filter", "tokenize_shard", "contamination"])
def test_a_source_file_that_changed_after_it_was_planned_stops_whoever_reads_it(study: Path, stage: str) -> None:
    """Planning looks at a file's size and time; a stage reads its bytes."""
    plan, plan_file = write_plan_file(study)
    label = MADE[stage].replace("raw_file", "math_file")
    key = find_key(plan, label)
    shutil.rmtree(study / "artifacts" / stage / key)
    path = study / "tests/data/micro/math_en.jsonl"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"Lena", b"Lisa"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = make(study, stage, plan_file, key)
    assert done.returncode == 2, done.stderr
    assert "math_en.jsonl" in done.stderr
    assert "mixlab lock" in done.stderr
    assert "Traceback" not in done.stderr
    assert (stage, key) not in list_made(study)


def test_a_source_that_is_locked_anew_after_it_changed_is_another_source(study: Path) -> None:
    path = study / "tests/data/micro/math_en.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Lena", b"Lisa"))
    code, output = run(study, "-n", "all")
    assert code == 2, output
    assert "is not the file that was locked; run `mixlab lock math_file`" in output
    assert run_python(study, "-m", "mixlab.cli", "lock", "math_file").returncode == 0
    stages = Counter(stage for stage, _ in list_wanted(study))
    assert (stages["contamination"], stages["tokenize_shard"], stages["tokenizer"]) == (1, 2, 0)
