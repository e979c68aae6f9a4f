"""Copies of the checkout under git and DVC, their remote a folder, filled with tiny artifacts instead of a run's."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from checkouts import REPOSITORY, copy_checkout, environment
from click.testing import CliRunner

from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.cli import mixlab as command_line
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan

UNDER_DVC = (
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvc/plots/means.json",
    ".dvc/plots/scores.json",
    ".dvcignore",
    "dvc.yaml",
    ".gitignore",
    ".gitattributes",
)
METRICS = {"scores": {"even": {"after_sft": {"demo": {"accuracy": {"mean": 0.5, "se_items": 0.1}}}}}, "effects": {}}
TABLES = {
    "aggregate": {"scores.csv": "benchmark,score\ndemo,0.5\n"},
    "report": {"metrics.json": json.dumps(METRICS), "tables/cells.csv": "variant,benchmark,mean\neven,demo,0.5\n"},
}
"""Of the files of some stages those that results/ is made from."""


def run(root: Path, *command: str, code: int = 0, seconds: float = 900, **variables: str) -> str:
    """Run a command in a copy and return all it says; fails when its exit code is another."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    known = {**environment(root), "PATH": path, **variables}
    done = subprocess.run(command, cwd=root, env=known, capture_output=True, text=True, check=False, timeout=seconds)
    said = done.stdout + done.stderr
    if done.returncode != code:
        raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}, not {code}\n{said}")
    return said


def mixlab(root: Path, *arguments: str, code: int = 0) -> str:
    """Run a command of `mixlab` in a copy, in this process; an exception that would be a traceback is raised."""
    with contextlib.chdir(root):
        result = CliRunner().invoke(command_line, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code != code:
        raise AssertionError(f"mixlab {' '.join(arguments)}: exit code {result.exit_code}, not {code}\n{result.output}")
    return result.output


def snakemake(root: Path, *arguments: str, code: int = 0) -> str:
    """Run Snakemake in a copy."""
    return run(root, sys.executable, "-m", "snakemake", "--profile", "local", *arguments, code=code)


def make_repository(folder: Path) -> Path:
    """Copy the checkout to `folder/first`, under git and DVC, its remote in `folder/remote`."""
    root = copy_checkout(folder / "first")
    for name in UNDER_DVC:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy2(REPOSITORY / name, root / name)
    run(root, "git", "init", "--quiet", "--initial-branch=main")
    run(root, "git", "config", "user.name", "Hanako Data")
    run(root, "git", "config", "user.email", "hanako@lab.example")
    # a path relative to the folder: what is written is ASCII, which DVC insists on where the locale is C
    run(root, "dvc", "remote", "add", "--default", "store", "../remote")
    commit(root, "begin")
    return root


def commit(root: Path, message: str) -> None:
    """Commit everything that git does not ignore."""
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--allow-empty", "--message", message)


def clone(root: Path, target: Path) -> Path:
    """Clone a copy: git's files and nothing else."""
    run(root, "git", "clone", "--quiet", str(root), str(target))
    run(target, "git", "config", "user.name", "Taro Clone")
    run(target, "git", "config", "user.email", "taro@lab.example")
    return target


def plan_micro(root: Path) -> Plan:
    """Plan the micro study of a copy."""
    return build_plan(root, ["micro"], check_files=False).plan


def make_artifacts(root: Path, nodes: Iterable[Node], payload: str = "") -> list[Name]:
    """Make whole artifacts of two tiny files each, as a run would publish them; one file is the same in all."""
    store = Store(root)
    made = []
    for node in nodes:
        with store.writing(node.stage, node.key) as draft:
            if draft is None:
                continue
            (draft.out / "payload.txt").write_text(f"{node.stage} {node.key} {payload}\n")
            (draft.out / "member").mkdir()
            (draft.out / "member" / "shared.txt").write_text("the same in every artifact\n")
            for name, text in TABLES.get(node.stage, {}).items():
                (draft.out / name).parent.mkdir(exist_ok=True)
                (draft.out / name).write_text(text)
            parents = {role: list(references) for role, references in node.parents.items()}
            draft.publish(to_plain(node.spec), parents)
            made.append(node.name)
    return made


def empty_remote(root: Path) -> None:
    """Lose all that the remote beside a copy has; its folder is there still."""
    shutil.rmtree(root.parent / "remote")
    (root.parent / "remote/files/md5").mkdir(parents=True)


def make_foreign(root: Path, stage: str, key: str) -> Name:
    """Make a whole artifact that no study knows."""
    with Store(root).writing(stage, key) as draft:
        assert draft is not None
        (draft.out / "payload.txt").write_text(f"{stage} {key}\n")
        draft.publish({}, {})
    return stage, key


def list_bytes(folder: Path) -> dict[str, bytes]:
    """Map each file below a folder to its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def flip_byte(path: Path) -> None:
    """Flip one bit of a file in place: its size stays, and whatever is linked to it changes as well."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    path.chmod(0o444)


def finish(root: Path) -> None:
    """Make, track, push and commit every artifact of the micro study."""
    make_artifacts(root, plan_micro(root).nodes.values())
    mixlab(root, "track", "--push")
    snakemake(root, "--dry-run", "--quiet", "all")
    commit(root, "finish")
