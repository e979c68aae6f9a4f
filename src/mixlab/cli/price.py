"""`mixlab price`: what the training of studies costs, done and to do apart."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from mixlab.artifacts.states import read_states
from mixlab.cli._common import example, json_option, open_store, print_json, render_table, study_option
from mixlab.config.pricing import GpuSettings, PricingSettings
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.price import (
    PRICED,
    Cost,
    Line,
    Run,
    build_lines,
    count_unpriced,
    list_runs,
    read_measured,
    sum_lines,
)
from mixlab.plan.stages import STAGES
from mixlab.plan.workload import Workloads

_HEADER = ("base model", "stage", "done", "to do", "tokens", "steps", "FLOPs", "GPU-hours", "GPU-hours done", "MFU")


@dataclass(frozen=True)
class Priced:
    """What was asked, and what came out."""

    gpu: str
    peak: GpuSettings
    pricing: PricingSettings
    runs: Sequence[Run]
    lines: Sequence[Line]
    unpriced: dict[str, int]

    @property
    def totals(self) -> list[Line]:
        """One line for each stage that several base models have, then one for everything."""
        by_stage = {stage: [line for line in self.lines if line.stage == stage] for stage in PRICED}
        stages = [sum_lines(lines, stage) for stage, lines in by_stage.items() if len(lines) > 1]
        return [*stages, sum_lines(self.lines, "all")]


def _refuse_nan(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is not in the range 0<x<=1.")
    return value


@click.command(epilog=example("mixlab price", "mixlab price --study demo --gpu h100 --mfu 0.45"))
@study_option
@click.option(
    "--mfu",
    type=click.FloatRange(0, 1, min_open=True),
    callback=_refuse_nan,
    help="Share of the peak that training uses, for all runs.",
)
@click.option("--gpu", metavar="NAME", help="Device to price by; absent: machine.pricing.gpu of config.yaml.")
@json_option
def command(studies: Sequence[str], mfu: float | None, gpu: str | None, as_json: bool) -> None:
    """Estimate the FLOPs and GPU-hours of training, by base model and stage, what is done and what is to do apart.

    FLOPs by formula (docs/price.md); GPU-hours by the device's peak and the share of it that is used (MFU): the one
    given, else the median measured in finished runs of the same base model, else machine.pricing.mfu. Without --study:
    the studies that config.yaml names.
    """
    store = open_store()
    planned = build_plan(store.root, studies)
    pricing = planned.config.machine.pricing
    name, peak = pricing.choose(gpu)
    states = read_states(store, STAGES)
    targets = [key for wanted in planned.plan.targets.values() for key in wanted]
    demand = build_demand(planned.plan, states, targets)
    workloads = Workloads(planned.plan, store, planned.files, planned.facts)
    runs = list_runs(workloads, states, demand)
    lines = build_lines(runs, peak, read_measured(store, runs), mfu, pricing.mfu)
    priced = Priced(name, peak, pricing, runs, lines, count_unpriced(workloads, demand))
    if as_json:
        print_json(_describe(priced))
    else:
        _print(priced)


def _describe(priced: Priced) -> dict[str, Any]:
    price = priced.pricing.price_per_gpu_hour
    return {
        "gpu": {"name": priced.gpu, **priced.peak.model_dump()},
        "price_per_gpu_hour": price,
        "currency": priced.pricing.currency if price is not None else None,
        "lines": [_describe_line(line, price) for line in priced.lines],
        "totals": [_describe_line(line, price) for line in priced.totals],
        "not_priced": priced.unpriced,
        "runs": [_describe_run(run) for run in priced.runs],
    }


def _describe_line(line: Line, price: float | None) -> dict[str, Any]:
    costs = {name: asdict(getattr(line, name)) for name in ("done", "to_do", "not_needed")}
    for cost in costs.values():
        cost["price"] = None if price is None else cost["gpu_hours"] * price
    use = None if line.utilisation is None else asdict(line.utilisation)
    return {"base_model": line.base_model, "stage": line.stage, "utilisation": use, **costs}


def _describe_run(run: Run) -> dict[str, Any]:
    work = asdict(run.workload) if run.workload is not None else {}
    about = {"stage": run.node.stage, "key": run.node.key, "labels": run.node.labels, "base_model": run.base_model}
    return {**about, "state": run.state, "dtype": run.dtype, **work, "flops": run.flops, "unknown": run.unknown or None}


def _print(priced: Priced) -> None:
    rows = [_render_line(line) for line in (*priced.lines, *priced.totals)]
    widths = [max(len(row[at]) for row in (_HEADER, *rows)) for at in range(len(_HEADER))]
    table = [[cell if at < 2 else cell.rjust(widths[at]) for at, cell in enumerate(row)] for row in (_HEADER, *rows)]
    click.echo(render_table(table[0], table[1:]))
    click.echo("")
    for note in _list_notes(priced):
        click.echo(note)


def _render_line(line: Line) -> list[str]:
    use = line.utilisation
    mfu = "" if use is None else f"{use.mfu:.3g} {use.basis}"
    todo, done = line.to_do, line.done
    figures = (todo.steps, todo.flops, todo.gpu_hours)
    told = [_render_tokens(todo.tokens), *(_render_number(one) for one in figures)]
    if todo.unknown and todo.unknown == todo.runs:
        told = ["?"] * len(told)
    past = "?" if done.unknown and done.unknown == done.runs else _render_number(done.gpu_hours)
    return [line.base_model, line.stage, str(done.runs), str(todo.runs), *told, past, mfu]


def _render_number(number: float) -> str:
    """Render with three digits: 0.000123, 12.3, 1,235 (whole), 1.23e+06."""
    if number < 1000:
        return f"{number:.3g}"
    return f"{number:,.0f}" if number < 1_000_000 else f"{number:.3g}"


def _render_tokens(number: int) -> str:
    """Render with three digits and a unit: 240 K, 105 B."""
    for letter, unit in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= unit:
            return f"{number / unit:.3g} {letter}"
    return str(number)


def _list_notes(priced: Priced) -> Iterable[str]:
    total = sum_lines(priced.lines, "all")
    yield f"to do: {_render_hours(priced, total.to_do)}; done: {_render_hours(priced, total.done)}"
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
        yield f"tokens and steps of {_render_runs(count)}: {known_by}"
    for why, count in Counter(run.unknown for run in priced.runs if run.unknown).items():
        yield f"not known for {_render_runs(count)}, and in no sum: {why}"
    if priced.runs:
        yield "attention is counted as if each document filled its window, so FLOPs are at most these"
    if priced.unpriced:
        yield "not priced: " + ", ".join(f"{count} {stage}" for stage, count in priced.unpriced.items())


def _render_runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _render_hours(priced: Priced, cost: Cost) -> str:
    price = priced.pricing.price_per_gpu_hour
    paid = "" if price is None else f" ({cost.gpu_hours * price:,.2f} {priced.pricing.currency})"
    unknown = f" and {_render_runs(cost.unknown)} not known" if cost.unknown else ""
    return f"{_render_number(cost.gpu_hours)} GPU-hours{paid}, {_render_runs(cost.runs)}{unknown}"
