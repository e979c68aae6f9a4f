"""What has to happen: a parent is wanted only while a descendant of it is unfinished."""

from collections.abc import Iterable
from dataclasses import dataclass

from mixlab.artifacts.states import States
from mixlab.plan.graph import Plan


@dataclass(frozen=True)
class Demand:
    """What a run would do for some targets: the keys to run and the tracked keys to fetch, in plan order."""

    run: tuple[str, ...]
    fetch: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.run and not self.fetch


def build_demand(plan: Plan, states: States, targets: Iterable[str]) -> Demand:
    """Walk from the targets to what is here, and stop at it.

    A complete artifact stops the walk; a tracked one that is absent is fetched; one that is neither is run, and its
    inputs are wanted. A discarded one is run only where something below it is: a target's tombstone counts as
    finished.
    """
    run: set[str] = set()
    fetch: set[str] = set()
    waiting = [key for key in targets if plan.nodes[key].name not in states.discarded]
    while waiting:
        key = waiting.pop()
        node = plan.nodes[key]
        if key in run or key in fetch or node.name in states.complete:
            continue
        if node.name in states.tracked:
            fetch.add(key)
        else:
            run.add(key)
            waiting.extend(node.inputs())
    order = plan.nodes
    return Demand(tuple(key for key in order if key in run), tuple(key for key in order if key in fetch))
