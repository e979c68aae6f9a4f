"""`mixlab price` at the paper's size, and its predictions beside what the micro study then takes.

    python performance/price.py [--repeats 3] [--skip-run]

Prints wall, processor time and memory of the command on the paper's grid, with nothing made and with all of it made
(mock artifacts and provenance) and an edit; its parts in one process; the paper's figures by formula; and time
predicted against time taken: the micro study is run, an edit priced, run and compared.
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
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grid import build_paper_study, write_paper_study
from planning import time_median

from mixlab.artifacts.manifest import write_manifest
from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store, write_json
from mixlab.cli._pricing import Terms, open_pricer
from mixlab.data.sources.source import build_source
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.specs import SourceSpec
from mixlab.plan.stages import STAGES

ROOT = Path(__file__).resolve().parent.parent
EDIT = "variants.even.instruction=5/8"
COPIED = ("Snakefile", "sources.lock", "rules", "profiles", "local", "workflow", "envs", "studies/micro.yaml")


def run(folder: Path, *arguments: str) -> tuple[float, float, float, str]:
    """Run a Python module in a folder: seconds of wall and processor, peak memory in MiB, and what it printed."""
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
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def measure(name: str, folder: Path, repeats: int, *arguments: str) -> None:
    """Print medians of what `mixlab price` takes."""
    runs = [run(folder, "mixlab.cli", "price", "grid", *arguments)[:3] for _ in range(repeats)]
    wall, processor, memory = (statistics.median(values) for values in zip(*runs, strict=True))
    print(f"{name:28} {wall:6.2f} s wall (at most 5 s), {processor:5.2f} s processor, {memory:4.0f} MiB", flush=True)


def finish(root: Path, planned: Planned) -> None:
    """Make mock artifacts of a whole plan: manifests, provenance, and the small files that a price looks into."""
    store = Store(root)
    inside: dict[str, dict[str, Any]] = {
        "generate": {"index.json": {"items": 40, "prompt_tokens": 4000, "response_tokens": 2000}},
        "judge": {"index.json": {"verdicts": 80}},
        "tokenizer": {"index.json": {"vocab_size": 100_000}},
        "mixture": {
            "certificate.json": {
                "windows": 25_600_000,
                "sequence_tokens": 4096,
                "sources": {"allocated_tokens": [10**11], "response_tokens": [10**10]},
            }
        },
        "pretrain": {
            "config.json": {
                "model_type": "llama",
                "vocab_size": 100_000,
                "hidden_size": 2048,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "intermediate_size": 7168,
            }
        },
    }
    for number, node in enumerate(planned.plan.nodes.values()):
        folder = store.folder(*node.name)
        folder.mkdir(parents=True)
        for name, card in inside.get(node.stage, {}).items():
            (folder / name).write_text(json.dumps(card), encoding="utf-8")
        if isinstance(node.spec, SourceSpec):
            build_source(node.spec.source, [], folder)
        parents = {role: list(keys) for role, keys in node.parents.items()}
        (folder / "mock").write_bytes(b"mock")
        write_manifest(folder, *node.name, to_plain(node.spec), parents)
        record = {
            "stage": node.stage,
            "key": node.key,
            "label": node.label,
            "host": "mock",
            "seconds": 10.0 + number % 7,
            "process": {"id": f"mock:{node.group}", **({"start_seconds": 3.0} if node.group == node.key else {})},
            "finished": "2026-11-20T10:00:00+00:00",
        }
        write_json(root / "provenance" / node.stage / node.key / "mock.json", record)


def measure_grid(folder: Path, repeats: int) -> None:
    """Print what pricing the paper's grid takes, and the figures that come out."""
    write_paper_study(folder, build_paper_study())
    edit = ("--edit", "variants.even.instruction=5/8")
    measure("nothing made", folder, repeats)
    measure("nothing made, an edit", folder, repeats, *edit)
    print(run(folder, "mixlab.cli", "price", "grid", "--arithmetic", "--gpus", "64", "--cores", "64")[3])
    planned = build_plan(folder)
    finish(folder, planned)
    measure("all made", folder, repeats)
    measure("all made, an edit", folder, repeats, *edit)
    measure("all made, predicted, actual", folder, repeats, "--actual", "--since", "2026-11-21")
    os.chdir(folder)
    store = Store(folder)
    print(f"parts, in one process, of {len(planned.plan.nodes)} artifacts that are made:")
    print(f"  plan           {time_median(lambda: build_plan(folder), repeats):.2f} s")
    print(f"  states         {time_median(lambda: read_states(store, STAGES), repeats):.2f} s")
    started = time.perf_counter()
    with open_pricer(store, planned, read_states(store, STAGES), Terms()) as pricer:
        print(f"  what was made  {time.perf_counter() - started:.2f} s")
        calls: dict[str, Callable[[], object]] = {
            "answers": lambda: pricer.sum_generation(planned.plan.by_stage("generate")),
            "jobs, disk": pricer.quoter.quote_stages,
            "schedule": lambda: pricer.quoter.schedule(64, 64),
        }
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            print(f"  {name:14} {time.perf_counter() - started:.2f} s")
    os.chdir(ROOT)


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
    first = run(folder, *snakemake)[0]
    priced: dict[str, Any] = json.loads(run(folder, "mixlab.cli", "price", "--edit", EDIT, "--cores", "1", "--json")[3])
    path = folder / "studies/micro.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    instruction: 1/2\n", "    instruction: 5/8\n", 1), encoding="utf-8")
    since = datetime.now(UTC).isoformat()
    second = run(folder, *snakemake)[0]
    predicted = priced["edited"]
    print(f"micro from nothing {first:.0f} s; after the edit {EDIT} {second:.0f} s")
    print(f"predicted: {predicted['jobs']} jobs, {predicted['seconds']:.1f} s of jobs", end="; ")
    print(
        f"wall time of jobs on one core {priced['wall']['seconds']} s; not known: {predicted['unknown'] or 'nothing'}"
    )
    print(run(folder, "mixlab.cli", "price", "--actual", "--since", since)[3])


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


if __name__ == "__main__":
    main()
