"""The moment before a run's first job: what a cluster would refuse is said, and the run is noted for others."""

import os
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import IO, Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.runs import RUN_VARIABLE, JobCard, begin_run
from mixlab.config.problems import ConfigError, Problem, UserError
from mixlab.plan.slurm import check_accounts, check_partitions, list_partitions, read_accounting

_held: list[IO[str]] = []
"""The file whose lock says that this process lives: it stays open to the end."""


def start_run(
    work: Path, plan_file: Path, told: Mapping[str, JobCard], workflow: Any, environment: MutableMapping[str, str]
) -> None:
    """Check the jobs of Snakemake's `workflow` and note its run, with what its jobs are told.

    Leaves with 2 for a user's mistake, before anything is submitted.
    """
    is_slurm = workflow.executor_plugin.name == "slurm"
    try:
        if is_slurm:
            jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
            groups = {group for job in jobs if (group := workflow.dag.get_job_group(job)) is not None}
            require_slurm(jobs, groups, workflow.executor_settings.status_command)
        name = workflow.scheduler._executor.run_uuid if is_slurm else ""
        run, file = begin_run(work, str(plan_file), told, name)
    except (UserError, ArtifactError) as error:
        os.write(2, f"mixlab: {error}\n".encode())
        raise SystemExit(2) from None
    _held.append(file)
    environment[RUN_VARIABLE] = run


def require_slurm(jobs: Iterable[Any], groups: Iterable[Any], status_command: str | None) -> None:
    """Raise ConfigError with all that this cluster would refuse of the partitions, times and accounts of jobs.

    `groups` are those of jobs that are submitted as one. What names `clusters` of its own is not looked at.
    `status_command` is what Snakemake would ask for the state of jobs: it would wait for ever for one that only fails.
    """
    jobs, groups = ([one for one in every if not one.resources.get("clusters")] for every in (jobs, groups))
    if not jobs:
        return
    accounting = read_accounting()
    grouped = {job for group in groups for job in group.jobs}
    submitted = [(f"group {group.groupid}", group) for group in groups]
    submitted += [(job.rule.name, job) for job in jobs if job not in grouped]
    wanted: dict[str, dict[str, float]] = {str(job.resources.get("slurm_partition") or ""): {} for job in jobs}
    for what, one in submitted:
        minutes = wanted.setdefault(str(one.resources.get("slurm_partition") or ""), {})
        minutes[what] = max(minutes.get(what, 0), float(one.resources.get("runtime") or 0))
    accounts = {str(job.resources.get("slurm_account") or "") for job in jobs}
    problems = [Problem(one, key="slurm_partition") for one in check_partitions(wanted, list_partitions())]
    problems += [Problem(one, key="slurm_account") for one in check_accounts(accounts, accounting)]
    if status_command == "sacct" and not accounting.is_kept:
        problems.append(
            Problem("sacct tells nothing on a cluster without accounting; add --slurm-status-command squeue")
        )
    if problems:
        raise ConfigError(problems)
