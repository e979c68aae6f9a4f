"""What dropping data would cost: who still needs it, and how long making it again would take."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mixlab.artifacts.costs import read_seconds
from mixlab.artifacts.states import Name, States
from mixlab.artifacts.store import Store
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Node, Plan


@dataclass(frozen=True)
class Cost:
    """What making artifacts again takes: how many, seconds as far as provenance knows them, how many it does not."""

    artifacts: int
    seconds: float
    unknown: int

    def __str__(self) -> str:
        rest = f", {self.unknown} of unknown cost" if self.unknown else ""
        return f"{self.artifacts} to make again, {render_seconds(self.seconds)}{rest}"


def render_seconds(seconds: float) -> str:
    """Render a duration for people."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def list_needing(plan: Plan, states: States, names: Iterable[Name]) -> dict[Name, list[Node]]:
    """Map each artifact that an unfinished one still needs to those that need it."""
    targets = [key for keys in plan.targets.values() for key in keys]
    needing: dict[Name, list[Node]] = {}
    asked = set(names)
    for key in build_demand(plan, states, targets).run:
        for parent in dict.fromkeys(plan.nodes[key].inputs()):
            name = plan.nodes[parent].name
            if name in asked:
                needing.setdefault(name, []).append(plan.nodes[key])
    return needing


def estimate_cost(store: Store, plan: Plan, states: States, names: Sequence[Name]) -> Cost:
    """Estimate what making `names` again would take, with what is above them and gone as well."""
    gone = frozenset(names)
    left = States(states.complete - gone, states.tracked - gone, states.discarded - gone)
    keys = [key for _, key in names if key in plan.nodes]
    made = {plan.nodes[key].name for key in build_demand(plan, left, keys).run} | gone
    times = [read_seconds(store, name) for name in sorted(made)]
    known = [seconds for seconds in times if seconds is not None]
    return Cost(len(made), sum(known), len(times) - len(known))
