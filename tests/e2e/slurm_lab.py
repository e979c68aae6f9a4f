"""Jobs and runs of Snakemake on the Slurm of the tests (slurm_cluster.py)."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from checkouts import REPOSITORY, environment
from safetensors.numpy import load_file
from slurm_cluster import PrivateSlurm

HOOKS = Path(__file__).parent / "hooks_slow"
BELOW_IPT = ("average", "sft", "generate", "score", "judge", "scores", "aggregate", "report")
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")

SOON = ("--slurm-init-seconds-before-status-checks", "3")
"""A test waits for no minute."""
ASK_SQUEUE = ("--slurm-status-command", "squeue")
"""For a Slurm that keeps no history."""

SETTINGS = """\
  checkpoint_seconds: 0.01
  stages:
    ipt:
      memory_mib: 5000
      runtime_minutes: 30
      retries: 2
      launch: {{device: cpu, nodes: 2, processes_per_node: {per_node}}}
"""


class Cluster:
    """The cluster's commands."""

    def __init__(self, slurm: PrivateSlurm) -> None:
        self.slurm = slurm
        self.variables = slurm.variables

    def environment(self, root: Path, *more: Path) -> dict[str, str]:
        """Variables of jobs that use the code of `root`; every save of a state is slow while `root`/slow is there."""
        kept = environment(root)
        path = os.pathsep.join([kept["PYTHONPATH"], str(HOOKS), *map(str, more)])
        slow = {"SLOW_FILE": str(root / "slow"), "SLOW_SECONDS": "10"}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, **self.variables, **slow, "PYTHONPATH": path, "PATH": programs}

    def snakemake(self, root: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `snakemake --profile slurm` in `root`, its output in `root`/snakemake.log, in a session of its own."""
        asked = () if self.slurm.has_accounts else ASK_SQUEUE
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", *SOON, *asked, *arguments]
        with (root / "snakemake.log").open("w") as output:
            return subprocess.Popen(
                command,
                cwd=root,
                env=self.environment(root),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def mixlab(self, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of mixlab in `root`."""
        command = [sys.executable, "-m", "mixlab.cli", *arguments]
        env = self.environment(root)
        return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=180)

    def call(self, *command: str) -> str:
        """Run one of Slurm's commands and return what it says."""
        time.sleep(0.3)  # it is asked in loops, beside the jobs
        env = {**os.environ, **self.variables}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout

    def submit(self, root: Path, env: dict[str, str], *arguments: str) -> str:
        """Submit a job from `root` and return its number; its output is in `root`/job.log."""
        command = ["sbatch", "--parsable", "--nodes=2", "--mem=5000", "--output=job.log", "--open-mode=append"]
        done = subprocess.run([*command, *arguments], cwd=root, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def is_over(self, job: str) -> bool:
        """Whether a job has ended for good."""
        return self.tell(job, "JobState") in OVER

    def shorten(self, job: str) -> None:
        """Let the time limit of a running job be one to two minutes from now: a signal two minutes before it is due."""
        hours, minutes, _ = self.tell(job, "RunTime").split(":")
        self.call("scontrol", "update", f"JobId={job}", f"TimeLimit={60 * int(hours) + int(minutes) + 2}")

    def tell(self, job: str, name: str) -> str:
        """What Slurm says of a job, such as JobState or ExitCode."""
        words = self.call("scontrol", "show", "job", "-o", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)[name]


def list_submitted(root: Path) -> list[str]:
    """Numbers of the jobs that Snakemake says it submitted, in order."""
    said = (root / "snakemake.log").read_text()
    return list(dict.fromkeys(re.findall(r"has been submitted with SLURM jobid (\d+)", said)))


def find_unsaid(heading: str, said: str, block: int = 0) -> list[str]:
    """Lines of a block of docs/cluster.md under a heading that were not said; numbers, keys and days apart."""
    text = (REPOSITORY / "docs/cluster.md").read_text(encoding="utf-8").partition(f"\n### {heading}\n")[2]
    blocks = text.partition("\n### ")[0].split("```text\n")[1:]
    assert len(blocks) > block, f"too little is shown under {heading!r}"
    lines = {_forget_numbers(line) for line in said.splitlines()}
    shown = blocks[block].partition("```")[0].splitlines()
    return [line for line in shown if _forget_numbers(line) not in lines]


def _forget_numbers(line: str) -> str:
    """A step is the batch script or one of its steps, whichever memory was looked at first."""
    line = re.sub(r"\b[0-9a-f]{16}\b", "KEY", line).replace(".batch ", ".0 ")
    return re.sub(r"\d+", "N", line).strip()


def prepare(finished: Path, root: Path, per_node: int, is_wanted: bool = True) -> str:
    """Copy a finished study without its instruction pre-training, to be made on two nodes; return the key to make.

    What is below it goes too, unless nothing shall want it: then it is made only when it is asked for by name.
    """
    shutil.copytree(finished, root, symlinks=True)
    key = min(path.name for path in (root / "artifacts/ipt").iterdir())
    for stage in ("ipt", *(BELOW_IPT if is_wanted else ())):
        for folder in ("artifacts", "work", "metrics", "provenance", "logs"):
            shutil.rmtree(root / folder / stage, ignore_errors=True)
    with (root / "config.yaml").open("a") as file:
        file.write(SETTINGS.format(per_node=per_node))
    (root / "slow").touch()
    return key


def measure_difference(one: Path, other: Path) -> float:
    """Greatest difference of a weight between the models of two artifacts, which must have the same names."""
    differences = []
    for path in sorted(one.rglob("*.safetensors")):
        ours, theirs = load_file(path), load_file(other / path.relative_to(one))
        assert ours.keys() == theirs.keys()
        differences += [float(np.abs(ours[name] - theirs[name]).max()) for name in ours]
    return max(differences)
