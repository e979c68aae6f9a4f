"""`mixlab cluster orphans` without Slurm: processes that outlive their run are found by the locks they hold."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkouts import environment
from click.testing import Result

from mixlab.artifacts.runs import JobCard, begin_run, list_runs, read_jobs
from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
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
