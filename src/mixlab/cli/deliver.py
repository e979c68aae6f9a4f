"""`mixlab deliver`: what the stages of dvc.yaml call."""

import os
import subprocess
import sys

import click

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import stage_files
from mixlab.artifacts.restoring import restore_artifacts
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.tracking import list_untracked
from mixlab.cli._common import example, json_option, open_store, print_json, render_count
from mixlab.cli._named import find_tables, write_results
from mixlab.cli._receipts import list_keys, write_plans, write_receipt
from mixlab.cli.track import SWITCH, has_dvc, track_new, warn_clashes
from mixlab.config.problems import ConfigError, Problem
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

PLAN = "plan"

EXPERIMENT = "DVC_EXP_BASELINE_REV"
"""Environment variable that DVC sets in an experiment: it commits what git has been told of, and no other new file."""

COMMITTED = ("tracked", "provenance", "discarded")


@click.command(hidden=True, epilog=example("mixlab deliver plan --study demo", "mixlab deliver ipt --study demo"))
@click.argument("stage", type=click.Choice([PLAN, *STAGES]), metavar="plan|STAGE")
@click.option("--study", required=True, metavar="NAME", help="Study to bring up to date.")
@json_option
def command(stage: str, study: str, as_json: bool) -> None:
    """Bring one stage of a study up to date, track what is new, and write its receipt; `plan` writes what is wanted.

    What is finished is not looked at again: an unchanged stage costs one planning.
    """
    store = open_store()
    if "," in study:
        raise ConfigError(Problem("dvc repro brings one study up to date at a time", "config.yaml", key="study"))
    plan = build_plan(store.root, [study], check_files=False).plan
    if stage == PLAN:
        write_plans(store, plan, study)
        made = 0
    else:
        made = deliver(store, plan, study, stage)
    if as_json:
        print_json({"stage": stage, "study": study, "tracked": made})
    elif stage != PLAN:
        click.echo(f"{stage}: {render_count(made, 'new artifact')}")


def deliver(store: Store, plan: Plan, study: str, stage: str) -> int:
    """Run what is unfinished of a stage, track what came of it, write the receipt; return how much is new."""
    if is_wanted(plan, read_states(store, STAGES), study, stage):
        run_snakemake(store, study, stage)
    made = list_untracked(store, [node.name for node in plan.nodes.values()])
    if has_dvc(store):
        warn_clashes(track_new(store, made)[1])
    if key := find_tables(plan, study).get(stage):
        deliver_results(store, plan, stage, key)
    write_receipt(store, plan, read_states(store, STAGES), study, stage)
    if EXPERIMENT in os.environ:
        stage_files(store.root, COMMITTED)
    return len(made)


def is_wanted(plan: Plan, states: States, study: str, stage: str) -> bool:
    """Whether a run of the study would make or fetch something of the stage."""
    demand = build_demand(plan, states, plan.targets[study])
    return bool({*demand.run, *demand.fetch} & set(list_keys(plan, study)[stage]))


def run_snakemake(store: Store, study: str, stage: str) -> None:
    """Run one stage by Snakemake, which fetches what it reads; leaves with its exit code when it fails."""
    command = [sys.executable, "-m", "snakemake", "--profile", "local", f"stage_{stage}", "--config", f"study={study}"]
    done = subprocess.run(command, cwd=store.root, env={**os.environ, SWITCH: "off"}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def deliver_results(store: Store, plan: Plan, stage: str, key: str) -> None:
    """Write the study's tables, from an aggregate or a report that is fetched if need be."""
    name = (stage, key)
    if not store.is_complete(*name) and store.pointer(*name).is_file():
        restore_artifacts(store, [name])
    if not store.is_complete(*name):
        raise ArtifactError(f"{stage} {key}: the study is finished, but its tables are neither here nor tracked")
    write_results(store, plan)
