"""`mixlab plan`: what exists, what would run and what would be fetched, counted by stage."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from mixlab.artifacts.states import States, read_states
from mixlab.cli._common import (
    describe_node,
    example,
    find_state,
    json_option,
    open_store,
    print_json,
    render_count,
    render_table,
)
from mixlab.cli._detectable import list_detectable, render_detectable
from mixlab.plan.build import build_plan
from mixlab.plan.demand import Demand, build_demand
from mixlab.plan.endpoints import require_endpoints
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

_COLUMNS = ("planned", "complete", "tracked", "discarded", "run", "fetch")


@click.command(epilog=example("mixlab plan", "mixlab plan demo real_small --keys"))
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--keys", is_flag=True, help="List each artifact that would run or be fetched.")
@json_option
def command(studies: Sequence[str], keys: bool, as_json: bool) -> None:
    """Show what exists, what would run and what would be fetched.

    Without STUDY: the studies that config.yaml names. An artifact counts as complete when it is here, else as tracked
    when it can be fetched, else as discarded when it was dropped on purpose. `run` and `fetch` are what
    `snakemake all` would do now. Of a study that states the noise it expects: the smallest difference at which each
    of its effects could be found, which effects cannot, and what would help. Leaves with 2 where config.yaml lacks an
    endpoint, or the price of a judge under a cap in money, that what would run needs, or the studies name two endpoints
    for one model; a key that is not in the environment is a warning, as are files that patterns of a source name and
    sources.lock does not.
    """
    store = open_store()
    planned = build_plan(store.root, studies)
    plan, states = planned.plan, read_states(store, STAGES)
    demand = build_demand(plan, states, [key for wanted in plan.targets.values() for key in wanted])
    found = {name: list_detectable(study) for name, study in planned.studies.items()}
    if as_json:
        print_json({**_describe(plan, states, demand), "detectable": found})
    else:
        _print(plan, states, demand, keys)
        for name, study in planned.studies.items():
            click.echo(render_detectable(name, study, found[name]), nl=False)
    for warning in (*planned.warnings, *require_endpoints(planned, demand.run, os.environ)):
        click.echo(f"mixlab: {warning}", err=True)


def count_stages(plan: Plan, states: States, demand: Demand) -> dict[str, Counter[str]]:
    """Count each stage's artifacts: planned, by state, to run, to fetch."""
    counts: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
    for node in plan.nodes.values():
        counts[node.stage].update(("planned", find_state(states, node.name)))
    for what, keys in (("run", demand.run), ("fetch", demand.fetch)):
        for key in keys:
            counts[plan.nodes[key].stage][what] += 1
    return {stage: counter for stage, counter in counts.items() if counter}


def _describe(plan: Plan, states: States, demand: Demand) -> dict[str, Any]:
    counts = count_stages(plan, states, demand)
    total = sum(counts.values(), Counter[str]())
    return {
        "stages": [{"stage": stage} | {name: one[name] for name in _COLUMNS} for stage, one in counts.items()],
        "totals": {name: total[name] for name in _COLUMNS},
        "targets": {
            study: [{"key": key, "state": find_state(states, plan.nodes[key].name)} for key in keys]
            for study, keys in plan.targets.items()
        },
        "run": [describe_node(plan.nodes[key]) for key in demand.run],
        "fetch": [describe_node(plan.nodes[key]) for key in demand.fetch],
        "is_done": demand.is_empty,
    }


def _print(plan: Plan, states: States, demand: Demand, with_keys: bool) -> None:
    counts = count_stages(plan, states, demand)
    total = sum(counts.values(), Counter[str]())
    rows = [[stage, *(one[name] for name in _COLUMNS)] for stage, one in counts.items()]
    rows.append(["total", *(total[name] for name in _COLUMNS)])
    click.echo(render_table(("stage", *_COLUMNS), rows))
    click.echo("")
    for study, keys in plan.targets.items():
        for key in keys:
            node = plan.nodes[key]
            click.echo(f"{study}: {node.stage} {key} ({find_state(states, node.name)})")
    if with_keys:
        for what, wanted in (("run", demand.run), ("fetch", demand.fetch)):
            for key in wanted:
                click.echo(f"{what} {plan.nodes[key].stage} {key} {plan.nodes[key].label}")
    click.echo(render_demand(demand))


def render_demand(demand: Demand) -> str:
    """Render what a run would do, runs and fetches counted apart."""
    if demand.is_empty:
        return "Nothing to be done."
    parts = []
    if demand.run:
        parts.append(f"{render_count(len(demand.run), 'artifact')} would run")
    if demand.fetch:
        parts.append(f"{render_count(len(demand.fetch), 'artifact')} would be fetched")
    return ", ".join(parts) + "."
