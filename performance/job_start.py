"""How long a cluster's job takes until its program starts: Snakemake reads the rules again, in the job itself.

    python performance/job_start.py [--repeats 3]

One job of the paper's grid, all else made, is started as Snakemake's executor for Slurm starts it, up to the dry run of
its one rule: ours, ours without what the run noted for its jobs, and the same job of a bare workflow with as many jobs
and edges. Prints medians, measured alternately, and what `snakemake -n all` takes beside them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from planning import ROOT, touch_all, write_bare, write_ours

from mixlab.artifacts.runs import RUN_VARIABLE, begin_run
from mixlab.artifacts.store import Store
from mixlab.plan.workflow import PLAN_VARIABLE, open_workflow

STAGE = "score"
AS_A_JOB = (
    *("--mode", "remote", "--cores", "all", "--force", "--target-files-omit-workdir-adjustment", "--no-hooks"),
    *("--nolock", "--ignore-incomplete", "--rerun-triggers", "mtime", "--max-inventory-time", "0", "--nocolor"),
)


def start(folder: Path, arguments: list[str], environment: dict[str, str]) -> float:
    """Run Snakemake once and return the seconds it took."""
    command = [sys.executable, "-m", "snakemake", "-n", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode or f"rule {STAGE}:" not in done.stdout + done.stderr:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        ours, bare = Path(name, "ours"), Path(name, "bare")
        for folder in (ours, bare):
            folder.mkdir()
        write_ours(ours, "paper")
        os.chdir(ours)
        environment: dict[str, str] = {}
        plan = open_workflow(ours, {}, True, environment).plan
        touch_all(ours, plan)
        group = plan.by_stage(STAGE)[0].group
        keys = [node.key for node in plan.by_stage(STAGE) if node.group == group]
        for node in plan.nodes.values():
            if node.key in keys or node.stage in ("scores", "aggregate", "report"):
                Store(ours).manifest_path(node.stage, node.key).unlink()
        flow = open_workflow(ours, {}, True, environment)
        run, _file = begin_run(ours / "work", environment[PLAN_VARIABLE], flow.list_jobs())
        write_bare(bare, plan, built=True)
        target = [*AS_A_JOB, "--allowed-rules", STAGE, "--target-jobs", f"{STAGE}:key={flow.plan.nodes[keys[0]].key}"]
        theirs = [*AS_A_JOB, "--allowed-rules", STAGE, "--target-jobs", f"{STAGE}:key={group}"]
        cases = {
            "a job, told by its run": (ours, target, {**environment, RUN_VARIABLE: run}),
            "a job, told nothing": (ours, target, environment),
            "a job of a bare workflow": (bare, theirs, {}),
            "snakemake -n all, ours": (ours, ["all"], {}),
        }
        seconds: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(repeats):
            for case, (folder, arguments, variables) in cases.items():
                seconds[case].append(start(folder, list(arguments), variables))
        print(f"{len(plan.nodes)} artifacts")
        for case, found in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(found, seconds["a job of a bare workflow"], strict=True))
            print(f"{case:26} {statistics.median(found):6.2f} s  ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
