"""The runs of Snakemake in a working folder: who they are, what they were asked to make, and whether they live.

A run is a file `work/runs/<id>.json` whose lock its process holds until it dies, on whatever host. Its jobs know it by
an environment variable: they read there what they are to make, and write its id into the locks they hold, so that what
outlives it can be found. Imports nothing heavy: every job of a cluster reads it twice before its program starts.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mixlab.artifacts.errors import ArtifactError, BusyError
from mixlab.artifacts.locks import is_held, try_patiently
from mixlab.artifacts.processes import sign

RUN_VARIABLE = "MIXLAB_RUN"
"""Environment variable by which the jobs of a run know it."""
RUNS = "runs"
_DAY_SECONDS = 86_400
_KEPT_DAYS = 30
"""How long a dead run is known that has jobs on Slurm: so long they may wait there."""


@dataclass(frozen=True)
class WorkflowRun:
    """A run of Snakemake: plan file, host, process and start; `slurm_name` is the name of its jobs on Slurm, if any.

    `clusters`: where jobs are beside the cluster of this machine.
    """

    id: str
    plan: str
    host: str
    process: int
    since: str
    slurm_name: str
    is_alive: bool
    clusters: Sequence[str] = ()

    def __str__(self) -> str:
        began = f" since {self.since}" if self.since else ""
        return f"process {self.process or '?'} on {self.host}{began}"


@dataclass(frozen=True)
class JobCard:
    """What one job of a run makes, and waits for: keys, paths of inputs, threads and what else it asks for, by name."""

    keys: Sequence[str]
    inputs: Sequence[str]
    threads: int
    asked: Mapping[str, int | str]


def begin_run(
    work: Path, plan: str, jobs: Mapping[str, JobCard], slurm_name: str = "", clusters: Iterable[str] = ()
) -> tuple[str, IO[str]]:
    """Note a run of this process that begins, and return its id and the file that holds its lock while it is open.

    `jobs` are by the artifact by which Snakemake knows each. Raises BusyError where the lock is not had: whatever
    looked for dead runs would take this one for dead.
    """
    folder = work / RUNS
    folder.mkdir(parents=True, exist_ok=True)
    _forget_old(folder)
    host, now = socket.gethostname(), datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S}-{host}-{os.getpid()}"
    file = (folder / f"{name}.json").open("x+", encoding="utf-8")
    if not try_patiently(file):  # who lists the runs holds each lock for an instant
        file.close()
        raise BusyError(f"{folder / name}.json: the lock of this run is held by another process; run again")
    card = {"plan": plan, **sign(), "slurm_name": slurm_name, "clusters": sorted(clusters)}
    cards = {key: [job.keys, job.inputs, job.threads, job.asked] for key, job in jobs.items()}
    file.write("\n".join(json.dumps(part, ensure_ascii=False) for part in (card, cards)))
    file.flush()
    # the file stays open, and until it is closed NFS may keep to this machine what jobs read on others at once
    os.fsync(file.fileno())
    return name, file


def list_runs(work: Path) -> list[WorkflowRun]:
    """List the runs that were begun here, oldest first; one that may not be read counts as alive."""
    runs = []
    for path in sorted((work / RUNS).glob("*.json")):
        is_alive = is_held(path)
        try:
            with path.open(encoding="utf-8") as file:
                card = json.loads(file.readline())
        except PermissionError:
            card = {"plan": "", "host": name_host(path.stem), "process": 0, "since": "", "slurm_name": ""}
        except (FileNotFoundError, ValueError):  # forgotten meanwhile, or killed before it was written: it has no job
            continue
        runs.append(WorkflowRun(path.stem, is_alive=is_alive, **card))
    return runs


def run_path(work: Path, run: str) -> Path:
    """Where a run is noted."""
    return work / RUNS / f"{run}.json"


def name_host(run: str) -> str:
    """The host of a run, by its id."""
    return run.partition("-")[2].rpartition("-")[0]


def read_jobs(work: Path, run: str) -> tuple[str, dict[str, JobCard]] | None:
    """Read the plan file and the jobs of a run; None where the run is not noted.

    Raises ArtifactError where its file is not whole, as after a crash of the machine that wrote it.
    """
    path = run_path(work, run)
    try:
        head, jobs = path.read_text(encoding="utf-8").split("\n")
        return json.loads(head)["plan"], {key: JobCard(*card) for key, card in json.loads(jobs).items()}
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ArtifactError(f"{path}: what this run told its jobs is not whole; start Snakemake again") from error


def _forget_old(folder: Path) -> None:
    for path in folder.glob("*.json"):
        # another process forgets it as well, or another user began it
        with suppress(FileNotFoundError, PermissionError):
            days = (time.time() - path.stat().st_mtime) / _DAY_SECONDS
            if days >= 1 and not is_held(path) and (days > _KEPT_DAYS or _is_local(path)):
                path.unlink()


def _is_local(path: Path) -> bool:
    """Whether a run that is noted there has no jobs on Slurm."""
    with path.open(encoding="utf-8") as file:
        return '"slurm_name": ""' in file.readline()
