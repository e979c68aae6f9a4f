"""Run Snakemake in a copy of the checkout, and look at what it made."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from checkouts import environment

HOOKS = Path(__file__).parent / "hooks"
"""Holds a sitecustomize.py that kills the process at the moment KILL_AT names."""

Digests = dict[str, bytes]


OUTPUT = "snakemake.log"
"""What a run prints goes to this file of its working folder: a job that survives Snakemake holds no pipe of ours."""


def start(root: Path, *arguments: str, kill_at: str = "") -> subprocess.Popen[bytes]:
    """Start `snakemake --profile local` on one core in a session of its own."""
    env = environment(root)
    if kill_at:
        env |= {"KILL_AT": kill_at, "PYTHONPATH": f"{env['PYTHONPATH']}:{HOOKS}"}
    command = [sys.executable, "-m", "snakemake", "--profile", "local", "--cores", "1", *arguments]
    with (root / OUTPUT).open("w") as output:
        return subprocess.Popen(
            command, cwd=root, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def run(root: Path, *arguments: str, kill_at: str = "") -> tuple[int, str]:
    """Run it to its end: exit code and what it printed; a test that is over before it leaves nothing running."""
    process = start(root, *arguments, kill_at=kill_at)
    try:
        code = process.wait(timeout=3000)
    except BaseException:
        kill_group(process)
        raise
    return code, (root / OUTPUT).read_text()


def run_all(root: Path) -> str:
    """Run `snakemake all`, which must succeed."""
    code, output = run(root, "all")
    assert code == 0, output
    return output


def is_finished(root: Path) -> bool:
    """Whether `snakemake -n all` says that there is nothing to be done."""
    code, output = run(root, "-n", "all")
    assert code == 0, output
    return "Nothing to be done" in output


def read_artifacts(root: Path, stage: str = "") -> Digests:
    """Read every byte of every artifact, or of those of a stage, by path below the working folder."""
    files = sorted(path for path in (root / "artifacts" / stage).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def differing(one: Digests, other: Digests) -> list[str]:
    """List the files that only one has or that differ."""
    return sorted(path for path in {*one, *other} if one.get(path) != other.get(path))


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so; fails when it never is."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
