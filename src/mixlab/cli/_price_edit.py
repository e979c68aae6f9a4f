"""`mixlab price --edit`: the price of a study as it would be after an edit, beside that of the study as it is."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import describe_node, render_bytes, render_count, render_table
from mixlab.cli._price_json import describe_price
from mixlab.cli._price_text import print_price, render_duration, render_number, render_tokens, total_of
from mixlab.cli._pricing import Priced, Terms, price_plan
from mixlab.cli.diff import render_cause
from mixlab.config.editing import Edit
from mixlab.config.judge_budget import PICO
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
    """What two prices are compared by; money is None where a model has no price."""

    artifacts: int
    jobs: int
    seconds: float
    seconds_unknown: int
    gpu_hours: float
    flops: int
    prompts: int
    new_tokens_at_most: int
    verdicts: int
    judge_calls_at_most: int
    judge_cost_at_most: float | None
    bytes: int
    bytes_unknown: int
    fetched_bytes: int
    wall_seconds: float


def price_edited(store: Store, names: Sequence[str], edits: Sequence[Edit], terms: Terms) -> Edited:
    """Price a study with and without edits; raises ConfigError naming what is wrong with either."""
    before = build_plan(store.root, names)
    after = build_plan(store.root, names, edits=edits)
    states = read_states(store, STAGES)
    plans = before.plan, after.plan
    return Edited(
        edits,
        price_plan(store, before, states, terms),
        price_plan(store, after, states, terms, beside=before.plan),
        compare_plans(*plans),
        list_causes(*plans),
    )


def sum_price(priced: Priced) -> Sums:
    """Sum a price up in single figures."""
    total, generated, trained = priced.total, total_of(priced), sum_lines(priced.lines, "all").to_do
    judging = priced.planned.config.machine.judging
    money = [line.work.max_cost_pico(judging.price_of(line.judge.model)) for line in priced.judging]
    return Sums(
        artifacts=total.artifacts,
        jobs=total.jobs,
        seconds=total.seconds,
        seconds_unknown=total.seconds_unknown,
        gpu_hours=trained.gpu_hours,
        flops=trained.flops + generated.flops,
        prompts=generated.prompts,
        new_tokens_at_most=generated.most_tokens,
        verdicts=sum(priced.verdicts.values()),
        judge_calls_at_most=sum(line.work.to_ask for line in priced.judging),
        judge_cost_at_most=None if None in money else sum(one for one in money if one is not None) / PICO,
        bytes=total.bytes,
        bytes_unknown=total.bytes_unknown,
        fetched_bytes=total.fetched_bytes,
        wall_seconds=priced.schedule.seconds,
    )


def describe_edited(edited: Edited) -> dict[str, Any]:
    """Describe both prices for JSON: the edited one as `mixlab price` does, and what changes."""
    compared, old, new = edited.comparison, edited.before.planned.plan, edited.after.planned.plan
    before, after = asdict(sum_price(edited.before)), asdict(sum_price(edited.after))
    return {
        **describe_price(edited.after),
        "edits": [one.text for one in edited.edits],
        "unedited": before,
        "edited": after,
        "difference": {
            name: None if None in (before[name], after[name]) else after[name] - before[name] for name in before
        },
        "added": [describe_node(new.nodes[key]) for key in compared.new],
        "kept": [describe_node(new.nodes[key]) for key in compared.kept],
        "gone": [describe_node(old.nodes[key]) for key in compared.gone],
        "causes": [render_cause(cause) for cause in edited.causes],
    }


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
    names = [name for name in asdict(before) if not name.endswith("_unknown")]
    rows = []
    for (title, render), name in zip(shown.items(), names, strict=True):
        was, now = getattr(before, name), getattr(after, name)
        if None in (was, now):
            rows.append([title, *("no price" if one is None else render(one) for one in (was, now)), "?"])
            continue
        sign = "" if was == now else "+" if now > was else "-"
        rows.append([title, render(was), render(now), f"{sign}{render(abs(now - was))}"])
    return rows
