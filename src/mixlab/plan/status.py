"""Where a study stands: of each stage what is planned, done, at work, waiting and failed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mixlab.artifacts.attempts import Attempt
from mixlab.artifacts.states import Name, States
from mixlab.plan.demand import Demand
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

COUNTS = ("planned", "done", "running", "waiting", "failed", "fetch", "not_needed")
"""An artifact is done, running, waiting, failed or not needed (unfinished, and nothing unfinished below it wants it).

What is to be fetched is done as well: it is tracked, and not here.
"""


@dataclass(frozen=True)
class Failure:
    """The last attempt at a wanted artifact, which ended without it, and how many artifacts wait for it."""

    attempt: Attempt
    holds_up: int


@dataclass(frozen=True)
class Status:
    """Counts by stage, jobs at work (longest at it first), and failures (newest first)."""

    stages: dict[str, Counter[str]]
    running: tuple[Attempt, ...]
    failed: tuple[Failure, ...]
    is_done: bool

    @property
    def totals(self) -> Counter[str]:
        """Counts of all stages together."""
        return sum(self.stages.values(), Counter[str]())


def build_status(
    plan: Plan, states: States, demand: Demand, attempts: Iterable[Attempt], under_way: frozenset[Name]
) -> Status:
    """Count; `attempts` are those that left no artifact, `under_way` names those among them that go on."""
    wanted = frozenset(demand.run)
    known = [one for one in attempts if one.key in wanted]
    running = sorted((one for one in known if one.name in under_way), key=lambda one: (one.since, one.name))
    failed = [one for one in known if one.name not in under_way]
    special = {one.key: "running" for one in running} | {one.key: "failed" for one in failed}
    stages: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
    for key, node in plan.nodes.items():
        state = special.get(key) or ("waiting" if key in wanted else "")
        if not state:
            state = "done" if states.is_finished(node.name) else "not_needed"
        stages[node.stage].update(("planned", state))
    for key in demand.fetch:
        stages[plan.nodes[key].stage]["fetch"] += 1
    return Status(
        {stage: counts for stage, counts in stages.items() if counts},
        tuple(running),
        tuple(_measure(plan, wanted, failed)),
        demand.is_empty,
    )


def _measure(plan: Plan, wanted: frozenset[str], failed: Iterable[Attempt]) -> list[Failure]:
    """Count for each failure what is below it and wanted, itself left out."""
    newest = sorted(failed, key=lambda one: (one.ended or one.since, one.name), reverse=True)
    below = plan.children() if newest else {}
    found = []
    for one in newest:
        seen = {one.key}
        waiting = [one.key]
        while waiting:
            reached = [key for key in below[waiting.pop()] if key in wanted and key not in seen]
            seen.update(reached)
            waiting += reached
        found.append(Failure(one, len(seen) - 1))
    return found
