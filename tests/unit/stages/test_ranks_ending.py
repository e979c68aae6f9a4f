"""A training in several processes ends as one: by signals, by failures, by the death of its parent, over machines."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ranks_lab
from ranks_lab import build_job

from mixlab.artifacts import code
from mixlab.config.problems import DataError
from mixlab.stages import node
from mixlab.stages.training import run_job
from mixlab.training.launching.failures import find_first_failure

LONG = 100_000
"""Passes of a training that does not end by itself within a test."""

FAKE_SRUN = """#!{python}
import os, subprocess, sys
nodes = int(sys.argv[sys.argv.index("--nodes") + 1])
command = sys.argv[sys.argv.index({python!r}):]
assert sys.argv[1:7] == ["--nodes", str(nodes), "--ntasks", str(nodes), "--ntasks-per-node", "1"]
started = [
    subprocess.Popen(command, env={{**os.environ, "SLURM_NODEID": str(node), "SLURM_NNODES": str(nodes)}})
    for node in range(nodes)
]
sys.exit(max(one.wait() for one in started))
"""
"""What srun does that matters here: one process a node, told which."""


def start(folder: Path, **launch: object) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """Start a training that goes on and on; return its parent and its ranks when a state is saved."""
    path = build_job(folder, passes=LONG, **launch).write(folder)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / "stderr").open("w") as stderr:
        command = [sys.executable, ranks_lab.__file__, str(path)]
        parent = subprocess.Popen(command, env=environment, stderr=stderr)
    wait_for(lambda: list_states(folder))
    return parent, psutil.Process(parent.pid).children()


def list_states(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "resume").glob("state-*[0-9]"))


def wait_for(condition, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.long
def test_slurms_signal_to_one_rank_alone_saves_the_state_of_all_and_says_resubmit(tmp_path: Path) -> None:
    parent, ranks = start(tmp_path)
    assert len(ranks) == 2
    ranks[1].send_signal(signal.SIGUSR1)
    assert parent.wait(60) == 75
    assert list_states(tmp_path)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.long
def test_sigterm_to_the_parent_ends_all_ranks_with_143(tmp_path: Path) -> None:
    parent, ranks = start(tmp_path)
    parent.terminate()
    assert parent.wait(60) == 143
    assert list_states(tmp_path)
    assert not any(rank.is_running() for rank in ranks)


@pytest.mark.long
def test_ranks_that_hang_when_asked_to_end_are_killed_and_it_is_told(tmp_path: Path) -> None:
    parent, ranks = start(tmp_path, stop_seconds=3)
    ranks[0].send_signal(signal.SIGSTOP)
    parent.terminate()
    assert parent.wait(60) == 1
    told = (tmp_path / "stderr").read_text()
    assert "mixlab: training: 2 of 2 processes had not ended 3 s after SIGTERM" in told
    assert not any(rank.is_running() for rank in ranks)


def test_a_node_whose_ranks_were_killed_leaves_word_for_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> None:
        raise DataError("training: 2 of 2 processes had not ended")

    path = build_job(tmp_path, nodes=2).write(tmp_path)
    (tmp_path / "meeting.json").write_text('["here", 1]')
    monkeypatch.setenv("SLURM_NODEID", "1")
    monkeypatch.setenv("SLURM_NNODES", "2")
    monkeypatch.setattr(node, "run_node", hang)
    with pytest.raises(SystemExit) as caught:
        node.main(path)
    assert caught.value.code == 2
    failure = find_first_failure(tmp_path)
    assert failure is not None
    assert (failure.rank, failure.is_users) == (2, True)
    assert failure.text == "training: 2 of 2 processes had not ended"


@pytest.mark.long
def test_ranks_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    parent, ranks = start(tmp_path)
    parent.kill()
    parent.wait()
    wait_for(lambda: all(not rank.is_running() or rank.status() == psutil.STATUS_ZOMBIE for rank in ranks), 10)


@pytest.mark.long
def test_a_killed_rank_ends_the_others_and_is_told(tmp_path: Path) -> None:
    parent, ranks = start(tmp_path)
    ranks[0].kill()
    assert parent.wait(60) == 1
    told = (tmp_path / "stderr").read_text()
    assert "mixlab: training: process 0 of 2 was killed, as the kernel does when memory runs out; raise" in told
    assert not any(rank.is_running() for rank in ranks)


@pytest.mark.long
def test_a_users_mistake_found_in_the_ranks_is_the_parents(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"token id \d+, but the model's vocabulary has 20 entries"):
        run_job(build_job(tmp_path, vocab_size=20))


@pytest.mark.long
def test_two_machines_meet_where_the_first_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    srun = tmp_path / "bin/srun"
    srun.parent.mkdir()
    srun.write_text(FAKE_SRUN.format(python=sys.executable))
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    (tmp_path / "many").mkdir()
    (tmp_path / "one").mkdir()
    run_job(build_job(tmp_path / "many", nodes=2, processes_per_node=1))
    run_job(build_job(tmp_path / "one"))
    logs = [(tmp_path / name / "out/training_log.csv").read_text() for name in ("many", "one")]
    assert logs[0] == logs[1]
    assert logs[0].count("\n") == 4


@pytest.mark.long
def test_the_code_of_the_ranks_counts_as_the_code_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "_seen", {})
    run_job(build_job(tmp_path))
    assert {"mixlab/stages/rank.py", "mixlab/training/engines/group.py"} <= set(code.list_code())


@pytest.mark.parametrize(
    ("states", "seconds_left", "told"),
    [
        (
            ["state-00000012", "state-00000024", "state-00000036.partial"],
            20,
            "the job's time is over: .* after step 24",
        ),
        ([], 20, "the job's time is over: .*; no state is saved yet, so it begins anew when it is started again"),
        (["state-00000012"], 3600, "its step was ended from outside, as by .* goes on after step 12 when"),
        (["state-00000012"], None, "its step was ended from outside, as by .* goes on after step 12 when"),
    ],
)
def test_a_step_that_slurm_ended_is_told_as_such_though_srun_says_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: list[str], seconds_left: int | None, told: str
) -> None:
    srun = tmp_path / "bin/srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\nexit 0\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    if seconds_left is not None:
        monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + seconds_left))
    job = build_job(tmp_path, nodes=2)
    for name in states:
        (job.resume / name).mkdir()
    with pytest.raises(DataError, match=told):
        run_job(job)


def test_nodes_without_slurm_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(DataError, match="2 nodes are started by srun within a job of Slurm, and this is none"):
        run_job(build_job(tmp_path, nodes=2))
