"""The moment before a run's first job: what a cluster would refuse is said, and the run is noted for others."""

import os
import re
from collections.abc import Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.runs import RUN_VARIABLE, JobCard, begin_run
from mixlab.config.problems import ConfigError, Problem, UserError
from mixlab.plan.slurm import (
    Partitions,
    check_accounts,
    check_minutes,
    check_partitions,
    read_accounting,
    read_partitions,
)

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
            clusters = {one for job in jobs for one in _list_clusters(job)}
            settings = workflow.executor_settings
            is_picked = bool(settings.partition_config or environment.get(_PARTITIONS_VARIABLE))
            require_slurm(jobs, settings.status_command, is_picked=is_picked, qos=settings.qos)
        name = workflow.scheduler._executor.run_uuid if is_slurm else ""
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


def _find_too_long(jobs: list[Any], partitions: Partitions) -> list[str]:
    """Say once of each rule, by the first of its jobs, that it would wait for ever; who names a QOS may be let in."""
    found: dict[str, str] = {}
    for job in jobs:
        minutes = job.resources.get("runtime")
        if isinstance(minutes, int) and not job.resources.get("qos"):
            told = check_minutes(_split(job.resources.get("slurm_partition")), minutes, partitions)
            if told is not None:
                found.setdefault(job.rule.name, f"a job of {job.rule.name} {told}")
    return list(found.values())


def require_slurm(
    jobs: list[Any], status_command: str | None, *, is_picked: bool = False, qos: str | None = None
) -> None:
    """Raise ConfigError with all that this cluster would refuse, or let wait for ever, of what jobs ask for.

    What jobs name of a cluster of their own is not looked at. `status_command` is what Snakemake would ask for the
    state of jobs: it would wait for ever for one that only fails. `is_picked`: Snakemake's executor picks a partition
    for a job that names none. `qos`: that of all jobs, whose limits of time may be other than a partition's.
    """
    jobs = [job for job in jobs if not _list_clusters(job)]
    if not jobs:
        return
    accounting = read_accounting()
    partitions = read_partitions()
    checks = (
        ("slurm_partition", partial(check_partitions, partitions=partitions)),
        ("slurm_account", partial(check_accounts, accounting=accounting)),
    )
    problems = []
    for name, check in checks:
        given = [_split(job.resources.get(name)) for job in jobs]
        named = {one for names in given for one in names}
        needs_default = [] in given and not (is_picked and name == "slurm_partition")
        problems += [Problem(one, key=name) for one in check(named, needs_default)]
    if not is_picked and not qos:
        problems += [Problem(one, key="runtime") for one in _find_too_long(jobs, partitions)]
    if status_command == "sacct" and not accounting.is_kept:
        problems.append(
            Problem("sacct tells nothing on a cluster without accounting; add --slurm-status-command squeue")
        )
    if problems:
        raise ConfigError(problems)
