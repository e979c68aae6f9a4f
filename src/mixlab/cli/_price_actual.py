"""`mixlab price --actual`: what was predicted of a study, beside what it came to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import click

from mixlab.artifacts.records import Records
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.cli._common import render_bytes, render_table
from mixlab.cli._judge_actual import (
    HEADER,
    JudgingActual,
    compare_judging,
    describe_judging,
    list_spent_notes,
    render_judge,
)
from mixlab.cli._price_text import render_duration, render_number, render_tokens
from mixlab.cli._pricing import JUDGED, Pricer, Terms, open_pricer
from mixlab.plan.actual import (
    NEVER,
    Said,
    StageActual,
    compare_stages,
    find_states_then,
    list_made,
    read_said,
    read_verdicts,
)
from mixlab.plan.asked import name_benchmark
from mixlab.plan.beside import Beside, find_beside
from mixlab.plan.build import Planned
from mixlab.plan.graph import Node

_STAGES = ("stage", "made", "predicted", "jobs", "predicted", "time", "predicted", "of", "disk", "predicted")
_ANSWERS = ("benchmark", "responses", "items", "predicted", "prompts", "predicted", "tokens", "at most", "expected")


@dataclass(frozen=True)
class BenchmarkActual:
    """What was asked and generated of one benchmark; predictions are None where the items were not here to count."""

    benchmark: str
    responses: int
    predicted_items: int | None
    items: int
    predicted_prompts: int | None
    prompts: int
    most_tokens: int | None
    expected_tokens: float | None
    tokens: int


@dataclass(frozen=True)
class VerdictsActual:
    """What judges of one stage said; the prediction is None where the items were not here to count."""

    stage: str
    predicted_verdicts: int | None
    verdicts: int


@dataclass(frozen=True)
class Compared:
    """Predictions as of a moment, beside what was made since; of what was predicted, `unmade` artifacts were not."""

    since: datetime | None
    unmade: int
    stages: Sequence[StageActual]
    benchmarks: Sequence[BenchmarkActual]
    verdicts: Sequence[VerdictsActual]
    judging: JudgingActual


def compare_actual(store: Store, planned: Planned, states: States, terms: Terms, since: datetime | None) -> Compared:
    """Predict as of `since` what was to be made, by what was measured before, beside all that was made from then on.

    Without `since`: as if nothing had been made, beside all that ever was.
    """
    records = Records(store)
    beside = Beside() if since is None else find_beside(records, planned, states)
    then = find_states_then(records, beside.widen(planned).plan, states, since)
    with open_pricer(store, planned, then, terms, beside=beside, before=since or NEVER, records=records) as pricer:
        run = pricer.quoter.demand.run
        made = list_made(records, planned.plan, since)
        nodes = [node for key in made if (node := planned.plan.nodes[key]).name in states.complete]
        return Compared(
            since,
            sum(key not in made for key in run),
            compare_stages(pricer.quoter, states, made),
            _compare_benchmarks(store, pricer, [node for node in nodes if node.stage == "generate"]),
            _compare_verdicts(store, pricer, nodes),
            compare_judging(store, pricer.counter, nodes),
        )


def _compare_benchmarks(store: Store, pricer: Pricer, nodes: Sequence[Node]) -> list[BenchmarkActual]:
    found: dict[str, list[Said]] = {}
    for node in nodes:
        found.setdefault(name_benchmark(node), []).append(read_said(store, node))
    predicted = {line.benchmark: line for line in pricer.sum_generation(nodes)}
    lines = []
    for name, said in found.items():
        line = predicted[name]
        is_known = not line.unknown
        lines.append(
            BenchmarkActual(
                name,
                len(said),
                line.items if is_known else None,
                sum(one.items for one in said),
                line.prompts if is_known else None,
                sum(one.prompts for one in said),
                line.most_tokens if is_known else None,
                line.expected_tokens if is_known else None,
                sum(one.new_tokens for one in said),
            )
        )
    return lines


def _compare_verdicts(store: Store, pricer: Pricer, nodes: Sequence[Node]) -> list[VerdictsActual]:
    actual: Counter[str] = Counter()
    predicted: dict[str, list[int | None]] = {}
    for node in nodes:
        if node.stage in JUDGED:
            actual[node.stage] += read_verdicts(store, node)
            predicted.setdefault(node.stage, []).append(pricer.counter.count_verdicts(node))
    return [
        VerdictsActual(stage, None if None in counts else sum(one or 0 for one in counts), actual[stage])
        for stage, counts in predicted.items()
    ]


def describe_actual(compared: Compared) -> dict[str, Any]:
    """Describe the comparison for JSON."""
    return {
        "since": None if compared.since is None else compared.since.isoformat(),
        "unmade": compared.unmade,
        "stages": [asdict(line) for line in compared.stages],
        "benchmarks": [asdict(line) for line in compared.benchmarks],
        "verdicts": [asdict(line) for line in compared.verdicts],
        "judging": describe_judging(compared.judging),
    }


def print_actual(compared: Compared) -> None:
    """Print the comparison as tables."""
    if not any(line.made for line in compared.stages):
        when = "" if compared.since is None else f" since {compared.since.isoformat()}"
        click.echo(f"nothing of it was made here{when}; {compared.unmade} artifacts are to be made")
        return
    _print(_STAGES, [_render_stage(line) for line in compared.stages])
    if compared.benchmarks:
        click.echo("")
        _print(_ANSWERS, [_render_benchmark(line) for line in compared.benchmarks])
    click.echo("")
    for line in compared.verdicts:
        click.echo(f"{line.stage}: {line.verdicts} verdicts, predicted {_or_unknown(line.predicted_verdicts)}")
    _print_judging(compared.judging)
    total = sum(line.seconds for line in compared.stages)
    known = sum(line.seconds_of_predicted for line in compared.stages)
    guessed = sum(line.predicted_seconds for line in compared.stages)
    click.echo(f"time of all jobs: {render_duration(total)}{_render_ratio(guessed, known)}")
    if hours := sum(line.gpu_hours for line in compared.stages):
        told = sum(line.gpu_hours_of_predicted for line in compared.stages)
        of = (
            f"{render_number(told)}, predicted {render_number(sum(one.predicted_gpu_hours for one in compared.stages))}"
        )
        click.echo(f"GPU-hours held (time by GPUs): {render_number(hours)}; of what could be predicted {of}")
    click.echo(f"counted: every time that an artifact of the plan was made {_render_since(compared.since)}")
    if count := sum(line.unforeseen for line in compared.stages):
        names = ", ".join(f"{line.stage} {line.unforeseen}" for line in compared.stages if line.unforeseen)
        click.echo(f"made though kept: {count} that were here at that moment, or not needed ({names})")
    if count := sum(line.repeated for line in compared.stages):
        names = ", ".join(f"{line.stage} {line.repeated}" for line in compared.stages if line.repeated)
        click.echo(f"made again: {count} ({names})")
    if count := sum(line.resumed for line in compared.stages):
        click.echo(f"{count} went on from a state: their time is that of all their processes")
    if count := sum(line.partial for line in compared.stages):
        click.echo(f"{count} of these have the seconds of their last process alone: nobody noted those before")
    if lost := sum(line.lost_seconds for line in compared.stages):
        click.echo(f"compared with nothing: {render_duration(lost)} of attempts from which nothing was kept")
    if compared.unmade:
        click.echo(f"predicted and not made: {compared.unmade} artifacts")
    if unknown := sum(line.jobs_unknown for line in compared.stages):
        click.echo(f"{unknown} artifacts were made before provenance named their process, so their jobs are not known")


def _print_judging(judging: JudgingActual) -> None:
    if judging.judges:
        click.echo("")
        click.echo(render_table(HEADER, [render_judge(line, judging.settings) for line in judging.judges]))
        for note in list_spent_notes(judging):
            click.echo(note)
        click.echo("")


def _render_since(since: datetime | None) -> str:
    return "here, at any time" if since is None else f"since {since.isoformat()}"


def _render_ratio(predicted: float, actual: float) -> str:
    if not predicted:
        return "; none of it could be predicted, as nothing was measured before"
    ratio = f"{actual / predicted:.2f} of what was predicted"
    return f"; of what could be predicted {render_duration(actual)}, {ratio} ({render_duration(predicted)})"


def _or_unknown(value: int | None) -> str:
    return "?" if value is None else str(value)


def _render_stage(line: StageActual) -> list[str]:
    jobs = "?" if line.jobs_unknown == line.made and line.made else f"{line.jobs}{' + ?' if line.jobs_unknown else ''}"
    time = render_duration(line.predicted_seconds) if line.predicted_seconds else "?"
    of = render_duration(line.seconds_of_predicted) if line.predicted_seconds else ""
    size = render_bytes(line.predicted_bytes) if line.predicted_bytes else "?"
    counts = [line.stage, str(line.made), str(line.predicted_artifacts), jobs, str(line.predicted_jobs)]
    return [*counts, render_duration(line.seconds), time, of, render_bytes(line.bytes), size]


def _render_benchmark(line: BenchmarkActual) -> list[str]:
    expected = "?" if line.expected_tokens is None else render_tokens(round(line.expected_tokens))
    most = "?" if line.most_tokens is None else render_tokens(line.most_tokens)
    items = (line.items, line.predicted_items, line.prompts, line.predicted_prompts)
    counts = [str(line.responses), *map(_or_unknown, items)]
    return [line.benchmark, *counts, render_tokens(line.tokens), most, expected]


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    table = [[cell if not at else cell.rjust(widths[at]) for at, cell in enumerate(row)] for row in (header, *rows)]
    click.echo(render_table(table[0], table[1:]))
