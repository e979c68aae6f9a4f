"""`mixlab explain --why`: why an artifact would run, or why not."""

from dataclasses import asdict, dataclass
from typing import Any

import click

from mixlab.artifacts.locks import list_writers
from mixlab.artifacts.recompute import read_recompute
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.cli._common import find_state
from mixlab.cli._kin import gather_cards
from mixlab.plan.compare import Change
from mixlab.plan.demand import Demand, build_demand
from mixlab.plan.graph import Node, Plan
from mixlab.plan.relatives import Card, Step

_SHOWN = 4


@dataclass(frozen=True)
class Reason:
    """Whether an artifact would run, why, and how it differs from its nearest relative, step by step.

    `pointers` counts artifacts of its stage that are known by pointer alone, which says no spec: not compared.
    """

    stage: str
    key: str
    label: str
    would_run: bool
    why: str
    steps: tuple[Step, ...]
    pointers: int


def find_reason(store: Store, states: States, plan: Plan, node: Node) -> Reason:
    """Find out why a node would run, in the plan of all studies that were asked about."""
    demand = build_demand(plan, states, [key for keys in plan.targets.values() for key in keys])
    if node.key not in demand.run:
        return Reason(*node.name, node.label, False, _say_why_not(states, demand, node), (), 0)
    library, pointers = gather_cards(store, states, plan, node)
    card = library.cards[node.key]
    cards = library.cards.values()
    among = [one for one in cards if one.stage == node.stage and one.key != node.key and one.state != "absent"]
    nearest = library.find_nearest(card, among)
    steps = tuple(library.explain(card, nearest)) if nearest is not None else ()
    return Reason(*node.name, node.label, True, _say_why(store, states, plan, demand, node), steps, pointers)


def _say_why_not(states: States, demand: Demand, node: Node) -> str:
    state = find_state(states, node.name)
    if state == "complete":
        return "complete here"
    if state == "tracked":
        return "tracked; it would be fetched" if node.key in demand.fetch else "tracked; nothing here needs it"
    if state == "discarded":
        return "discarded, and nothing needs it"
    return "not here, but nothing needs it: all that is made from it is finished"


def _say_why(store: Store, states: States, plan: Plan, demand: Demand, node: Node) -> str:
    running = frozenset(demand.run)
    needing = [plan.nodes[key] for key in plan.children()[node.key] if key in running]
    targets = [study for study, keys in plan.targets.items() if node.key in keys]
    who = f"{needing[0].stage} '{needing[0].label}' needs it" if needing else f"study {', '.join(targets)} asks for it"
    rest = f", and {len(needing) - 1} more do" if len(needing) > 1 else ""
    return f"{_say_where(store, states, node)}; {who}{rest}"


def _say_where(store: Store, states: States, node: Node) -> str:
    if any((one.stage, one.key) == node.name for one in list_writers(store.work)):
        return "is being made right now"
    if node.name in read_recompute(store):
        return "tracked, but its data is lost (work/recompute.json)"
    if node.name in states.discarded:
        return "discarded, and has to come back"
    if store.folder(*node.name).is_dir():
        return f"{store.folder(*node.name).relative_to(store.root)} has no manifest.json, so it is no whole artifact"
    return "not here, not tracked, not discarded"


def describe_reason(reason: Reason) -> dict[str, Any]:
    """Describe why for JSON."""
    card = {name: value for name, value in vars(reason).items() if name != "steps"}
    return {**card, "steps": [_describe_step(step) for step in reason.steps]}


def _describe_step(step: Step) -> dict[str, Any]:
    def name(card: Card | None) -> dict[str, str] | None:
        return None if card is None else {"key": card.key, "label": card.label, "state": card.state}

    return {
        "stage": step.card.stage,
        "artifact": name(step.card),
        "relative": name(step.relative),
        "changes": [asdict(change) for change in step.changes],
        "parents": [asdict(change) for change in step.parents],
    }


def print_reason(reason: Reason) -> None:
    """Print why: one line of what it is, then one for each step."""
    verdict = "would run" if reason.would_run else "nothing"
    click.echo(f"{reason.stage} {reason.key} '{reason.label}'")
    click.echo(f"{verdict}: {reason.why}")
    for step in reason.steps:
        click.echo(_render_step(step))
    if reason.would_run and not reason.steps:
        click.echo(f"no finished artifact of stage {reason.stage} is known that it could be compared with")
    if reason.would_run and reason.pointers:
        rest = "; the one named above is the nearest among those compared" if reason.steps else ""
        known = f"{reason.pointers} of this stage that are known by pointer alone, which says no spec"
        click.echo(f"not compared: {known}{rest}")


def _render_step(step: Step) -> str:
    card, relative = step.card, step.relative
    if relative is None:
        return f"{card.stage} '{card.label}' is new: no counterpart of it is known"
    same = "" if relative.label == card.label else f" for '{card.label}'"
    what = [*map(str, step.changes), *map(_render_parent, step.parents)]
    rest = [f"and {len(what) - _SHOWN} more changes"] if len(what) > _SHOWN else []
    told = "; ".join([*what[:_SHOWN], *rest]) or "nothing that its spec or parents say"
    return f"as {card.stage} '{relative.label}' ({relative.key}, {relative.state}){same}, but {told}"


def _render_parent(change: Change) -> str:
    """Render another parent: by name, unless the name is the same or there are many."""
    if change.old == change.new or change.old.endswith(" artifacts"):
        return f"another artifact as {change.path}"
    return f"{change.path} {change.new} in place of {change.old}"
