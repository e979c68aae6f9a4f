"""Every command at the size of a paper's grid: wall, CPU and peak memory, beside DVC alone for as many pointers.

    python performance/scale.py [--grid paper|many] [--parts status plan price diff snakemake track pull restore dvc]

A finished study of small real artifacts is laid out first (performance/finished_grid.py). Prints one line a command.
`dvc` (`dvc status` of all pointers, ours and DVC's own) takes minutes and is left out unless it is named.
performance/planning.py compares `snakemake -n` with bare Snakemake in all its states.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import finished_grid as mock
import yaml
from grid import STUDIES

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Node, Plan
from mixlab.plan.stages import STAGES

MIXLAB = (sys.executable, "-m", "mixlab.cli")
WITH_TWIN = {"track", "pull", "dvc"}
WITH_DATA = {*WITH_TWIN, "restore"}
"""Parts that need a repository of DVC alone beside ours; parts that move data."""
NEW = 100
"""Artifacts to track."""


@dataclass(frozen=True)
class Lab:
    """The mock, its twin, and its plan; the last `NEW` scores are here and not tracked."""

    ours: Path
    twin: Path
    plan: Plan
    new: Sequence[Node]
    repeats: int


def measure(folder: Path, *command: str) -> tuple[float, float, float, str]:
    """Run a command once: wall seconds, its CPU's, peak memory of its largest process in MiB, what it printed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=mock.environment(folder)
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: {output}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output


def report(
    name: str, folder: Path, *command: str, repeats: int = 1, before: Callable[[], object] | None = None
) -> None:
    """Measure a command and print medians with the last line that it printed; `before` prepares each run."""
    runs = []
    for _ in range(repeats):
        if before is not None:
            before()
        runs.append(measure(folder, *command))
    wall, cpu, memory = (statistics.median(run[place] for run in runs) for place in (0, 1, 2))
    said = [line for line in runs[-1][3].splitlines() if line.strip()]
    last = said[-1][:60] if said else ""
    print(f"{name:38} {wall:7.2f} s  {cpu:7.2f} s CPU {memory:6.0f} MiB   {last}", flush=True)


def build_lab(folder: Path, grid: str, parts: Sequence[str], repeats: int) -> Lab:
    """Lay out mock and twin."""
    started = time.perf_counter()
    ours, twin = folder / "ours", folder / "twin"
    plan = mock.build_repository(ours, STUDIES[grid]())
    nodes = list(plan.nodes.values())
    new = plan.by_stage("score")[-NEW:]
    fresh = {node.key for node in new}
    old = [node for node in nodes if node.key not in fresh]
    mock.make_artifacts(Store(ours), nodes)
    mock.track_by_hand(ours, old, with_objects=bool(WITH_DATA & set(parts)))
    mock.build_twin(twin)
    if WITH_TWIN & set(parts):
        mock.copy_to_twin(ours, twin, old, tracked=True)
        mock.copy_to_twin(ours, twin, new, tracked=False)
        mock.commit(twin)
    mock.commit(ours)
    print(f"{grid}: {len(nodes)} artifacts, {len(old)} tracked; laid out in {time.perf_counter() - started:.0f} s")
    return Lab(ours, twin, plan, new, repeats)


def measure_looking(lab: Lab, name: str) -> None:
    """Commands that look and change nothing."""
    report(f"mixlab {name}", lab.ours, *MIXLAB, name, repeats=lab.repeats)


def measure_diff(lab: Lab) -> None:
    """`mixlab diff` and `snakemake -n` after one ratio changed."""
    with _edited(lab):
        report("mixlab diff, one ratio changed", lab.ours, *MIXLAB, "diff", repeats=lab.repeats)


def measure_snakemake(lab: Lab) -> None:
    """`snakemake -n all` where everything is here and tracked, and after one ratio changed."""
    command = (sys.executable, "-m", "snakemake", "-n", "all", "--quiet", "rules")
    report("snakemake -n, all tracked", lab.ours, *command, repeats=lab.repeats)
    with _edited(lab):
        report("snakemake -n, one ratio changed", lab.ours, *command, repeats=lab.repeats)


def measure_track(lab: Lab) -> None:
    """Track new artifacts; DVC's own way beside it, one command with as many targets."""
    report(f"mixlab track, {NEW} new", lab.ours, *MIXLAB, "track")
    targets = [f"data/{node.stage}/{node.key}" for node in lab.new]
    report(f"  dvc add, {NEW} new", lab.twin, "dvc", "add", *targets)


def measure_pull(lab: Lab) -> None:
    """Bring one artifact back from the remote, three ways, and DVC's own in its own repository."""
    node = lab.plan.by_stage("sft")[0]

    def forget() -> None:
        mock.forget_here(lab.ours, [node])

    def forget_twin() -> None:
        target = lab.twin / "data" / node.stage / node.key
        mock.drop_objects(lab.twin, target.with_name(f"{node.key}.dvc").read_text().split("md5: ")[1].split()[0])
        shutil.rmtree(target)

    place = f"tracked/{node.stage}/{node.key}.dvc"
    report("mixlab restore KEY", lab.ours, *MIXLAB, "restore", node.key, repeats=lab.repeats, before=forget)
    report("dvc pull tracked/STAGE/KEY.dvc", lab.ours, "dvc", "pull", place, repeats=lab.repeats, before=forget)
    theirs = f"data/{node.stage}/{node.key}.dvc"
    report("  dvc pull, its own", lab.twin, "dvc", "pull", theirs, repeats=lab.repeats, before=forget_twin)


def measure_restore(lab: Lab) -> None:
    """Restore what a run after one edit reads, into a folder that has nothing but git's files."""
    tracked = [node for node in lab.plan.nodes.values() if Store(lab.ours).pointer(*node.name).is_file()]
    mock.forget_here(lab.ours, [node for node in tracked if Store(lab.ours).is_complete(*node.name)])
    for node in lab.new:
        shutil.rmtree(Store(lab.ours).folder(*node.name), ignore_errors=True)
    with _edited(lab):
        plan = build_plan(lab.ours, check_files=False).plan
        demand = build_demand(plan, read_states(Store(lab.ours), STAGES), *plan.targets.values())
        mock.run(lab.ours, *MIXLAB, "plan")
        report(f"mixlab restore, {len(demand.fetch)} of an edit", lab.ours, *MIXLAB, "restore")


def measure_dvc(lab: Lab) -> None:
    """`dvc status` of everything, ours and DVC's own, each once to warm its notes and then alternately."""
    mock.run(lab.ours, *MIXLAB, "track")
    walls: dict[Path, list[float]] = {lab.ours: [], lab.twin: []}
    for number in range(1 + lab.repeats):
        for folder, seconds in walls.items():
            wall, cpu, memory, said = measure(folder, "dvc", "status")
            kind = "cold" if not number else "warm"
            last = said.strip().splitlines()[-1][:60]
            name = f"  dvc status, {folder.name}, {kind}"
            print(f"{name:38} {wall:7.2f} s  {cpu:7.2f} s CPU {memory:6.0f} MiB   {last}", flush=True)
            if number:
                seconds.append(wall)
    ratio = statistics.median(a / b for a, b in zip(*walls.values(), strict=True))
    print(f"dvc status, ours / DVC's own: ratio {ratio:.2f}")


class _edited:
    """One ratio of one mixture changed, and back."""

    def __init__(self, lab: Lab) -> None:
        self.path = lab.ours / "studies/grid.yaml"
        self.text = self.path.read_text()

    def __enter__(self) -> None:
        study = yaml.safe_load(self.text)
        study["variants"]["instruction 30"]["instruction"] = "31/100"
        self.path.write_text(yaml.safe_dump(study, sort_keys=False))

    def __exit__(self, *_: object) -> None:
        self.path.write_text(self.text)


PARTS: dict[str, Callable[[Lab], None]] = {
    "status": lambda lab: measure_looking(lab, "status"),
    "plan": lambda lab: measure_looking(lab, "plan"),
    "price": lambda lab: measure_looking(lab, "price"),
    "diff": measure_diff,
    "snakemake": measure_snakemake,
    "track": measure_track,
    "pull": measure_pull,
    "dvc": measure_dvc,
    "restore": measure_restore,
}
"""In the order in which they are measured: the last leaves only git's files."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", choices=STUDIES, default="paper")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[name for name in PARTS if name != "dvc"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lab = build_lab(Path(name), options.grid, options.parts, options.repeats)
        for part, run in PARTS.items():
            if part in options.parts:
                run(lab)


if __name__ == "__main__":
    main()
