"""The price of a study as text: tables by stage, training, benchmark and judge, and what they are based on."""

from collections import Counter
from collections.abc import Iterator, Sequence

import click

from mixlab.cli._common import render_bytes, render_table
from mixlab.cli._judge_cost import COST_HEADER, list_notes, render_line
from mixlab.cli._pricing import Priced
from mixlab.config.resources import TRAINED
from mixlab.plan.asked import Generation
from mixlab.plan.jobs import Schedule
from mixlab.plan.price import Cost, Line, sum_lines
from mixlab.plan.quote import StageQuote

_STAGES = ("stage", "kept", "fetch", "make", "jobs", "time", "GPU-hours", "disk")
_TRAINING = (
    "base model",
    "training",
    "done",
    "to do",
    "tokens",
    "steps",
    "FLOPs",
    "GPU-hours at MFU",
    "done at MFU",
    "MFU",
)
_GENERATION = ("benchmark", "responses", "items", "prompts", "tokens, at most", "tokens, expected", "FLOPs")


def print_price(priced: Priced) -> None:
    """Print all that is known of the price."""
    lines = [line for line in priced.stages if line.planned]
    _print_right(_STAGES, [_render_stage(line) for line in (*lines, priced.total)])
    if priced.lines:
        click.echo("")
        _print_right(_TRAINING, [_render_training(line) for line in (*priced.lines, *priced.totals)], left=2)
    if priced.generation:
        click.echo("")
        _print_right(_GENERATION, [_render_generation(line) for line in (*priced.generation, total_of(priced))])
    if priced.judging:
        judging = priced.planned.config.machine.judging
        click.echo("")
        click.echo(render_table(COST_HEADER, [render_line(line, judging) for line in priced.judging]))
    click.echo("")
    for note in list_price_notes(priced):
        click.echo(note)


def total_of(priced: Priced) -> Generation:
    """Sum up what is generated, over all benchmarks."""
    total = Generation("total")
    for line in priced.generation:
        for name in ("artifacts", "items", "prompts", "most_tokens", "flops", "unknown", "shapeless"):
            setattr(total, name, getattr(total, name) + getattr(line, name))
        told = (total.expected_tokens, line.expected_tokens)
        total.expected_tokens = None if None in told else sum(one for one in told if one is not None)
    return total


def _print_right(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table whose cells stand to the right but for the first columns."""
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    table = [[cell if at < left else cell.rjust(widths[at]) for at, cell in enumerate(row)] for row in (header, *rows)]
    click.echo(render_table(table[0], table[1:]))


def _render_stage(line: StageQuote) -> list[str]:
    hours = _render_known(render_number(line.gpu_hours), line.gpu_hours_unknown, line.jobs)
    # a stage that computes without a GPU has none to count
    if not line.gpu_hours and not line.gpu_hours_unknown and line.stage not in (*TRAINED, "total"):
        hours = ""
    size = _render_known(render_bytes(line.bytes), line.bytes_unknown, line.artifacts)
    time = _render_known(render_duration(line.seconds), line.seconds_unknown, line.jobs)
    counts = (line.kept, line.fetched, line.artifacts, line.jobs)
    return [line.stage, *map(str, counts), time, hours, size]


def _render_known(text: str, unknown: int, of: int) -> str:
    """Render a sum of which some parts may not be known."""
    if not of:
        return ""
    return "?" if unknown == of else f"{text} + ?" if unknown else text


def _render_training(line: Line) -> list[str]:
    use = line.utilisation
    mfu = "" if use is None else f"{use.mfu:.3g} {use.basis}"
    todo, done = line.to_do, line.done
    figures = (todo.steps, todo.flops, todo.gpu_hours)
    told = [render_tokens(todo.tokens), *(render_number(one) for one in figures)]
    if todo.unknown:
        told = [_render_known(one, todo.unknown, todo.runs) for one in told]
    past = render_number(done.gpu_hours)
    past = _render_known(past, done.unknown, done.runs) if done.unknown else past
    return [line.base_model, line.stage, str(done.runs), str(todo.runs), *told, past, mfu]


def _render_generation(line: Generation) -> list[str]:
    expected = "?" if line.expected_tokens is None else render_tokens(round(line.expected_tokens))
    counts = (line.artifacts, line.items, line.prompts)
    told = [*map(str, counts), render_tokens(line.most_tokens), expected, render_number(line.flops)]
    if line.unknown:
        told[1:] = [one if one == "?" else _render_known(one, line.unknown, line.artifacts) for one in told[1:]]
    return [line.benchmark, *told]


def render_number(number: float) -> str:
    """Render with three digits: 0.000123, 12.3, 1,235 (whole), 1.23e+06."""
    if number < 1000:
        return f"{number:.3g}"
    return f"{number:,.0f}" if number < 1_000_000 else f"{number:.3g}"


def render_tokens(number: int) -> str:
    """Render with three digits and a unit, four of what is above 100: 240 K, 104.9 B."""
    for letter, unit in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= unit:
            return f"{number / unit:.1f} {letter}" if number >= 100 * unit else f"{number / unit:.3g} {letter}"
    return str(number)


def render_duration(seconds: float) -> str:
    """Render a duration for people: 12.3 s, 45.1 min, 9.5 h, 30.2 days."""
    for most, unit, name in ((600, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86_400:,.1f} days"


def render_runs(count: int) -> str:
    """Render `1 run`, `2 runs`."""
    return f"{count} run" if count == 1 else f"{count} runs"


def list_price_notes(priced: Priced) -> Iterator[str]:
    """Say what the figures are based on, and what is not known."""
    if priced.demand.is_empty:
        yield "Nothing to be done."
    yield from _list_training_notes(priced)
    yield from _list_wall_notes(priced)
    yield from _list_traffic_notes(priced)
    yield from _list_answer_notes(priced)


def _list_wall_notes(priced: Priced) -> Iterator[str]:
    schedule, terms = priced.schedule, priced.terms
    if schedule.jobs:
        gpus = f"{_count(terms.gpus, 'GPU')} and " if terms.gpus is not None else ""
        places = f"{gpus}{_count(terms.count_cores(), 'core')}"
        more = f" ({schedule.unknown} of {schedule.jobs} jobs nobody measured yet)" if schedule.unknown else ""
        told = f"wall time with {places}: {_render_least(schedule, schedule.seconds)}{more}"
        yield f"{told}; longest chain of jobs: {_render_least(schedule, schedule.chain_seconds)}"
    if schedule.too_wide:
        many = _count(schedule.too_wide, "job")
        yield f"{many} would take more GPUs or cores than there are, and are taken to be longer by as much"
    hosts = {host for line in priced.stages if line.jobs for host in priced.history.hosts(line.stage)}
    if hosts:
        yield f"time of what was measured: by the provenance of like artifacts, made on {', '.join(sorted(hosts))}"
    yield from _list_left_out(priced)
    if unknown := [line.stage for line in priced.stages if line.seconds_unknown]:
        yield f"time not known, and in no sum: {', '.join(unknown)}; nothing alike was made here yet"
    is_asked = terms.gpus is not None or terms.by_formula
    if not is_asked and any(line.stage in TRAINED and line.seconds_unknown for line in priced.stages):
        yield "time of training: by formula with --gpus N; machine.stages gives it no GPU here"


def _render_least(schedule: Schedule, seconds: float) -> str:
    """Render what a schedule comes to: of jobs of unknown length it knows the least alone."""
    if schedule.is_unknown:
        return "?"
    return f"{'at least ' if schedule.unknown else ''}{render_duration(seconds)}"


def _list_left_out(priced: Priced) -> Iterator[str]:
    """Say what was measured and is in no estimate."""
    stages = [line.stage for line in priced.stages if line.jobs]
    if partial := sum(priced.history.count_partial(stage) for stage in stages):
        yield f"left out: {render_runs(partial)} that went on from a state, as provenance has the last process alone"
    if priced.elsewhere:
        yield f"left out: time on {', '.join(priced.elsewhere)}, as what is priced computes on something else"


def _list_traffic_notes(priced: Priced) -> Iterator[str]:
    total = priced.total
    if total.fetched:
        yield f"to fetch from cache or remote: {_count(total.fetched, 'artifact')}, {render_bytes(total.fetched_bytes)}"
    if total.artifacts:
        known = f"at least {render_bytes(total.bytes)}" if total.bytes_unknown else render_bytes(total.bytes)
        yield f"to push, when all of it is tracked: {known}"
    if any(line.gpu_hours_unknown for line in priced.stages if line.stage not in TRAINED):
        yield "GPU-hours of generation: as measured, and nothing alike was made here yet; FLOPs say the least it takes"
    if unknown := [line.stage for line in priced.stages if line.bytes_unknown]:
        yield f"disk not known, and in no sum: {', '.join(unknown)}; none was made here yet"


def _list_answer_notes(priced: Priced) -> Iterator[str]:
    for stage, count in priced.verdicts.items():
        asked = sum(line.work.to_ask for line in priced.judging if line.is_pairwise == (stage == "judge_pairs"))
        of_models = "none of them asks a model" if not asked else f"of which up to {asked} ask a model"
        yield f"{stage}: {count} verdicts, {of_models}"
    for label, why in priced.faults.items():
        yield f"items of '{label}' cannot be asked, and are in no sum: {why}"
    unknown = sum(line.unknown for line in priced.generation)
    if unknown or priced.unread:
        places = f"{_count(unknown, 'response')} and {_count(priced.unread, 'judging')}"
        yield f"in no sum: {places} of benchmarks whose items are not here yet"
    if any(line.expected_tokens is None for line in priced.generation):
        yield "tokens expected: known once responses to the benchmark are here; until then all may be of the longest"
    if shapeless := sum(line.shapeless for line in priced.generation):
        yield f"FLOPs in no sum: {_count(shapeless, 'response')} of models served elsewhere, or of unknown shape"
    yield from list_notes(priced.judging, priced.planned.config.machine.judging)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _list_training_notes(priced: Priced) -> Iterator[str]:
    total = sum_lines(priced.lines, "all")
    yield f"training to do: {_render_hours(priced, total.to_do)}; done: {_render_hours(priced, total.done)}"
    if total.not_needed.runs:
        yield f"not needed any more, and in no sum: {total.not_needed.runs} unfinished runs, as nothing below is wanted"
    yield (
        f"{priced.gpu}: {priced.peak.bfloat16 / 1e12:g} TFLOP/s in bfloat16, {priced.peak.float32 / 1e12:g} in float32 "
        f"({priced.peak.source})"
    )
    for line in priced.lines:
        use = line.utilisation
        if use is not None and use.basis == "measured":
            on = f" on {', '.join(use.devices)}" if use.devices else ""
            yield f"MFU of {line.base_model}, {line.stage}: median of {use.runs} measured{on}"
    if any(line.utilisation and line.utilisation.basis == "assumed" for line in priced.lines):
        yield "MFU assumed: machine.pricing.mfu of config.yaml, or its default"
    for known_by, count in Counter(run.workload.known_by for run in priced.runs if run.workload is not None).items():
        yield f"tokens and steps of {render_runs(count)}: {known_by}"
    for why, count in Counter(run.unknown for run in priced.runs if run.unknown).items():
        yield f"not known for {render_runs(count)}, and in no sum: {why}"
    if priced.runs:
        yield "attention is counted as if each document filled its window, so FLOPs are at most these"


def _render_hours(priced: Priced, cost: Cost) -> str:
    pricing = priced.planned.config.machine.pricing
    price = pricing.price_per_gpu_hour
    paid = "" if price is None else f" ({cost.gpu_hours * price:,.2f} {pricing.currency})"
    unknown = f" and {render_runs(cost.unknown)} not known" if cost.unknown else ""
    return f"{render_number(cost.gpu_hours)} GPU-hours{paid}, {render_runs(cost.runs)}{unknown}"
