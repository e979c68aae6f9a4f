"""Kills, flipped bytes and bad data: nothing half-made is taken for whole, and the result is the undisturbed one's."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import copy_checkout, list_made, run_python
from runs import differing, kill_group, read_artifacts, run, run_all, start, wait_for

from mixlab.plan.stages import STAGES

MOMENTS = {
    "mixture, between two files": "open:/work/mixture/:2",
    "ipt, mid-training": "os.rename:/resume/:3",
    "sft, after training": "open:training_log.csv:1",
    "generate, between two benchmarks": "open:responses.jsonl:2",
    "publish of a model, before its rename": "os.rename:/out:1",
    "publish of a model, while its manifest is written": "open:/out/manifest.json:1",
}
LONG = {"mixture, between two files", "sft, after training"}
"""Moments like one that the quick suite has."""
STAGE_OF = {"mixture": "mixture", "ipt": "ipt", "sft": "sft", "generate": "generate", "publish": "average"}


def leave_unfinished(root: Path, stage: str) -> None:
    """Remove the artifacts of a stage and of every stage below it."""
    order = list(STAGES)
    for name in order[order.index(stage) :]:
        shutil.rmtree(root / "artifacts" / name, ignore_errors=True)


def save_often(root: Path) -> None:
    """Let training write a resume state after every step or so."""
    with (root / "config.yaml").open("a") as file:
        file.write("  checkpoint_seconds: 0.01\n")


@pytest.mark.parametrize(
    "moment", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in MOMENTS]
)
def test_a_job_killed_at_any_moment_is_made_up_for_by_the_next_run(study: Path, finished: Path, moment: str) -> None:
    stage = STAGE_OF[re.split("[ ,]", moment)[0]]
    leave_unfinished(study, stage)
    save_often(study)
    code, output = run(study, f"stage_{stage}", kill_at=MOMENTS[moment])
    assert code != 0, output
    code, output = run(study, f"stage_{stage}")
    assert code == 0, output
    assert differing(read_artifacts(study, stage), read_artifacts(finished, stage)) == []
    if moment == "ipt, mid-training":
        logs = "".join(path.read_text() for path in (study / "logs/ipt").glob("*.log"))
        assert re.search(r"resum\w* .*step [1-9]", logs), logs


def test_a_trainer_that_survived_snakemake_is_not_joined_by_a_second(study: Path, finished: Path) -> None:
    leave_unfinished(study, "ipt")
    save_often(study)
    process = start(study, "all")
    wait_for(lambda: any((study / "work/ipt").glob("*/resume/state-*")))
    trainer = find_trainer(study)
    os.kill(trainer, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    refused = run_python(study, "-m", "mixlab.cli", "unlock")
    assert refused.returncode == 2
    assert str(trainer) in refused.stderr
    (plan,) = {path.name for path in (study / "work/plans").iterdir()} & plans_of(trainer)
    (key,) = [path.stem for path in (study / "work/ipt").glob("*.lock") if (study / f"work/ipt/{path.stem}").exists()]
    second = run_python(study, "-P", "workflow/scripts/ipt.py", "--plan", f"work/plans/{plan}", "--key", key)
    assert second.returncode == 2
    assert f"process {trainer}" in second.stderr
    os.kill(trainer, signal.SIGKILL)
    wait_for(lambda: run_python(study, "-m", "mixlab.cli", "unlock").returncode == 0)
    run_all(study)
    assert differing(read_artifacts(study), read_artifacts(finished)) == []


def find_trainer(root: Path) -> int:
    """Return the process that trains in `root`."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                here = (folder / "cwd").resolve() == root.resolve()
            except OSError:
                continue
            if here and words[0].endswith(Path(sys.executable).name.encode()) and words[2].endswith(b"/ipt.py"):
                return int(folder.name)
    raise AssertionError("no trainer is running")


def plans_of(process: int) -> set[str]:
    """Names of the plan files on a process's command line."""
    words = (Path("/proc") / str(process) / "cmdline").read_text().split("\0")
    return {Path(word).name for word in words if word.endswith(".jsonl")}


def test_a_snakemake_killed_with_its_jobs_leaves_a_lock_that_unlock_frees(tmp_path: Path, finished: Path) -> None:
    root = copy_checkout(tmp_path / "killed 中断")
    process = start(root, "all")
    wait_for(lambda: len(list_made(root)) >= 8)
    kill_group(process)
    code, output = run(root, "all")
    assert code != 0
    assert "mixlab unlock" in output or "--unlock" in output
    done = run_python(root, "-m", "mixlab.cli", "unlock")
    assert done.returncode == 0, done.stderr
    run_all(root)
    assert differing(read_artifacts(root), read_artifacts(finished)) == []


def test_a_flipped_byte_is_named_by_verify_and_refused_by_the_stage_that_reads_it(study: Path) -> None:
    model = sorted((study / "artifacts/average").glob("*/model.safetensors"))[0]
    leave_unfinished(study, "generate")
    data = bytearray(model.read_bytes())
    data[-5] ^= 1
    model.chmod(0o644)
    model.write_bytes(data)
    verified = run_python(study, "-m", "mixlab.cli", "verify")
    assert verified.returncode != 0
    assert str(model.relative_to(study)) in verified.stdout + verified.stderr
    code, output = run(study, "all")
    assert code != 0
    assert "its digest is not the manifest's" in output
    assert "Traceback" not in output
    key = model.parent.name
    made = [path for path in study.glob("artifacts/generate/*/manifest.json") if key in path.read_text()]
    assert made == []


def test_a_malformed_record_is_named_with_its_file_and_number_and_nothing_is_published(study: Path) -> None:
    with (study / "tests/data/micro/math_en.jsonl").open("a") as file:
        file.write('{"question": "1 + 1?"}\n')
    assert run_python(study, "-m", "mixlab.cli", "lock").returncode == 0
    before = list_made(study)
    code, output = run(study, "all")
    assert code != 0
    assert re.search(r"math_en\.jsonl.*record 161.*answer", output), output
    assert "Traceback" not in output
    assert list_made(study) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_on_a_full_disk_nothing_half_made_is_published_and_a_larger_one_goes_on(tmp_path: Path, finished: Path) -> None:
    root = copy_checkout(tmp_path / "full 満杯")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        for name in ("artifacts", "work"):
            (disk / name).mkdir()
            (root / name).symlink_to(disk / name)
        code, output = run(root, "all")
        assert code != 0
        assert "the disk is full" in output
        assert "Traceback" not in output
        whole = read_artifacts(finished)
        assert {path: whole.get(path) for path in read_artifacts(root)} == read_artifacts(root)
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        run_all(root)
        assert differing(read_artifacts(root), whole) == []
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
