"""What outlived its run of Snakemake: jobs in Slurm's queue, and processes that still write."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from mixlab.artifacts.locks import Writer, list_writers
from mixlab.artifacts.processes import find_start
from mixlab.artifacts.runs import WorkflowRun, list_runs, name_host, run_path
from mixlab.artifacts.store import Store
from mixlab.plan.planfile import read_plan
from mixlab.plan.slurm import SlurmJob, cancel_jobs, has_slurm, list_jobs

_COMMENT = re.compile(r"rule_(?P<rule>\w+?)(?:_wildcards_(?P<key>[0-9a-f]{16}))?$")
"""What Snakemake's executor for Slurm notes of a job; of several together it names their group."""
_POLL_SECONDS = 1.0
_CLOCK_SECONDS = 2.0
"""By how much two clocks of one machine may differ: locks note whole seconds."""


@dataclass(frozen=True)
class Orphan:
    """A job of Slurm, a process, or a process of a job, whose run of Snakemake is dead.

    `stage`, `key` and `label` are of what it writes, or is to make; `key` is empty where several are made together and
    none is begun. `elapsed` is as Slurm writes it, and empty of a process alone; so is `job`. `host` is of the run.
    `cluster` is empty for that of this machine.
    """

    run: str
    stage: str
    key: str = ""
    label: str = ""
    job: str = ""
    state: str = ""
    elapsed: str = ""
    nodes: str = ""
    writers: tuple[Writer, ...] = field(default=())
    host: str = ""
    cluster: str = ""

    @property
    def title(self) -> str:
        """The job's number, and its cluster where it is another one."""
        return f"{self.job} on {self.cluster}" if self.cluster else self.job

    @property
    def is_sure(self) -> bool:
        """Whether the run is dead for sure: where locks are local to a node, all runs of other hosts look dead."""
        return self.host == socket.gethostname()

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine that no job of Slurm holds."""
        return not self.job and all(one.host == socket.gethostname() for one in self.writers)


def find_orphans(store: Store) -> list[Orphan]:
    """List what outlived its run in this working folder, jobs first; without Slurm processes alone."""
    runs = {run.id: run for run in list_runs(store.work)}
    dead = {run.slurm_name: run for run in runs.values() if run.slurm_name and not run.is_alive}
    writers = [one for one in list_writers(store.work) if one.run and not _lives(runs.get(one.run))]
    clusters = ["", *sorted({one for run in dead.values() for one in run.clusters})] if dead and has_slurm() else []
    jobs = [job for cluster in clusters for job in list_jobs(dead, cluster)]
    jobs = [job for job in jobs if job.name in dead and _is_of_here(store, job, dead[job.name])]
    found = [_describe_job(job, dead[job.name], writers) for job in jobs]
    held = {writer for orphan in found for writer in orphan.writers}
    found += [_describe_writer(one, runs) for one in writers if one not in held]
    return _label(store.root, runs, found)


def _lives(run: WorkflowRun | None) -> bool:
    return run is not None and run.is_alive


def _is_of_here(store: Store, job: SlurmJob, run: WorkflowRun) -> bool:
    """Whether a job is not of the folder that this one is a copy of: there its run may live, and is noted as well."""
    here = run_path(store.work, run.id)
    there = Path(job.folder) / here.relative_to(store.root)
    try:
        # by number alone: one file system may be mounted twice
        return not job.folder or there.stat().st_ino == here.stat().st_ino
    except OSError:  # it was moved here, or that folder cannot be looked at
        return True


def _describe_job(job: SlurmJob, run: WorkflowRun, writers: Iterable[Writer]) -> Orphan:
    own = tuple(one for one in writers if (one.job, one.run) == (job.id, run.id))
    match = _COMMENT.match(job.comment)
    stage, key = (match["rule"], match["key"] or "") if match else (job.comment, "")
    if own:
        stage, key = own[0].stage, own[0].key
    state = job.state if job.reason in ("None", "") or job.state == "RUNNING" else f"{job.state} ({job.reason})"
    return Orphan(run.id, stage, key, "", job.id, state, job.elapsed, job.nodes, own, run.host, job.cluster)


def _describe_writer(writer: Writer, runs: Mapping[str, WorkflowRun]) -> Orphan:
    run = runs.get(writer.run)
    host = name_host(writer.run) if run is None else run.host
    return Orphan(writer.run, writer.stage, writer.key, writers=(writer,), nodes=writer.host, host=host)


def _label(root: Path, runs: dict[str, WorkflowRun], orphans: Sequence[Orphan]) -> list[Orphan]:
    plans = {runs[one.run].plan for one in orphans if one.run in runs}
    nodes = {
        key: node
        for plan in plans
        if (root / plan).is_file()
        for key, node in read_plan(root / plan).plan.nodes.items()
    }
    return [replace(one, label=nodes[one.key].label) if one.key in nodes else one for one in orphans]


def cancel_orphans(store: Store, orphans: Sequence[Orphan]) -> None:
    """Cancel jobs of Slurm, and send SIGTERM to the processes of this machine that are of no job.

    They are looked for again, for what was listed may have ended meanwhile, and its number be another's.
    """
    still = {(one.run, one.cluster, one.job) for one in find_orphans(store)}
    left = [one for one in orphans if one.job and (one.run, one.cluster, one.job) in still]
    for cluster in sorted({one.cluster for one in left}):
        cancel_jobs([one.job for one in left if one.cluster == cluster], cluster)
    for orphan in orphans:
        if orphan.is_here:
            for writer in orphan.writers:
                # it has just ended, or is another user's, and then it is told as left
                with suppress(ProcessLookupError, PermissionError):
                    _end(store, writer)


def _end(store: Store, writer: Writer) -> None:
    """Send SIGTERM to a writer that still holds its lock; the number of its process may be a stranger's by now."""
    if not hasattr(os, "pidfd_open"):  # not Linux: it is told as left
        return
    process = os.pidfd_open(writer.process)
    try:
        # a child may hold the lock of a dead writer; a stranger has begun later than the lock was taken
        began, taken = find_start(writer.process), datetime.fromisoformat(writer.since).timestamp()
        if began is not None and began <= taken + _CLOCK_SECONDS and writer in list_writers(store.work):
            signal.pidfd_send_signal(process, signal.SIGTERM)
    finally:
        os.close(process)


def wait_for_end(
    store: Store, seconds: float, tell: Callable[[int], None], cancelled: Sequence[Orphan]
) -> list[Orphan]:
    """Wait until no orphan of the cancelled ones' runs is left, at most so long, and return those that are.

    `tell` is told their number.
    """
    end, runs = time.monotonic() + seconds, {one.run for one in cancelled}
    while (left := [one for one in find_orphans(store) if one.run in runs]) and time.monotonic() < end:
        tell(len(left))
        time.sleep(_POLL_SECONDS)
    return left
