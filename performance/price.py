"""`mixlab price` at the paper's size, and its predictions beside what the micro study then takes.

    python performance/price.py [--repeats 3] [--skip-run]

Prints wall and memory of the command on the paper's grid with nothing made, its parts in one process, the paper's
figures by formula, and time predicted against time taken: the micro study is run, an edit priced, run and compared.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grid import build_paper_study, write_paper_study
from planning import time_median

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._pricing import Terms, open_pricer
from mixlab.plan.build import build_plan
from mixlab.plan.stages import STAGES

ROOT = Path(__file__).resolve().parent.parent
EDIT = "variants.even.instruction=5/8"
COPIED = ("Snakefile", "sources.lock", "rules", "profiles", "local", "workflow", "envs", "studies/micro.yaml")


def run(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """Run a Python module in a folder: wall seconds, peak memory in MiB, and what it printed; ends where it fails."""
    started = time.perf_counter()
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if status:
        sys.exit(text)
    return seconds, usage.ru_maxrss / 1024, text


def measure_grid(folder: Path, repeats: int) -> None:
    """Print what pricing the paper's grid takes, and the figures that come out."""
    write_paper_study(folder, build_paper_study())
    for name, arguments in (("price", []), ("price --edit", ["--edit", "variants.even.instruction=5/8"])):
        runs = [run(folder, "mixlab.cli", "price", "grid", *arguments) for _ in range(repeats)]
        wall, memory = (statistics.median(one[place] for one in runs) for place in (0, 1))
        print(f"mixlab {name:13} {wall:6.2f} s {memory:5.0f} MiB (at most 5 s)", flush=True)
    os.chdir(folder)
    store = Store(folder)
    planned = build_plan(folder)
    states = read_states(store, STAGES)
    print(f"parts, in one process, of {len(planned.plan.nodes)} artifacts:")
    print(f"  plan           {time_median(lambda: build_plan(folder), repeats):.2f} s")
    started = time.perf_counter()
    with open_pricer(store, planned, states, Terms()) as pricer:
        print(f"  training       {time.perf_counter() - started:.2f} s")
        for name, call in (
            ("answers", lambda: pricer.sum_generation(planned.plan.by_stage("generate"))),
            ("jobs, disk", pricer.quoter.quote_stages),
            ("schedule", lambda: pricer.quoter.schedule(64, 64)),
        ):
            started = time.perf_counter()
            call()
            print(f"  {name:14} {time.perf_counter() - started:.2f} s")
    print(run(folder, "mixlab.cli", "price", "grid", "--arithmetic", "--gpus", "64", "--cores", "64")[2])


def compare_times(folder: Path) -> None:
    """Run the micro study, price an edit, do it, run again, and print time predicted and taken."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    (folder / "config.yaml").write_text(
        f"study: micro\nmachine:\n  data_roots:\n    micro: {ROOT / 'tests/data/micro'}\n", encoding="utf-8"
    )
    snakemake = ("snakemake", "--profile", "local", "--cores", "1", "all")
    first, _, _ = run(folder, *snakemake)
    priced: dict[str, Any] = json.loads(run(folder, "mixlab.cli", "price", "--edit", EDIT, "--cores", "1", "--json")[2])
    path = folder / "studies/micro.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    instruction: 1/2\n", "    instruction: 5/8\n", 1), encoding="utf-8")
    since = datetime.now(UTC).isoformat()
    second, _, _ = run(folder, *snakemake)
    predicted = priced["edited"]
    print(f"micro from nothing {first:.0f} s; after the edit {EDIT} {second:.0f} s")
    print(f"predicted: {predicted['jobs']} jobs, {predicted['seconds']:.1f} s of jobs, of which not known")
    print(f"  {predicted['seconds_unknown']}; wall time of jobs on one core {predicted['wall_seconds']:.1f} s")
    print(run(folder, "mixlab.cli", "price", "--actual", "--since", since)[2])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip-run", action="store_true", help="leave out the micro study")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if not options.skip_run:
            (Path(name) / "micro").mkdir()
            compare_times(Path(name) / "micro")
        (Path(name) / "grid").mkdir()
        measure_grid(Path(name) / "grid", options.repeats)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
