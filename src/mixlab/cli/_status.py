"""One look at a study: counts, jobs at work with how far they are, failures with the ends of their logs."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mixlab.artifacts.attempts import Attempt, is_under_way, list_attempts
from mixlab.artifacts.runs import WorkflowRun, list_runs
from mixlab.artifacts.spending import Ledger, Spent
from mixlab.artifacts.states import Name, States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import render_plain
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES
from mixlab.plan.status import COUNTS, Failure, Status, build_status
from mixlab.training.watching.tail import Progress, read_progress

LOG_LINES = 10
_LOG_BYTES = 8192


@dataclass(frozen=True)
class Job:
    """A job at work: since when, how far, when it was last heard of (all in seconds)."""

    attempt: Attempt
    label: str
    elapsed: float
    silent: float | None
    progress: Progress | None
    left: float | None


@dataclass(frozen=True)
class View:
    """What one look at a folder saw."""

    studies: tuple[str, ...]
    seen_at: float
    newest: float | None
    is_locked: bool
    runs: tuple[WorkflowRun, ...]
    """Runs of Snakemake that live."""
    profile: str
    """That of the newest run, by which the next one would go on."""
    status: Status
    spent: dict[str, Spent]
    jobs: tuple[Job, ...]
    failures: tuple[tuple[Failure, str, list[str]], ...]
    """With the label, and the last lines of the log."""

    def left(self, stage: str) -> float | None:
        """Seconds of jobs that a stage still takes, by the median of those it made; None where nothing tells it."""
        counts = self.status.stages[stage]
        mine = [job.left for job in self.jobs if job.attempt.stage == stage]
        waiting = counts["waiting"] + counts["failed"]
        typical = find_typical(self.spent[stage])
        if None in mine or (waiting and typical is None):
            return None
        return sum(one for one in mine if one is not None) + waiting * (typical or 0.0)


def find_typical(spent: Spent) -> float | None:
    """The median seconds of a job of the stage, None before the first is done."""
    return statistics.median(spent.newest_seconds) if spent.newest_seconds else None


@dataclass(frozen=True)
class Looker:
    """Looks at a working folder as often as asked, by one plan."""

    store: Store
    plan: Plan
    ledger: Ledger

    def look(self) -> View:
        """Read folders, attempts, the provenance of what is new, and the ends of metrics and logs."""
        now = time.time()
        # attempts first: one that succeeds in between is seen as done, not as failed
        attempts = list_attempts(self.store, STAGES)
        under_way = frozenset(one.name for one in attempts if is_under_way(self.store, one))
        states = read_states(self.store, STAGES)
        demand = build_demand(self.plan, states, [key for keys in self.plan.targets.values() for key in keys])
        status = build_status(self.plan, states, demand, attempts, under_way)
        spent = self._add_up(states, status, attempts)
        jobs = sorted((self._describe(one, spent, now) for one in status.running), key=lambda job: -job.elapsed)
        failures = [
            (one, self.plan.nodes[one.attempt.key].label, read_tail(self.store, one.attempt)) for one in status.failed
        ]
        locks = self.store.root / ".snakemake" / "locks"
        runs = list_runs(self.store.work)
        return View(
            tuple(self.plan.targets),
            now,
            self._find_newest(),
            locks.is_dir() and any(locks.iterdir()),
            tuple(run for run in runs if run.is_alive),
            "slurm" if runs and runs[-1].slurm_name else "local",
            status,
            spent,
            tuple(jobs),
            tuple(failures),
        )

    def _add_up(self, states: States, status: Status, attempts: Sequence[Attempt]) -> dict[str, Spent]:
        names: dict[str, list[Name]] = {stage: [] for stage in status.stages}
        tried: dict[str, list[Name]] = {stage: [] for stage in status.stages}
        for node in self.plan.nodes.values():
            if states.is_finished(node.name):
                names[node.stage].append(node.name)
        for one in attempts:
            if one.key in self.plan.nodes:
                tried[one.stage].append(one.name)
        return {stage: self.ledger.add_up(found, tried[stage]) for stage, found in names.items()}

    def _describe(self, attempt: Attempt, spent: dict[str, Spent], now: float) -> Job:
        since = datetime.fromisoformat(attempt.since).timestamp()
        progress = read_progress(self.store.metrics / attempt.stage / f"{attempt.key}.jsonl")
        if progress is not None and progress.last_time < since:
            progress = None  # of an attempt before: this one has told nothing yet
        typical = find_typical(spent[attempt.stage])
        left = None if typical is None else max(0.0, typical - (now - since))
        if progress is not None:
            left = progress.seconds_left
        heard = [path.stat().st_mtime for path in [self.store.root / attempt.log] if attempt.log and path.is_file()]
        heard += [progress.last_time] if progress is not None else []
        silent = max(0.0, now - max(heard)) if heard else None
        label = self.plan.nodes[attempt.key].label
        return Job(attempt, label, max(0.0, now - since), silent, progress, left)

    def _find_newest(self) -> float | None:
        """When an artifact last appeared: a folder's time is that of the last rename into it."""
        times = []
        for stage in STAGES:
            try:
                times.append((self.store.artifacts / stage).stat().st_mtime)
            except FileNotFoundError:
                continue
        return max(times, default=None)


def read_tail(store: Store, attempt: Attempt) -> list[str]:
    """Read the last lines of an attempt's log, as plain text; none where it is unknown or gone."""
    if not attempt.log:
        return []
    try:
        with (store.root / attempt.log).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in map(render_plain, text.split("\n")) if line][-LOG_LINES:]


def describe_view(view: View) -> dict[str, Any]:
    """Describe a look for JSON; times in seconds, None what is not known."""
    stages = [
        {"stage": stage} | {name: counts[name] for name in COUNTS} | _describe_spent(view, [stage])
        for stage, counts in view.status.stages.items()
    ]
    totals = view.status.totals
    return {
        "studies": list(view.studies),
        "seen_at": _iso(view.seen_at),
        "newest_artifact_at": None if view.newest is None else _iso(view.newest),
        "is_done": view.status.is_done,
        "snakemake_lock": view.is_locked,
        "stages": stages,
        "totals": {name: totals[name] for name in COUNTS} | _describe_spent(view, list(view.status.stages)),
        "running": [_describe_job(job) for job in view.jobs],
        "failed": [
            vars(failure.attempt) | {"label": label, "holds_up": failure.holds_up, "log_tail": tail}
            for failure, label, tail in view.failures
        ],
    }


def _describe_spent(view: View, stages: Sequence[str]) -> dict[str, Any]:
    spent = [view.spent[stage] for stage in stages]
    left = [view.left(stage) for stage in stages]
    return {
        "job_seconds": round(sum(one.seconds for one in spent), 3),
        "process_hours": sum(one.process_seconds for one in spent) / 3600,
        "gpu_hours": sum(one.gpu_seconds for one in spent) / 3600,
        "left_seconds": None if None in left else sum(one for one in left if one is not None),
    }


def _describe_job(job: Job) -> dict[str, Any]:
    attempt = {name: value for name, value in vars(job.attempt).items() if name not in ("error", "ended")}
    far = {} if job.progress is None else {"step": job.progress.step, "steps": job.progress.steps}
    return attempt | {
        "label": job.label,
        "elapsed_seconds": round(job.elapsed, 1),
        "silent_seconds": None if job.silent is None else round(job.silent, 1),
        "step": far.get("step"),
        "steps": far.get("steps"),
        "seconds_per_step": None if job.progress is None else job.progress.seconds_per_step,
        "left_seconds": job.left,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
