"""Walk up from artifacts to everything they were made from."""

from collections.abc import Iterable

from mixlab.artifacts.keys import split_reference
from mixlab.plan.graph import Node, Plan


def find_ancestors(plan: Plan, references: Iterable[str]) -> list[Node]:
    """Return the nodes of `references` and of all their parents, in order of key; reads are not ancestry."""
    found: dict[str, Node] = {}
    waiting = [split_reference(reference)[0] for reference in references]
    while waiting:
        key = waiting.pop()
        if key not in found:
            node = found[key] = plan.nodes[key]
            waiting.extend(split_reference(parent)[0] for roles in node.parents.values() for parent in roles)
    return [found[key] for key in sorted(found)]
