"""`mixlab price`: what a study costs before it runs, what an edit of it costs, and what it really took."""

from collections.abc import Sequence
from datetime import datetime

import click

from mixlab.artifacts.records import parse_moment
from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import NumberRange, example, json_option, open_store, print_json
from mixlab.cli._price_actual import compare_actual, describe_actual, print_actual
from mixlab.cli._price_edit import describe_edited, price_edited, print_edited
from mixlab.cli._price_json import describe_price
from mixlab.cli._price_text import print_price
from mixlab.cli._pricing import Terms, price_plan
from mixlab.config.editing import parse_edit
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.studies import load_main_config
from mixlab.plan.arithmetic import render_arithmetic
from mixlab.plan.build import build_plan, split_names
from mixlab.plan.stages import STAGES


def _read_moment(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    try:
        return None if value is None else parse_moment(value)
    except ValueError:
        raise click.BadParameter(f"expected a moment like 2026-11-22T03:00:00+00:00, got {value!r}.") from None


@click.command(
    epilog=example(
        "mixlab price demo --gpus 8",
        "mixlab price demo --edit variants.half.instruction=2/3",
        "mixlab price demo --actual",
    )
)
@click.argument("named", nargs=-1, metavar="[STUDY]...")
@click.option("--study", "studies", multiple=True, metavar="NAME", help="As STUDY; may be repeated.")
@click.option("--edit", "edits", multiple=True, metavar="PATH=VALUE", help="Price the study as if its file said this.")
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs there are, for wall time; absent: those of one job.")
@click.option("--cores", type=click.IntRange(min=1), help="CPU cores there are, for wall time; absent: this machine's.")
@click.option(
    "--mfu", type=NumberRange(0, 1, min_open=True), help="Share of the peak that training uses, for all runs."
)
@click.option("--gpu", metavar="NAME", help="Device to price by; absent: machine.pricing.gpu of config.yaml.")
@click.option("--arithmetic", is_flag=True, help="Show the formula of training with its numbers.")
@click.option("--actual", is_flag=True, help="Compare what would have been predicted with what is made.")
@click.option("--since", callback=_read_moment, metavar="TIME", help="With --actual: what was made from TIME on.")
@json_option
def command(
    named: Sequence[str],
    studies: Sequence[str],
    edits: Sequence[str],
    gpus: int | None,
    cores: int | None,
    mfu: float | None,
    gpu: str | None,
    arithmetic: bool,
    actual: bool,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Say what would run and what it takes: jobs, time, GPU-hours, disk, traffic, tokens, judge calls and money.

    By formula where there is one (docs/price.md), else by what like artifacts took here; what is neither is told as not
    known. --edit touches no file; several are applied in order. --actual predicts from what was known before TIME, and
    without --since as if nothing were made. Without STUDY: the studies that config.yaml names.
    """
    store = open_store()
    terms = Terms(gpu, mfu, gpus, cores)
    names = list(dict.fromkeys([*named, *studies]))
    _refuse_combinations(store, names, edits, actual, since, arithmetic)
    if edits:
        edited = price_edited(store, names, [parse_edit(one) for one in edits], terms)
        if as_json:
            print_json(describe_edited(edited))
        else:
            print_edited(edited)
        return
    planned = build_plan(store.root, names)
    states = read_states(store, STAGES)
    if actual:
        compared = compare_actual(store, planned, states, terms, since)
        if as_json:
            print_json(describe_actual(compared))
        else:
            print_actual(compared)
        return
    priced = price_plan(store, planned, states, terms)
    shown = list(render_arithmetic(priced.workloads, priced.runs, priced.lines, priced.peak)) if arithmetic else []
    if as_json:
        print_json({**describe_price(priced), **({"arithmetic": shown} if arithmetic else {})})
        return
    print_price(priced)
    for line in ["", *shown] if arithmetic else ():
        click.echo(line)


def _refuse_combinations(
    store: Store,
    names: Sequence[str],
    edits: Sequence[str],
    actual: bool,
    since: datetime | None,
    arithmetic: bool,
) -> None:
    """Refuse what means nothing together; raises ConfigError with all of it."""
    problems: list[Problem] = []
    if since is not None and not actual:
        problems.append(Problem("--since is for --actual; add it"))
    if actual and (edits or arithmetic):
        problems.append(Problem("--actual is about what is made; leave out --edit and --arithmetic"))
    if edits and arithmetic:
        problems.append(Problem("--arithmetic is for one price; leave out --edit"))
    chosen = names or split_names(load_main_config(store.root).study) if edits else ()
    if len(chosen) > 1:
        problems.append(Problem(f"--edit is for one study, got {', '.join(chosen)}; name the one that is meant"))
    if problems:
        raise ConfigError(problems)
