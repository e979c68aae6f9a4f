"""Snakemake's own executor for Slurm, asked for the states of jobs as by a run; `sacct` answers as on a cluster."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake.jobs import GroupJob

from mixlab.plan.slurm_executor import mend_executor

SACCT = """#!/bin/sh
case "$*" in
*State*) printf '%s\\n' '7|CANCELLED by 1000' '8|RUNNING' '9|NODE_FAIL' '10|NODE_FAIL' '11|FAILED' '12|NODE_FAIL' ;;
"-j 9 "*) echo 'n[1-2]' ;;
"-j 10 "*) echo 'n3' ;;
"-j 12 "*) echo 'None assigned' ;;
esac
"""


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that has submitted jobs, without a workflow."""
    (tmp_path / "sacct").write_text(SACCT)
    (tmp_path / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)
    settings = {"init_seconds_before_status_checks": 1, "status_attempts": 1, "status_command": "sacct"}
    counters = {"_status_query_calls": 0, "_status_query_total_seconds": 0.0, "_status_query_cycle_rows": []}
    times = {"_status_query_min_seconds": None, "_status_query_max_seconds": 0.0, "_preemption_warning": False}
    executor = plugin.Executor.__new__(plugin.Executor)
    executor.__dict__ |= {**counters, **times, "run_uuid": "a-b", "_failed_nodes": {"n9"}}
    executor.workflow = SimpleNamespace(executor_settings=SimpleNamespace(**settings, requeue=True))
    executor.logger = logging.getLogger(__name__)
    executor.next_seconds_between_status_checks = 1
    executor.status_rate_limiter = contextlib.nullcontext()
    return executor


def ask(executor: Any) -> tuple[list[str], list[str]]:
    """Numbers of the jobs that are still waited for, and of those that failed."""
    jobs = [SimpleNamespace(external_jobid=str(number), aux=defaultdict(str)) for number in range(7, 13)]
    failed: list[str] = []
    executor.report_job_error = lambda job, **_: failed.append(job.external_jobid)

    async def collect() -> list[str]:
        return [job.external_jobid async for job in executor.check_active_jobs(jobs)]

    return asyncio.run(collect()), failed


def test_a_job_that_somebody_cancelled_is_not_waited_for(executor: Any) -> None:
    assert ask(executor) == (["7", "8", "9", "10", "12"], ["11"]), "mended there: slurm_executor.py may go"
    mend_executor(executor)
    assert ask(executor) == (["8", "9", "10", "12"], ["7", "11"])


def test_no_node_is_kept_away_from_for_having_failed_once(executor: Any) -> None:
    ask(executor)
    assert executor._failed_nodes == {"n9", "n[1-2]", "n3", "None assigned"}, "mended there"
    executor._failed_nodes = {"n9"}
    mend_executor(executor)
    ask(executor)
    assert executor._failed_nodes == {"n9"}


class Group(SimpleNamespace):
    """Jobs that are submitted together, which have no rule in common."""

    log_error = GroupJob.log_error

    def is_group(self) -> bool:
        return True


def test_why_a_group_was_refused_is_told(executor: Any, caplog: pytest.LogCaptureFixture) -> None:
    group = plugin.SubmittedJobInfo(Group(name="report", groupid="report", jobs=[]))
    executor.workflow.scheduler = SimpleNamespace(error_callback=lambda job: None)
    why = "SLURM sbatch failed. The error message was 'sbatch: error: AssocMaxSubmitJobLimit'"
    executor.report_job_error(group, msg=why)
    assert why not in caplog.text, "mended there"
    mend_executor(executor)
    executor.report_job_error(group, msg=why)
    assert f"Group report: {why}" in caplog.text


def test_a_group_that_cannot_be_submitted_has_failed(
    executor: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[str] = []
    executor.workflow.scheduler = SimpleNamespace(error_callback=lambda job: failed.append(job.groupid))
    executor._main_event_loop = None
    executor.slurm_logdir = tmp_path / "sacct/logs"
    group = Group(name="report", groupid="report", jobs=[])
    with pytest.raises(AttributeError, match="rule"):
        executor.run_job(group)
    assert failed == [], "mended there"
    mend_executor(executor)
    with pytest.raises(AttributeError, match="rule"):
        executor.run_job(group)
    assert failed == ["report"]
    assert "Not a directory" in caplog.text
