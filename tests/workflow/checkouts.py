"""Copies of the checkout that tests may edit: a small study, its own code, its own artifacts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = (
    "Snakefile",
    "sources.lock",
    "rules",
    "profiles",
    "local",
    "slurm",
    "workflow",
    "envs",
    "src/mixlab",
    "studies/micro.yaml",
    "tests/data/micro",
)
"""What a study needs to run; a missing one of these makes the copy fail."""

UNFINISHED = shutil.ignore_patterns("*.pyc.*")
"""Python compiles a module into a file of such a name and renames it: listed, it may be gone before it is copied."""

_DATA = "  data_roots:\n    micro: tests/data/micro\n"
CONFIG = f"study: micro\nmachine:\n{_DATA}"
"""One process for each model, and no table of sizes."""

_MACHINE = (REPOSITORY / "config.yaml").read_text(encoding="utf-8").partition("machine:\n")[2]
SHIPPED = f"study: micro\nmachine:\n{_MACHINE.partition('  data_roots:')[0]}{_DATA}"
"""The machine's settings as they are shipped, but for data that micro does not read: small models share processes."""

Artifact = tuple[str, str]
"""Stage and key, or stage and label."""


def copy_checkout(folder: Path, config: str = CONFIG) -> Path:
    """Copy what the micro study needs to `folder`, with a config.yaml that names it; code and data are the copy's own.

    Compiled modules come along, so that a process in the copy starts as fast as here.
    """
    for name in COPIED:
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, target, ignore=UNFINISHED)
        else:
            shutil.copy2(source, target)
    (folder / "config.yaml").write_text(config)
    return folder


def environment(root: Path) -> dict[str, str]:
    """The environment of a process that uses the code of `root`; nothing of an outer run leaks in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MIXLAB", "SNAKEMAKE"))}
    return {**kept, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}


def run_python(root: Path, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run Python in `root` with the code of `root`."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def run_mixlab(root: Path, *arguments: str) -> str:
    """Run a command of `mixlab` in `root` and return its output; fails with what it said when it does."""
    done = run_python(root, "-m", "mixlab.cli", *arguments)
    if done.returncode:
        raise AssertionError(f"mixlab {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def read_plan(root: Path) -> dict[str, Any]:
    """What `mixlab plan --json` says in `root`."""
    answer: dict[str, Any] = json.loads(run_mixlab(root, "plan", "--json"))
    return answer


def list_wanted(root: Path) -> dict[Artifact, str]:
    """Stage and key -> first label of all that a run in `root` would make."""
    return {(node["stage"], node["key"]): node["labels"][0] for node in read_plan(root)["run"]}


def list_made(root: Path) -> set[Artifact]:
    """Stage and key of every whole artifact in `root`."""
    return {(path.parts[-3], path.parts[-2]) for path in root.glob("artifacts/*/*/manifest.json")}


def pretend_finished(root: Path) -> None:
    """Let every artifact that a run in `root` would make look whole: the plan asks only whether a manifest is there."""
    for stage, key in list_wanted(root):
        path = root / "artifacts" / stage / key / "manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
