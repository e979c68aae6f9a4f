"""`mixlab judge`: what model judges would cost, and what they have cost."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from mixlab.artifacts.states import read_states
from mixlab.cli._common import example, json_option, open_store, print_json, render_table, study_option
from mixlab.cli._judge_cost import COST_HEADER, describe_line, estimate_judging, list_notes, render_line, render_money
from mixlab.config.judge_budget import PICO
from mixlab.config.problems import ConfigError
from mixlab.config.studies import load_main_config
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.plan.build import build_plan, check_budgets
from mixlab.plan.demand import build_demand
from mixlab.plan.stages import STAGES
from mixlab.stages.counting import open_counter
from mixlab.stages.places import STORE

_SPENT = (
    "study",
    "model",
    "calls",
    "replies",
    "prompt tokens",
    "response tokens",
    "cost",
    "cap of calls",
    "cap of cost",
)


@click.group(epilog=example("mixlab judge cost --study mine", "mixlab judge spent"))
def command() -> None:
    """Language models as judges: what they would cost, and what they have cost.

    Each of the commands takes --json and --help.
    """


@command.command(epilog=example("mixlab judge cost --study mine"))
@study_option
@json_option
def cost(studies: Sequence[str], as_json: bool) -> None:
    """Estimate what is left to ask of model judges and its price; nothing is asked.

    Where responses are there, exactly what is not in the store counts; where not, every verdict, with responses of
    the longest kind. Repeated attempts and tries are not in it. Without --study: the studies that config.yaml names.
    """
    store = open_store()
    planned = build_plan(store.root, studies, check_files=False)
    states = read_states(store, STAGES)
    targets = [key for wanted in planned.plan.targets.values() for key in wanted]
    with open_counter(planned, store, states.complete) as counter:
        lines = estimate_judging(counter, build_demand(planned.plan, states, targets).run)
    judging = planned.config.machine.judging
    if as_json:
        print_json([describe_line(line, judging) for line in lines])
    elif not lines:
        click.echo("nothing is left for a model judge to rate")
    else:
        click.echo(render_table(COST_HEADER, [render_line(line, judging) for line in lines]))
        for note in list_notes(lines, judging):
            click.echo(note)


@command.command(epilog=example("mixlab judge spent"))
@json_option
def spent(as_json: bool) -> None:
    """Say what was spent on model judges, by study and model, and the caps of config.yaml.

    A call that got no reply counts with the highest cost it can have had.
    """
    root = open_store().root
    config = load_main_config(root)
    if problems := check_budgets(config, root):
        raise ConfigError(problems)
    judging = config.machine.judging
    rows = []
    if (root / STORE).exists():
        with VerdictStore(root / STORE) as store:
            rows = store.list_spent()
    if as_json:
        told = [
            {**asdict(row), "cost": row.cost_pico / PICO, "budget": judging.budget_of(row.study).model_dump()}
            for row in rows
        ]
        print_json({"currency": judging.currency, "spent": told})
        return
    if not rows:
        click.echo("nothing was spent: no model judge was asked")
        return
    table = []
    for row in rows:
        budget = judging.budget_of(row.study)
        caps = [_or_none(budget.max_calls), _or_none(budget.max_cost)]
        paid = render_money(row.cost_pico, judging)
        counts = (row.calls, row.replies, row.prompt_tokens, row.response_tokens)
        table.append([row.study, row.model, *counts, paid, *caps])
    click.echo(render_table(_SPENT, table))


def _or_none(cap: float | None) -> str:
    return "none" if cap is None else f"{cap:g}"
