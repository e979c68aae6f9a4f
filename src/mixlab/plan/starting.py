"""The moment before a run's first job: what a cluster would refuse is said, and the run is noted for others."""

import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import IO, Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.runs import RUN_VARIABLE, JobCard, begin_run
from mixlab.config.problems import ConfigError, Problem, UserError
from mixlab.plan.slurm import (
    check_accounts,
    check_partitions,
    read_accounting,
    read_partitions,
)
from mixlab.plan.slurm_executor import mend_executor

_CLUSTERS = ("cluster", "clusters", "slurm_cluster")
"""Names by which Snakemake's executor for Slurm knows the cluster that a job is sent to."""
_PARTITIONS_VARIABLE = "SNAKEMAKE_SLURM_PARTITIONS"
"""As its option --slurm-partition-config: a file by which it picks a partition for a job that names none."""
_held: list[IO[str]] = []
"""The file whose lock says that this process lives: it stays open to the end."""


def start_run(
    work: Path, plan_file: Path, told: Mapping[str, JobCard], workflow: Any, environment: MutableMapping[str, str]
) -> None:
    """Check the jobs of Snakemake's `workflow` and note its run, with what its jobs are told.

    Leaves with 2 for a user's mistake, before anything is submitted.
    """
    is_slurm = workflow.executor_plugin.name == "slurm"
    clusters: set[str] = set()
    try:
        if is_slurm:
            jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
            groups = {group for job in jobs if (group := workflow.dag.get_job_group(job)) is not None}
            clusters = {one for job in jobs for one in _list_clusters(job)}
            settings = workflow.executor_settings
            is_picked = bool(settings.partition_config or environment.get(_PARTITIONS_VARIABLE))
            require_slurm(jobs, groups, settings.status_command, is_picked=is_picked, qos=settings.qos)
        name = ""
        if is_slurm:
            executor = workflow.scheduler._executor
            mend_executor(executor)
            name = executor.run_uuid
        run, file = begin_run(work, str(plan_file), told, name, clusters)
    except (UserError, ArtifactError) as error:
        os.write(2, f"mixlab: {error}\n".encode())
        raise SystemExit(2) from None
    _held.append(file)
    environment[RUN_VARIABLE] = run


def _list_clusters(job: Any) -> list[str]:
    """List the clusters that a job names."""
    return [one for name in _CLUSTERS for one in _split(job.resources.get(name))]


def _split(given: Any) -> list[str]:
    return [one for one in re.split(r"[,\s]+", str(given or "")) if one]


def _list_minutes(jobs: Iterable[Any], groups: Iterable[Any]) -> dict[tuple[str, ...], dict[str, float]]:
    """Map the partitions that a job or group names to what is submitted to them and the most minutes it asks for.

    Who names a QOS may be given other limits of time than the partition's, and asks for none here.
    """
    submitted = [(f"group {group.groupid}", group, group.jobs) for group in groups]
    grouped = {job for _, _, jobs_of_group in submitted for job in jobs_of_group}
    submitted += [(job.rule.name, job, (job,)) for job in jobs if job not in grouped]
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for what, one, parts in submitted:
        minutes = found.setdefault(tuple(_split(one.resources.get("slurm_partition"))), {})
        if not any(job.resources.get("qos") for job in parts):
            minutes[what] = max(minutes.get(what, 0), float(one.resources.get("runtime") or 0))
    return found


def require_slurm(
    jobs: Iterable[Any],
    groups: Iterable[Any],
    status_command: str | None,
    *,
    is_picked: bool = False,
    qos: str | None = None,
) -> None:
    """Raise ConfigError with all that this cluster would refuse, or let wait for ever, of what jobs ask for.

    `groups` are those of jobs that are submitted as one. What names a cluster of its own is not looked at.
    `status_command` is what Snakemake would ask for the state of jobs: it would wait for ever for one that only fails.
    `is_picked`: Snakemake's executor picks a partition for a job that names none. `qos`: that of all jobs, whose limits
    of time may be other than a partition's.
    """
    jobs = [job for job in jobs if not _list_clusters(job)]
    groups = [group for group in groups if not any(_list_clusters(job) for job in group.jobs)]
    if not jobs:
        return
    accounting = read_accounting()
    wanted = _list_minutes(jobs, groups)
    if is_picked:
        wanted.pop((), None)
    if qos:
        wanted = {names: {} for names in wanted}
    accounts = [tuple(_split(job.resources.get("slurm_account"))) for job in jobs]
    problems = [Problem(one, key="slurm_partition") for one in check_partitions(wanted, read_partitions())]
    problems += [Problem(one, key="slurm_account") for one in check_accounts(accounts, accounting)]
    if status_command == "sacct" and not accounting.is_kept:
        problems.append(
            Problem("sacct tells nothing on a cluster without accounting; add --slurm-status-command squeue")
        )
    if problems:
        raise ConfigError(problems)
