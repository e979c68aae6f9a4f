"""One look at a study as text for a terminal."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from mixlab.cli._common import render_count, render_plain, render_table
from mixlab.cli._needs import render_seconds
from mixlab.cli._status import Job, View
from mixlab.plan.status import Failure

_COUNTS = ("planned", "done", "running", "waiting", "failed", "fetch")
_HEADER = ("stage", *_COUNTS, "spent", "GPU-hours", "left")
_SHOWN = 5
"""Failures shown with their logs; of the others there is a line each."""


def render_view(view: View) -> str:
    """Render all of it: the table of stages, jobs at work, failures, and what to do."""
    return "\n".join(_list_lines(view))


def render_summary(view: View) -> str:
    """Render one line: what a log keeps of a look."""
    totals = view.status.totals
    parts = [f"{totals['done']} of {totals['planned'] - totals['not_needed']} done"]
    parts += [f"{totals[name]} {name}" for name in ("running", "waiting", "failed") if totals[name]]
    parts += [f"{totals['fetch']} to fetch"] if totals["fetch"] else []
    return f"{', '.join(view.studies)}: {', '.join(parts)}"


def _list_lines(view: View) -> Iterator[str]:
    yield render_summary(view)
    yield ""
    stages = view.status.stages
    rows = [_render_row(view, stage, counts, [stage]) for stage, counts in stages.items()]
    rows.append(_render_row(view, "total", view.status.totals, list(stages)))
    widths = [max(len(row[at]) for row in (_HEADER, *rows)) for at in range(len(_HEADER))]
    table = [[cell if not at else cell.rjust(widths[at]) for at, cell in enumerate(row)] for row in (_HEADER, *rows)]
    yield render_table(table[0], table[1:])
    if view.jobs:
        yield "\nat work, longest first:"
        for job in view.jobs:
            yield from _render_job(job)
    if view.failures:
        yield "\nfailed, newest first:"
        for number, (failure, label, tail) in enumerate(view.failures):
            yield from _render_failure(failure, label, tail if number < _SHOWN else [])
    yield ""
    yield from _render_end(view)


def _render_row(view: View, name: str, counts: Counter[str], stages: list[str]) -> list[str]:
    spent = [view.spent[stage] for stage in stages]
    left = [view.left(stage) for stage in stages]
    seconds = sum(one.seconds for one in spent)
    hours = sum(one.gpu_seconds for one in spent) / 3600
    ahead = "?" if None in left else _render_left(sum(one for one in left if one is not None))
    return [name, *(str(counts[one]) for one in _COUNTS), render_seconds(seconds), f"{hours:.3g}", ahead]


def _render_left(seconds: float) -> str:
    return f"~{render_seconds(seconds)}" if seconds else "-"


def _render_job(job: Job) -> Iterator[str]:
    parts = [f"for {render_seconds(job.elapsed)}"]
    if job.progress is not None:
        parts.append(f"step {job.progress.step} of {job.progress.steps}")
        if job.progress.seconds_per_step is not None:
            parts.append(f"{job.progress.seconds_per_step:.3g} s a step")
    if job.left is not None:
        parts.append(f"~{render_seconds(job.left)} left")
    yield f"  {job.attempt.stage} {job.attempt.key}  {', '.join(parts)}"
    slurm = f", Slurm job {job.attempt.job}" if job.attempt.job else ""
    yield f"    {job.label}; process {job.attempt.process} on {job.attempt.host}{slurm}"
    if job.silent is not None and job.attempt.log:
        yield f"    last heard of {render_seconds(job.silent)} ago: {job.attempt.log}"


def _render_failure(failure: Failure, label: str, tail: list[str]) -> Iterator[str]:
    attempt = failure.attempt
    below = f", holds up {render_count(failure.holds_up, 'artifact')}" if failure.holds_up else ""
    yield f"  {attempt.stage} {attempt.key}  {attempt.ended or attempt.since}{below}"
    slurm = f", Slurm job {attempt.job}" if attempt.job else ""
    yield f"    {label}; process {attempt.process} on {attempt.host}{slurm}"
    why = attempt.error.splitlines() or ["killed, or its machine stopped: it left no word"]
    yield f"    {render_plain(why[0])}"
    if tail:
        yield f"    {attempt.log}:"
        yield from (f"    | {line}" for line in tail)


def _render_end(view: View) -> Iterator[str]:
    totals = view.status.totals
    if totals["not_needed"]:
        yield f"{render_count(totals['not_needed'], 'unfinished artifact')} that nothing needs any more: not counted"
    moment = datetime.fromtimestamp(view.seen_at, UTC)
    age = "no artifact yet"
    if view.newest is not None:
        age = f"the newest artifact appeared {render_seconds(max(0.0, view.seen_at - view.newest))} ago"
    yield f"seen at {moment:%Y-%m-%d %H:%M:%S} UTC; {age}"
    if view.status.is_done:
        yield "Nothing to be done."
    elif not view.jobs and view.runs:
        alive = ", ".join(map(str, view.runs))
        yield f"No job is at work, but a run of Snakemake lives: {alive}; its jobs begin, or wait for a cluster."
    elif not view.jobs:
        yield (
            "No job is at work, but Snakemake's lock is there: a run begins or ends, or was killed (`mixlab unlock` "
            "tells)."
            if view.is_locked
            else f"No run is at work; `snakemake --profile {view.profile} all` goes on."
        )
