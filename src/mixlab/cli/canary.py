"""`mixlab canary`: make a random sample of what is cached again, and compare."""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from mixlab.artifacts.provenance import read_commit
from mixlab.artifacts.records import Records
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import (
    NumberRange,
    describe_node,
    example,
    json_option,
    open_store,
    print_json,
    render_count,
    render_table,
)
from mixlab.cli._needs import render_seconds
from mixlab.config.canary import CanaryBand
from mixlab.config.problems import ConfigError
from mixlab.plan.beside import find_beside
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.canary import Candidate, Chosen, Taint, find_candidates, find_taint, order_candidates
from mixlab.plan.graph import Node, Plan
from mixlab.plan.model_resources import measure_plan
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.plan.stages import STAGES
from mixlab.stages.canary import CANARIES, Laboratory, Outcome, count_tested

FAILED, INTERRUPTED = 1, 130
START_SECONDS = 5.0
"""What the start of a process adds to what its artifact took, roughly: torch takes seconds to import."""
_LISTED = 5


@dataclass
class Session:
    """One run of the command: what there is to test, what came of it, and what did not fit into the time."""

    store: Store
    planned: Planned
    states: States
    chosen: Chosen
    budget_seconds: float
    seed: int
    outcomes: list[Outcome] = field(default_factory=list)
    taints: dict[str, Taint] = field(default_factory=dict)
    unfit: list[Candidate] = field(default_factory=list)
    is_interrupted: bool = False

    @property
    def failed(self) -> list[Outcome]:
        """Canaries that were not what the store holds."""
        return [one for one in self.outcomes if one.verdict == "failed"]

    @cached_property
    def everything(self) -> Plan:
        """The plan, and behind it what other studies of this checkout made: they share what a failure taints."""
        own, lost = self.planned.plan, "what study '%s' made is not looked at for what the failure taints"
        others = find_beside(Records(self.store), self.planned, self.states, lost).nodes
        return Plan({**own.nodes, **others, **own.nodes}, own.targets)


@click.command(
    epilog=example(
        "mixlab canary --hours 0.5",
        "mixlab canary --hours 2 demo --stage sft --seed 7",
        "mixlab canary --hours 1 --dry-run",
    )
)
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--hours", type=NumberRange(0, min_open=True), required=True, help="Time to spend, at most.")
@click.option("--stage", "stages", multiple=True, type=click.Choice(tuple(STAGES)), help="Only this stage; repeatable.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the sample.")
@click.option("--endpoints", is_flag=True, help="Also what asks endpoints; stores/ answers what was asked before.")
@click.option("--dry-run", is_flag=True, help="Only say what would be tested.")
@json_option
def command(
    studies: Sequence[str],
    hours: float,
    stages: Sequence[str],
    seed: int,
    endpoints: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a random sample of finished artifacts again, in a folder apart, and compare.

    A stage that promises bytes must give the same bytes; a numeric one may differ within a band, which is printed.
    Stages take turns, and what was tested least comes first. Nothing is begun that is expected to end too late, by
    what its provenance says it took. Exit code 1 when a canary failed; then it says what is in doubt.

    Records are kept in canaries/, for git. Without names: the studies that config.yaml names.
    """
    store = open_store()
    planned = build_plan(store.root, studies, check_files=False)
    states = read_states(store, STAGES)
    nodes = [node for node in planned.plan.nodes.values() if not stages or node.stage in stages]
    tested = count_tested(store)
    chosen = find_candidates(store, planned.plan, states, nodes, tested, endpoints)
    if not chosen.candidates and not chosen.left_out:
        raise ConfigError("nothing of what is asked for is finished here, so there is nothing to test")
    session = Session(store, planned, states, chosen, hours * 3600, seed)
    if dry_run:
        _print_dry(session, as_json)
        return
    _test(session)
    if as_json:
        print_json(_describe(session))
    else:
        _print(session)
    if session.failed or session.is_interrupted:
        sys.exit(FAILED if session.failed else INTERRUPTED)


def _draw(session: Session) -> Iterator[Candidate]:
    yield from order_candidates(session.chosen.candidates, random.Random(session.seed))


def _test(session: Session) -> None:
    store, planned = session.store, session.planned
    # a model whose size is not known is no mistake here: a canary on it is refused
    parameters = measure_plan(planned, store, session.states, needed=False)
    text = render_plan(planned.plan, planned.config.machine, planned.files, parameters)
    plan_file = write_plan(store, text).resolve()
    (store.work / CANARIES).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=store.work / CANARIES)).resolve()
    band, commit = CanaryBand(), read_commit(store.root)
    laboratory = Laboratory(store, planned.plan, plan_file, folder, session.states.complete, band)
    end = time.monotonic() + session.budget_seconds
    try:
        for one in _draw(session):
            if one.seconds + START_SECONDS > end - time.monotonic():
                session.unfit.append(one)
                continue
            expected = render_seconds(one.seconds + START_SECONDS)
            click.echo(f"{one.node.stage} {one.node.key} {one.node.label}: about {expected}", err=True)
            outcome = laboratory.test(one.node)
            laboratory.write_record(outcome, commit)
            session.outcomes.append(outcome)
            click.echo(f"  {outcome.verdict}: {outcome.told.splitlines()[-1]}", err=True)
            if outcome.verdict == "failed":
                session.taints[one.node.key] = find_taint(store, session.everything, session.states, one.node)
    except KeyboardInterrupt:
        session.is_interrupted = True
    _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove the empty folders that canaries left."""
    for place in sorted(folder.rglob("*"), reverse=True):
        if place.is_dir() and not place.is_symlink() and not any(place.iterdir()):
            place.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()


def _print_dry(session: Session, as_json: bool) -> None:
    left, fitting, unfit = session.budget_seconds, [], 0
    for one in _draw(session):
        if one.seconds + START_SECONDS > left:
            unfit += 1
            continue
        left -= one.seconds + START_SECONDS
        fitting.append(one)
    if as_json:
        cards = [{**describe_node(one.node), "seconds": one.seconds, "tested": one.tested} for one in fitting]
        print_json({"seed": session.seed, "would_test": cards, "unfit": unfit, "left_out": _describe_left_out(session)})
        return
    rows = [_render_candidate(one) for one in fitting]
    if rows:
        click.echo(render_table(("stage", "key", "tested", "took", "label"), rows))
    spent = render_seconds(session.budget_seconds - left)
    click.echo(f"{render_count(len(rows), 'canary')} would be made, in about {spent}; {unfit} more do not fit.")
    _print_left_out(session)


def _render_candidate(one: Candidate) -> tuple[str, str, str, str, str]:
    took = render_seconds(one.seconds) if one.is_known else "unknown"
    return one.node.stage, one.node.key, str(one.tested), took, one.node.label


def _print(session: Session) -> None:
    rows = [
        (one.node.stage, one.node.key, one.verdict, render_seconds(one.seconds), one.told.splitlines()[-1])
        for one in session.outcomes
    ]
    if rows:
        click.echo(render_table(("stage", "key", "verdict", "took", "found"), rows))
    for one in session.failed:
        _print_failure(session, one)
    for refused in (one for one in session.outcomes if one.verdict == "refused"):
        click.echo(f"{refused.node.stage} {refused.node.key} could not be made here: {refused.told}")
    band = ", ".join(f"{name} {limit:g}" for name, limit in CanaryBand().model_dump().items())
    click.echo(f"band of numeric stages: {band}")
    counts = Counter(one.verdict for one in session.outcomes)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("equal", "within", "failed", "refused"))
    stopped = "; stopped by Ctrl-C" if session.is_interrupted else ""
    click.echo(
        f"{render_count(len(session.outcomes), 'canary')} (seed {session.seed}): {told}; "
        f"{len(session.unfit)} did not fit into the time{stopped}."
    )
    _print_left_out(session)


def _print_left_out(session: Session) -> None:
    for why, nodes in session.chosen.left_out.items():
        click.echo(f"left out, {render_count(len(nodes), 'artifact')}: {why}")


def _print_failure(session: Session, one: Outcome) -> None:
    node, taint = one.node, session.taints[one.node.key]
    click.echo(f"\n{node.stage} {node.key} ({node.label}) is not what the store holds: {one.told}")
    for name, change in one.unlike.items():
        click.echo(f"  another condition: {name} {change}")
    if one.kept is not None:
        click.echo(f"  kept to be looked at: {one.kept.relative_to(session.store.root.resolve())}")
    _print_nodes("made from it", taint.descendants)
    _print_nodes("of this stage, by the same code, versions and host", taint.siblings)
    if taint.studies:
        click.echo(f"  in doubt with them: the tables of {', '.join(taint.studies)}")


def _print_nodes(what: str, nodes: Sequence[Node]) -> None:
    counts = Counter(node.stage for node in nodes)
    told = ", ".join(f"{counts[stage]} {stage}" for stage in STAGES if counts[stage])
    click.echo(f"  {what}: {told or 'nothing that is finished'}")
    for node in nodes[:_LISTED]:
        click.echo(f"    {node.stage} {node.key} {node.label}")
    if len(nodes) > _LISTED:
        click.echo(f"    and {len(nodes) - _LISTED} more (--json lists them)")


def _describe(session: Session) -> dict[str, Any]:
    return {
        "seed": session.seed,
        "band": CanaryBand().model_dump(),
        "canaries": [_describe_outcome(session, one) for one in session.outcomes],
        "unfit": len(session.unfit),
        "left_out": _describe_left_out(session),
        "interrupted": session.is_interrupted,
    }


def _describe_outcome(session: Session, one: Outcome) -> dict[str, Any]:
    taint = session.taints.get(one.node.key)
    # JSON has no infinity: a difference without a number is null
    measures = {name: value if value < float("inf") else None for name, value in one.measures.items()}
    return {
        **describe_node(one.node),
        "verdict": one.verdict,
        "found": one.told,
        "measures": measures,
        "unlike": dict(one.unlike),
        "seconds": round(one.seconds, 3),
        "kept": str(one.kept) if one.kept is not None else None,
        "tainted": None
        if taint is None
        else {
            "descendants": [describe_node(node) for node in taint.descendants],
            "siblings": [describe_node(node) for node in taint.siblings],
            "studies": list(taint.studies),
        },
    }


def _describe_left_out(session: Session) -> list[dict[str, Any]]:
    left_out = session.chosen.left_out
    return [{"why": why, "artifacts": [describe_node(node) for node in nodes]} for why, nodes in left_out.items()]
