"""Training on a real Slurm: nodes find each other, and a job whose time is over goes on in the next one.

The cases run side by side, since they mostly wait.
"""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from checkouts import REPOSITORY, run_python
from runs import kill_group, wait_for
from slurm_lab import Cluster, list_submitted, measure_difference, prepare

pytestmark = [pytest.mark.long, pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(1200)]

STAGES_TESTS = [REPOSITORY / "tests/unit" / name for name in ("stages", "data", "training")]
MAKE_JOB = "import sys, pathlib, ranks_lab\nfolder = pathlib.Path(sys.argv[1])\n" + (
    "ranks_lab.build_job(folder, passes=100_000, nodes=2, processes_per_node=1).write(folder)"
)
ROUNDING = 1e-4
PATIENCE = 300
"""Seconds in which a job starts and takes its first steps on a machine that is busy."""


@dataclass
class Run:
    """A training of a study's copy that is under way: Snakemake's process or a job's number."""

    root: Path
    key: str
    process: subprocess.Popen[bytes] | None = None
    job: str = ""
    plan: str = ""

    @property
    def states(self) -> list[Path]:
        return list((self.root / f"work/ipt/{self.key}/resume").glob("state-*[0-9]"))

    @property
    def folder(self) -> Path:
        return self.root / "artifacts/ipt" / self.key

    def facts(self) -> dict[str, str]:
        (path,) = (self.root / "provenance/ipt" / self.key).glob("*.json")
        return json.loads(path.read_text())["facts"]


@pytest.fixture(scope="module")
def under_snakemake(cluster: Cluster, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """`snakemake --profile slurm` with the signal that profiles/slurm/config.yaml advises."""
    root = tmp_path_factory.mktemp("nodes") / "two nodes 二台"
    key = prepare(finished, root, per_node=1, is_wanted=False)
    more = ["--default-resources", "slurm_partition=gpu", "slurm_extra='--signal=TERM@120'", "--"]
    process = cluster.snakemake(root, *more, f"artifacts/ipt/{key}/manifest.json")
    yield Run(root, key, process)
    if process.poll() is None:
        kill_group(process)


@pytest.fixture(scope="module")
def own_script(cluster: Cluster, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """profiles/slurm/train.sbatch, with four ranks."""
    root = tmp_path_factory.mktemp("script") / "study"
    key = prepare(finished, root, per_node=2)
    planned = run_python(root, "-m", "snakemake", "--profile", "slurm", "-n", "stage_ipt")
    assert planned.returncode == 0, planned.stderr
    newest = max((root / "work/plans").iterdir(), key=lambda path: path.stat().st_mtime)
    plan = str(newest.relative_to(root))
    script = ["--time=30", "--signal=B:USR1@120", "profiles/slurm/train.sbatch", "ipt", plan, key]
    return Run(root, key, job=cluster.submit(root, cluster.environment(root), *script), plan=plan)


def find_ranks(folder: Path) -> list[psutil.Process]:
    """Ranks that live, of the training in `folder`, by their start."""
    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        words = process.info["cmdline"] or []
        if "mixlab.stages.rank" in words and words[-1].startswith(f"{folder}/"):
            found.append(process)
    return sorted(found, key=lambda process: process.info["create_time"])


def test_a_second_trainer_of_what_a_job_trains_refuses_to_start(own_script: Run, under_snakemake: Run) -> None:
    wait_for(lambda: bool(own_script.states), PATIENCE)
    command = ["-P", "workflow/scripts/ipt.py", "--plan", own_script.plan, "--key", own_script.key]
    second = run_python(own_script.root, *command)
    assert second.returncode == 2
    assert re.search(r"process \d+", second.stderr), second.stderr


@pytest.fixture(scope="module")
def warned(cluster: Cluster, under_snakemake: Run, own_script: Run) -> None:
    """Both jobs train, and their time is nearly over; then the next ones have all the time they want."""
    for run in (under_snakemake, own_script):
        wait_for(lambda run=run: bool(run.states), PATIENCE)
        cluster.shorten(run.job or list_submitted(run.root)[0])
    wait_for(lambda: len(list_submitted(under_snakemake.root)) == 2, PATIENCE)
    wait_for(lambda: cluster.tell(own_script.job, "JobState") == "PENDING", PATIENCE)
    cluster.call("scontrol", "update", f"JobId={own_script.job}", "TimeLimit=30")
    for run in (under_snakemake, own_script):
        (run.root / "slow").unlink()


def test_slurm_does_not_hide_how_ranks_on_two_nodes_ended(cluster: Cluster, warned: None, tmp_path: Path) -> None:
    env = cluster.environment(REPOSITORY, *STAGES_TESTS)
    subprocess.run([sys.executable, "-c", MAKE_JOB, str(tmp_path)], env=env, check=True, timeout=120)
    program = [sys.executable, str(STAGES_TESTS[0] / "ranks_lab.py"), str(tmp_path / "job.json")]
    log, resume = tmp_path / "job.log", tmp_path / "resume"

    def list_states() -> set[str]:
        return {path.name for path in resume.glob("state-*[0-9]")}

    def start() -> tuple[str, psutil.Process, list[psutil.Process]]:
        before = list_states()
        job = cluster.submit(tmp_path, env, "--ntasks-per-node=1", "--wrap", f"exec {shlex.join(program)}")
        # a state that is not there yet; older ones may be pruned meanwhile
        wait_for(lambda: not list_states() <= before or cluster.is_over(job), PATIENCE)
        wait_for(lambda: len(find_ranks(tmp_path)) == 2 or cluster.is_over(job), 30)
        (parent,) = (one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == program)
        return job, parent, find_ranks(tmp_path)

    # the job's script is sent SIGTERM: both ranks save, though srun would kill them for that
    job, parent, ranks = start()
    parent.send_signal(signal.SIGTERM)
    wait_for(lambda: cluster.is_over(job), 90)
    assert cluster.tell(job, "ExitCode") == "143:0", log.read_text()
    assert len(re.findall(r"rank [01] .*asked to end: state saved after step", log.read_text())) == 2
    # a rank is killed while that of the other node hangs, as NCCL does: both end, and the cause is told
    job, parent, ranks = start()
    assert "resuming after step" in log.read_text()
    ranks[0].suspend()
    ranks[1].kill()
    wait_for(lambda: cluster.is_over(job), 120)
    assert re.search(r"mixlab: training: process 0 of 1 on n[12] was killed, as the kernel does", log.read_text())
    assert find_ranks(tmp_path) == []
    # the process that holds the artifact's lock is killed: no rank goes on to write without it
    job, parent, ranks = start()
    parent.kill()
    wait_for(lambda: not any(rank.is_running() and rank.status() != psutil.STATUS_ZOMBIE for rank in ranks), 20)


def test_snakemake_starts_a_job_again_whose_time_is_over_and_it_goes_on(
    cluster: Cluster, under_snakemake: Run, warned: None, finished: Path
) -> None:
    run, log = under_snakemake, under_snakemake.root / f"logs/ipt/{under_snakemake.key}.log"
    assert run.process is not None
    assert run.process.wait(timeout=2 * PATIENCE) == 0, (run.root / "snakemake.log").read_text()
    said = (run.root / "snakemake.log").read_text()
    first, second = list_submitted(run.root)
    assert (cluster.tell(first, "JobState"), cluster.tell(second, "JobState")) == ("FAILED", "COMPLETED")
    assert said.count("Trying to restart job") == 1
    assert "rank 0 of 2 on cpu" in log.read_text("utf-8")
    assert re.search(r"resuming after step [1-9]", log.read_text("utf-8"))
    assert run.facts()["ranks"] == "2"
    assert measure_difference(run.folder, finished / "artifacts/ipt" / run.key) <= ROUNDING


def test_a_script_of_ones_own_goes_back_into_the_queue_and_on(
    cluster: Cluster, own_script: Run, warned: None, finished: Path
) -> None:
    run, log = own_script, own_script.root / "job.log"
    # Slurm lets it wait two minutes in the queue, most of them while the cases above run
    wait_for(lambda: cluster.tell(run.job, "Restarts") == "1" and cluster.is_over(run.job), PATIENCE)
    assert cluster.tell(run.job, "JobState") == "COMPLETED", log.read_text()
    assert log.read_text().count(f"ipt {run.key} ended with 75\n") == 1
    assert "rank 0 of 4 on cpu" in log.read_text()
    (saved,) = set(re.findall(r"state saved after step (\d+) of", log.read_text()))
    assert f"resuming after step {saved}\n" in log.read_text()
    assert run.facts()["ranks"] == "4"
    assert measure_difference(run.folder, finished / "artifacts/ipt" / run.key) <= ROUNDING
