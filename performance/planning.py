"""Planning at scale: our plan alone, and `snakemake -n` against a bare workflow of as many jobs and edges.

    python performance/planning.py [--grid paper|many] [--repeats 3]

`paper` is the size of the first paper's grid, `many` that of Harada & Yamauchi's.
Prints medians and ratios measured side by side in one run.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from grid import STUDIES, write_study

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Node, Plan
from mixlab.plan.stages import STAGES

ROOT = Path(__file__).resolve().parent.parent
BARE = """
import json
JOBS = json.load(open("jobs.json"))
rule all:
    input: JOBS["all"]["inputs"]
wildcard_constraints:
    key="[0-9a-f]{16}"
"""
BARE_RULE = """
rule {name}:
    input: lambda wildcards: JOBS["{name}/" + wildcards.key]["inputs"]
    output: "bare/{name}/{{key}}/manifest.json"
    log: "logs/{name}/{{key}}.log"
    threads: 1
    resources: mem_mb=2000, runtime=60
    shell: "touch {{output}}"
"""


def list_groups(plan: Plan, stage: str) -> dict[str, list[Node]]:
    """Map each group of a stage to its nodes: what one process makes."""
    groups: dict[str, list[Node]] = {}
    for node in plan.by_stage(stage):
        groups.setdefault(node.group, []).append(node)
    return groups


def write_bare(folder: Path, plan: Plan, built: bool) -> int:
    """Write a plain workflow with one job per job of ours and the same edges; return the number of jobs."""
    jobs: dict[str, dict[str, list[str]]] = {}
    place = {}
    for stage in STAGES:
        for group, nodes in list_groups(plan, stage).items():
            for node in nodes:
                place[node.key] = f"{stage}/{group}"
    for stage in STAGES:
        for group, nodes in list_groups(plan, stage).items():
            above = dict.fromkeys(place[key] for node in nodes for key in node.inputs())
            jobs[f"{stage}/{group}"] = {"inputs": [f"bare/{name}/manifest.json" for name in above]}
    last = [f"bare/{place[key]}/manifest.json" for keys in plan.targets.values() for key in keys]
    jobs["all"] = {"inputs": last}
    (folder / "jobs.json").write_text(json.dumps(jobs))
    (folder / "Snakefile").write_text(BARE + "".join(BARE_RULE.format(name=stage) for stage in STAGES))
    if built:
        moment = time.time() - 10_000
        for name in (name for name in jobs if name != "all"):
            path = folder / "bare" / name / "manifest.json"
            path.parent.mkdir(parents=True)
            path.touch()
            moment += 1
            os.utime(path, (moment, moment))
    return len(jobs) - 1


def write_ours(folder: Path, grid: str) -> None:
    """Lay the workflow and the mock study into an empty folder."""
    for name in ("Snakefile", "rules", "workflow", "envs", "profiles"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    write_study(folder, STUDIES[grid]())


def touch_all(folder: Path, plan: Plan) -> None:
    """Let every artifact of a plan look whole."""
    for node in plan.nodes.values():
        path = Store(folder).manifest_path(node.stage, node.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def change_one_ratio(folder: Path, grid: str) -> None:
    """Edit one mixture of the mock."""
    study = STUDIES[grid]()
    study["variants"]["instruction 30"]["instruction"] = "31/100"
    write_study(folder, study)


def measure(folder: Path) -> tuple[float, float, str]:
    """Run `snakemake -n all` once: wall seconds, peak memory in MiB, and what it said it would do."""
    command = [sys.executable, "-m", "snakemake", "-n", "all", "--quiet", "rules"]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment()
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(output)
    total = [line.split()[-1] for line in output.splitlines() if line.startswith("total")]
    return time.perf_counter() - started, usage.ru_maxrss / 1024, total[-1] if total else "nothing"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def compare(name: str, ours: Path, bare: Path | None, repeats: int) -> None:
    """Measure ours and the bare workflow alternately and print medians and the ratio."""
    runs: dict[str, list[tuple[float, float, str]]] = {"ours": [], "bare": []}
    for _ in range(repeats):
        runs["ours"].append(measure(ours))
        if bare is not None:
            runs["bare"].append(measure(bare))
    line = [f"{name:22}"]
    for who, measured in runs.items():
        if measured:
            wall, memory = (statistics.median(run[place] for run in measured) for place in (0, 1))
            line.append(f"{who} {wall:6.2f} s {memory:5.0f} MiB {measured[0][2]:>7} jobs")
    if bare is not None:
        ratio = statistics.median(a[0] / b[0] for a, b in zip(runs["ours"], runs["bare"], strict=True))
        line.append(f"ratio {ratio:.2f}")
    print("  ".join(line), flush=True)


def time_median(call: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of a call."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grid", choices=sorted(STUDIES), default="paper")
    chosen = parser.parse_args()
    repeats, grid = chosen.repeats, chosen.grid
    with tempfile.TemporaryDirectory() as name:
        ours, bare_new, bare_built = (Path(name) / folder for folder in ("ours", "bare_new", "bare_built"))
        for folder in (ours, bare_new, bare_built):
            folder.mkdir()
        write_ours(ours, grid)
        plan = build_plan(ours).plan
        seconds = time_median(lambda: build_plan(ours), 7)
        states = read_states(Store(ours), STAGES)
        demand = time_median(lambda: build_demand(plan, states, *plan.targets.values()), 7)
        edges = sum(len(set(node.inputs())) for node in plan.nodes.values())
        print(f"plan: {len(plan.nodes)} artifacts, {edges} edges: {seconds:.3f} s; demand {demand:.3f} s")
        write_bare(bare_new, plan, built=False)
        write_bare(bare_built, plan, built=True)
        compare("nothing built", ours, bare_new, repeats)
        touch_all(ours, plan)
        compare("all built", ours, bare_built, repeats)
        change_one_ratio(ours, grid)
        changed = build_plan(ours).plan
        bare_changed = Path(name) / "bare_changed"
        bare_changed.mkdir()
        write_bare(bare_changed, changed, built=True)
        kept = read_states(Store(ours), STAGES)
        for key in build_demand(changed, kept, *changed.targets.values()).run:
            node = changed.nodes[key]
            shutil.rmtree(bare_changed / "bare" / node.stage / node.group, ignore_errors=True)
        compare("one ratio changed", ours, bare_changed, repeats)
        print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
