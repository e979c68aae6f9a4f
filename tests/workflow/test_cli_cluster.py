"""`mixlab cluster orphans` without Slurm: processes that outlive their run are found by the locks they hold."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from checkouts import environment
from click.testing import Result

from mixlab.artifacts import runs as noted
from mixlab.artifacts.errors import ArtifactError, BusyError
from mixlab.artifacts.locks import Writer, list_writers
from mixlab.artifacts.runs import JobCard, begin_run, list_runs, name_host, read_jobs
from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
from mixlab.plan.orphans import cancel_orphans, find_orphans
from mixlab.plan.planfile import render_plan, write_plan

Invoke = Callable[..., Result]
RUN = "from pathlib import Path; import sys, time\nfrom mixlab.artifacts.runs import begin_run\n" + (
    "held = begin_run(Path('work'), sys.argv[1], {})\nprint(held[0], flush=True)\ntime.sleep(600)"
)
WRITE = "from pathlib import Path; import sys, time\nfrom mixlab.artifacts.store import Store\n" + (
    "with Store(Path.cwd()).writing(sys.argv[1], sys.argv[2], {'run': sys.argv[3]}):\n"
    "    print('writing', flush=True)\n    time.sleep(600)"
)


class Lab:
    """Processes in a working folder: runs, and writers of theirs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        planned = build_plan(root)
        text = render_plan(planned.plan, planned.config.machine, planned.files)
        self.plan = str(write_plan(Store(root), text).relative_to(root))
        self.nodes = planned.plan.by_stage("sft")
        self.started: list[subprocess.Popen[str]] = []

    def start(self, code: str, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """Start Python; return it and the first line it prints."""
        command = [sys.executable, "-c", code, *arguments]
        env = environment(Path(__file__).resolve().parents[2])
        process = subprocess.Popen(command, cwd=self.root, env=env, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()


@pytest.fixture
def lab(micro: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("PATH", "/nowhere")
    lab = Lab(micro)
    yield lab
    for process in lab.started:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_writers_of_a_dead_run_are_listed_and_ended_and_no_others(lab: Lab, invoke: Invoke) -> None:
    runs = [lab.start(RUN, lab.plan) for _ in range(2)]
    names = [name for _, name in runs]
    writers = [lab.start(WRITE, *node.name, name)[0] for node, name in zip(lab.nodes, [*names, ""], strict=False)]
    assert len(writers) == 3
    assert json.loads(invoke("cluster", "orphans", "--json").stdout)["orphans"] == []
    assert [run.is_alive for run in list_runs(Path("work"))] == [True, True]
    runs[0][0].kill()
    runs[0][0].wait()
    said = invoke("cluster", "orphans").stdout
    assert said.startswith("Slurm's commands are not on this machine: ")
    assert f"{lab.nodes[0].key}  writing  since " in said
    assert said.splitlines()[-1].endswith(f":{writers[0].pid}  {lab.nodes[0].label}")
    assert len(said.splitlines()) == 3
    assert invoke("unlock").exit_code == 2
    done = invoke("cluster", "orphans", "--cancel", "--yes", "--json")
    card = json.loads(done.stdout)
    assert (done.exit_code, len(card["orphans"]), card["left"]) == (0, 1, 0)
    assert writers[0].wait(10) == -signal.SIGTERM
    assert [writer.poll() for writer in writers[1:]] == [None, None]


def test_a_run_that_lives_is_not_unlocked_though_all_its_jobs_wait_in_the_queue(lab: Lab, invoke: Invoke) -> None:
    process, _ = lab.start(RUN, lab.plan)
    lock = Path(".snakemake/locks/0.input.lock")
    lock.parent.mkdir(parents=True)
    lock.write_text("config.yaml\n")
    who = f"process {process.pid} on {socket.gethostname()} since "
    refused = invoke("unlock")
    assert refused.exit_code == 2
    assert f"a run of Snakemake lives: {who}" in refused.stderr
    assert lock.exists()
    assert f"No job is at work, but a run of Snakemake lives: {who}" in invoke("status").stdout
    process.kill()
    process.wait()
    assert "or was killed (`mixlab unlock` tells)" in invoke("status").stdout


SLURM = """#!/bin/sh
cd "$(dirname "$0")"
case "$(basename "$0") $*" in
scancel*) echo "$*" >> cancelled ;;
squeue*--clusters=far*) [ -e cancelled ] || echo "7|NAME|PENDING|0:00||Priority||rule_ipt" ;;
squeue*) [ -e cancelled ] || echo "7|NAME|RUNNING|1:00|n1|None|FOLDER|rule_sft" ;;
esac
"""


@pytest.fixture
def queue(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a Slurm on the PATH that has jobs of the name a-b, sent from the lab's folder; returns where it lies."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("squeue", "scancel", "sbatch"):
        (folder / name).write_text(SLURM.replace("NAME", "a-b").replace("FOLDER", str(lab.root)))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_jobs_are_found_and_cancelled_on_whatever_cluster_they_were_sent_to(
    lab: Lab, invoke: Invoke, queue: Path
) -> None:
    _, file = begin_run(Path("work"), lab.plan, {}, "a-b", {"far"})
    assert json.loads(invoke("cluster", "orphans", "--json").stdout)["orphans"] == []
    file.close()
    lines = invoke("cluster", "orphans").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "7 sft - RUNNING 1:00 n1",
        "7 on far ipt - PENDING (Priority) 0:00 -",
    ]
    done = invoke("cluster", "orphans", "--cancel", "--yes")
    assert done.exit_code == 0
    assert "2 of 2 orphans ended." in done.stdout
    assert (queue / "cancelled").read_text() == "7\n--clusters=far 7\n"


def test_the_jobs_of_a_run_that_lives_are_no_orphans_of_a_copy_of_its_folder(
    lab: Lab, invoke: Invoke, queue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, file = begin_run(Path("work"), lab.plan, {}, "a-b")
    copied = tmp_path / "copied"
    shutil.copytree(lab.root, copied, symlinks=True)
    monkeypatch.chdir(copied)
    assert not list_runs(Path("work"))[0].is_alive, "its process holds the lock of the other file"
    assert json.loads(invoke("cluster", "orphans", "--cancel", "--yes", "--json").stdout)["orphans"] == []
    assert not (queue / "cancelled").exists()
    file.close()
    lab.root.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert [one["job"] for one in json.loads(invoke("cluster", "orphans", "--json").stdout)["orphans"]] == ["7"]


def test_a_study_goes_on_where_its_newest_run_was(lab: Lab, invoke: Invoke) -> None:
    assert "`snakemake --profile local all` goes on" in invoke("status").stdout
    begin_run(Path("work"), lab.plan, {}, "a-b")[1].close()
    assert "`snakemake --profile slurm all` goes on" in invoke("status").stdout


def test_what_does_not_end_is_named_and_nobody_is_asked_in_json(lab: Lab, invoke: Invoke) -> None:
    process, name = lab.start(RUN, lab.plan)
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WRITE}"
    writer, _ = lab.start(code, *lab.nodes[0].name, name)
    process.kill()
    process.wait()
    refused = invoke("cluster", "orphans", "--cancel", "--json")
    assert refused.exit_code == 2
    assert "--cancel with --json asks nobody: add --yes" in refused.stderr
    asked = invoke("cluster", "orphans", "--cancel")
    assert asked.exit_code == 1  # asked, and nobody answered
    assert writer.poll() is None
    left = invoke("cluster", "orphans", "--cancel", "--yes", "--wait-seconds", "0")
    assert left.exit_code == 2
    assert f"sft {lab.nodes[0].key} is being written by process {writer.pid}" in left.stderr
    assert "0 of 1 orphan ended." in left.stdout


def test_a_run_of_this_process_lives_until_its_file_is_closed_and_old_ones_are_forgotten(tmp_path: Path) -> None:
    job = JobCard(["a", "b"], ["artifacts/sft/c/manifest.json"], 2, {"mem_mb": 2000, "gres": "gpu:8"})
    name, file = begin_run(tmp_path, "work/plans/plan.jsonl", {"a": job}, "slurm name")
    (run,) = list_runs(tmp_path)
    assert (run.id, run.is_alive, run.plan, run.slurm_name) == (name, True, "work/plans/plan.jsonl", "slurm name")
    assert read_jobs(tmp_path, name) == ("work/plans/plan.jsonl", {"a": job})
    assert read_jobs(tmp_path, "another") is None
    file.close()
    assert [one.is_alive for one in list_runs(tmp_path)] == [False]
    folder, day = tmp_path / "runs", 86_400
    (folder / f"{name}.json").unlink()
    texts = {"slurm": '{"slurm_name": "a"}\n{}', "local": '{"slurm_name": ""}\n{}'}
    for kind, text in texts.items():
        for days in (0, 2, 40):
            path = folder / f"{kind}-{days}.json"
            path.write_text(text)
            os.utime(path, (time.time() - days * day,) * 2)
    later, held = begin_run(tmp_path, "work/plans/plan.jsonl", {})
    kept = {path.stem for path in folder.iterdir()}
    assert kept == {later, "slurm-0", "slurm-2", "local-0"}
    held.close()


def test_a_stranger_who_has_the_number_of_a_dead_writer_is_left_alone(lab: Lab, invoke: Invoke) -> None:
    process, name = lab.start(RUN, lab.plan)
    writer, _ = lab.start(WRITE, *lab.nodes[0].name, name)
    process.kill()
    process.wait()
    store = Store(Path())
    (listed,) = find_orphans(store)
    stranger, _ = lab.start("import time; print('here', flush=True); time.sleep(600)")
    (held,) = listed.writers
    card = replace(held, process=stranger.pid)
    # it was listed, and ended before it was cancelled
    cancel_orphans(store, [replace(listed, writers=(card,))])
    # its child holds the lock on, and the card names a process that is another one by now
    early = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds")
    names = {"host": card.host, "process": card.process, "since": early, "run": name}
    store.lock_path(*lab.nodes[0].name).write_text(json.dumps(names))
    (orphan,) = find_orphans(store)
    assert orphan.writers == (Writer(card.stage, card.key, **names),)
    cancel_orphans(store, [orphan])
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(0.5)
    assert writer.poll() is None


def test_what_is_of_a_run_of_another_host_is_ended_only_when_that_is_asked_for(lab: Lab, invoke: Invoke) -> None:
    process, name = lab.start(RUN, lab.plan)
    writer, _ = lab.start(WRITE, *lab.nodes[0].name, name)
    process.kill()
    process.wait()
    path = Path(f"work/runs/{name}.json")
    path.write_text(path.read_text().replace(json.dumps(socket.gethostname()), '"login-7"'))
    said = invoke("cluster", "orphans").stdout
    assert said.splitlines()[-1].startswith("Runs of login-7 are not known to be dead: ")
    refused = invoke("cluster", "orphans", "--cancel", "--yes")
    assert refused.exit_code == 2
    assert "its run is of login-7; end it there, or add --other-hosts" in refused.stderr
    assert writer.poll() is None
    done = invoke("cluster", "orphans", "--cancel", "--yes", "--other-hosts", "--json")
    card = json.loads(done.stdout)
    assert (done.exit_code, card["left"], card["orphans"][0]["is_sure"]) == (0, 0, False)
    assert writer.wait(10) == -signal.SIGTERM
    assert name_host(name) == socket.gethostname()


def test_two_who_look_at_once_take_no_dead_run_or_writer_for_alive(tmp_path: Path) -> None:
    _, file = begin_run(tmp_path, "work/plans/plan.jsonl", {})
    file.close()
    lock = tmp_path / "ipt/0123456789abcdef.lock"
    lock.parent.mkdir()
    lock.write_text("{}")
    (run,) = (tmp_path / "runs").iterdir()
    with run.open() as first, lock.open() as second:  # as another who lists holds them for an instant
        for held in (first, second):
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert [one.is_alive for one in list_runs(tmp_path)] == [False]
        assert list_writers(tmp_path) == []


def test_what_another_user_hides_counts_as_alive_and_what_is_gone_meanwhile_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, file = begin_run(tmp_path, "work/plans/plan.jsonl", {}, "slurm name")
    file.close()
    lock = tmp_path / "ipt/0123456789abcdef.lock"
    lock.parent.mkdir()
    lock.write_text("{}")
    old = time.time() - 40 * 86_400
    os.utime(tmp_path / f"runs/{name}.json", (old, old))
    error: type[OSError] = PermissionError

    def refuse(path: Path, *_: Any, **__: Any) -> Any:
        raise error(13, "no", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        (run,) = list_runs(tmp_path)
        assert (run.id, run.is_alive, run.slurm_name, run.host) == (name, True, "", socket.gethostname())
        assert [(one.key, one.host) for one in list_writers(tmp_path)] == [("0123456789abcdef", "?")]
        noted._forget_old(tmp_path / "runs")
        error = FileNotFoundError
        assert (list_runs(tmp_path), list_writers(tmp_path)) == ([], [])
    assert (tmp_path / f"runs/{name}.json").exists()


def test_what_jobs_of_other_machines_read_is_on_disk_before_the_first_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS keeps what is written to an open file on the machine that wrote it, for half a minute."""
    synced: dict[int, int] = {}
    monkeypatch.setattr(os, "fsync", lambda number: synced.update({number: os.fstat(number).st_size}))
    name, file = begin_run(tmp_path, "work/plans/plan.jsonl", {"a": JobCard(["a"], [], 1, {})})
    with file:
        assert synced == {file.fileno(): (tmp_path / f"runs/{name}.json").stat().st_size}
    (tmp_path / f"runs/{name}.json").write_text("")
    with pytest.raises(ArtifactError, match=rf"{name}\.json: what this run told its jobs is not whole"):
        read_jobs(tmp_path, name)


def test_a_run_whose_lock_is_not_had_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noted, "try_patiently", lambda file: False)
    with pytest.raises(BusyError, match="the lock of this run is held by another process"):
        begin_run(tmp_path, "work/plans/plan.jsonl", {})
