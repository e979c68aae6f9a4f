"""`mixlab price --edit`: the price of a study as it would be after an edit, beside that of the study as it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import click

from mixlab.artifacts.records import Records
from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import describe_node, render_bytes, render_count, render_table
from mixlab.cli._price_json import describe_price
from mixlab.cli._price_text import print_price, render_duration, render_number, render_tokens, total_of
from mixlab.cli._pricing import JUDGED, Priced, Terms, price_plan
from mixlab.cli.diff import render_cause
from mixlab.config.editing import Edit
from mixlab.config.judge_budget import PICO
from mixlab.plan.beside import find_beside
from mixlab.plan.build import build_plan
from mixlab.plan.compare import Cause, Comparison, compare_plans, list_causes
from mixlab.plan.price import sum_lines
from mixlab.plan.stages import STAGES


@dataclass(frozen=True)
class Edited:
    """Two prices: of the study as it is, and as the edits would make it."""

    edits: Sequence[Edit]
    before: Priced
    after: Priced
    comparison: Comparison
    causes: Sequence[Cause]


@dataclass(frozen=True)
class Sums:
    """What two prices are compared by; money is None where a model has no price.

    `unknown`: by figure, how many of how many parts of it are not known and so not in it.
    """

    artifacts: int
    jobs: int
    seconds: float
    gpu_hours: float
    flops: int
    prompts: int
    new_tokens_at_most: int
    verdicts: int
    judge_calls_at_most: int
    judge_cost_at_most: float | None
    bytes: int
    fetched_bytes: int
    wall_seconds: float
    unknown: Mapping[str, tuple[int, int]]


_FIGURES = tuple(one.name for one in fields(Sums) if one.name != "unknown")


def price_edited(store: Store, names: Sequence[str], edits: Sequence[Edit], terms: Terms) -> Edited:
    """Price a study with and without edits; raises ConfigError naming what is wrong with either."""
    before = build_plan(store.root, names)
    after = build_plan(store.root, names, edits=edits)
    states = read_states(store, STAGES)
    records = Records(store)
    beside = find_beside(records, before, states)
    plans = before.plan, after.plan
    return Edited(
        edits,
        price_plan(store, before, states, terms, beside, records),
        price_plan(store, after, states, terms, beside.add(before, before.plan.nodes), records),
        compare_plans(*plans),
        list_causes(*plans),
    )


def sum_price(priced: Priced) -> Sums:
    """Sum a price up in single figures."""
    total, generated, trained = priced.total, total_of(priced), sum_lines(priced.lines, "all").to_do
    judging = priced.planned.config.machine.judging
    schedule, jobs = priced.schedule, priced.total.jobs
    asked = (
        sum(line.unknown for line in priced.judging),
        sum(line.unknown + line.work.to_ask for line in priced.judging),
    )
    shapeless = trained.unknown + generated.unknown + generated.shapeless, trained.runs + generated.artifacts
    generation = generated.unknown, generated.artifacts
    judgings = sum(line.artifacts for line in priced.stages if line.stage in JUDGED)
    money = [line.work.max_cost_pico(judging.price_of(line.judge.model)) for line in priced.judging]
    return Sums(
        artifacts=total.artifacts,
        jobs=total.jobs,
        seconds=total.seconds,
        gpu_hours=trained.gpu_hours,
        flops=trained.flops + generated.flops,
        prompts=generated.prompts,
        new_tokens_at_most=generated.most_tokens,
        verdicts=sum(priced.verdicts.values()),
        judge_calls_at_most=sum(line.work.to_ask for line in priced.judging),
        judge_cost_at_most=None if None in money else sum(one for one in money if one is not None) / PICO,
        bytes=total.bytes,
        fetched_bytes=total.fetched_bytes,
        wall_seconds=schedule.seconds,
        unknown={
            "seconds": (total.seconds_unknown, jobs),
            "gpu_hours": (trained.unknown, trained.runs),
            "flops": shapeless,
            "prompts": generation,
            "new_tokens_at_most": generation,
            "verdicts": (priced.unread, judgings),
            "judge_calls_at_most": asked,
            "judge_cost_at_most": asked,
            "bytes": (total.bytes_unknown, total.artifacts),
            "wall_seconds": (schedule.unknown, schedule.jobs),
        },
    )


def describe_edited(edited: Edited) -> dict[str, Any]:
    """Describe both prices for JSON: the edited one as `mixlab price` does, and what changes."""
    compared, old, new = edited.comparison, edited.before.planned.plan, edited.after.planned.plan
    was, now = sum_price(edited.before), sum_price(edited.after)
    before, after = _describe_sums(was), _describe_sums(now)
    return {
        **describe_price(edited.after),
        "edits": [one.text for one in edited.edits],
        "unedited": before,
        "edited": after,
        "difference": {
            name: None if None in (before[name], after[name]) else after[name] - before[name] for name in _FIGURES
        },
        "added": [describe_node(new.nodes[key]) for key in compared.new],
        "kept": [describe_node(new.nodes[key]) for key in compared.kept],
        "gone": [describe_node(old.nodes[key]) for key in compared.gone],
        "causes": [render_cause(cause) for cause in edited.causes],
    }


def _describe_sums(sums: Sums) -> dict[str, Any]:
    """Describe sums for JSON: None is what is not known at all; `unknown` counts the parts that are in no sum."""
    told = {
        name: None if sums.unknown.get(name) and _is_unknown(*sums.unknown[name]) else getattr(sums, name)
        for name in _FIGURES
    }
    return {**told, "unknown": {name: count for name, (count, _) in sums.unknown.items() if count}}


def _is_unknown(unknown: int, of: int) -> bool:
    return bool(unknown) and unknown == of


def print_edited(edited: Edited) -> None:
    """Print what an edit makes new, its causes, the price of the edited study, and the difference."""
    compared = edited.comparison
    click.echo(f"{'; '.join(one.text for one in edited.edits)}: nothing is written")
    counts = f"{len(compared.new)} new, {len(compared.kept)} kept, {len(compared.gone)} gone"
    click.echo(f"{render_count(len(edited.after.planned.plan.nodes), 'artifact')}: {counts}")
    for cause in edited.causes:
        click.echo(render_cause(cause))
    click.echo("")
    print_price(edited.after)
    click.echo("")
    before, after = sum_price(edited.before), sum_price(edited.after)
    click.echo(render_table(("to do", "as it is", "edited", "difference"), _list_rows(before, after)))


def _list_rows(before: Sums, after: Sums) -> list[list[str]]:
    shown: dict[str, Callable[[Any], str]] = {
        "artifacts": str,
        "jobs": str,
        "time": render_duration,
        "GPU-hours of training": render_number,
        "FLOPs": render_number,
        "prompts": str,
        "tokens, at most": render_tokens,
        "verdicts": str,
        "calls to judges, at most": str,
        "cost of judges, at most": lambda value: f"{value:.4f}",
        "disk": render_bytes,
        "to fetch": render_bytes,
        "wall time": render_duration,
    }
    rows = []
    for (title, render), name in zip(shown.items(), _FIGURES, strict=True):
        was, now = getattr(before, name), getattr(after, name)
        gaps = [sums.unknown.get(name, (0, 0)) for sums in (before, after)]
        cells = [_render_cell(render, one, *gap) for one, gap in zip((was, now), gaps, strict=True)]
        if None in (was, now) or any(_is_unknown(*gap) for gap in gaps):
            rows.append([title, *cells, "?"])
            continue
        sign = "" if was == now else "+" if now > was else "-"
        more = " + ?" if any(unknown for unknown, _ in gaps) else ""
        rows.append([title, *cells, f"{sign}{render(abs(now - was))}{more}"])
    return rows


def _render_cell(render: Callable[[Any], str], value: Any, unknown: int, of: int) -> str:
    if value is None:
        return "no price"
    return "?" if _is_unknown(unknown, of) else f"{render(value)}{' + ?' if unknown else ''}"
