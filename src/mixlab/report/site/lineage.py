"""From a number to what made it: seeds, scores, answers, checkpoints, mixture, sources, each with key and digest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixlab.analysis.lineage import Ancestor
from mixlab.report.tables import name_cell


@dataclass(frozen=True)
class Held:
    """What the working folder knows of an artifact beside what it was made from.

    `state`: complete (here), tracked, discarded or absent. `digest`: of its bytes, empty where it is not told here.
    `made`: when, in how many seconds, from which commit it was made, one line for each time.
    """

    label: str
    state: str
    digest: str = ""
    made: tuple[str, ...] = ()


def build_lineage_data(
    lineage: Mapping[str, Any], held: Mapping[str, Held], beside: Mapping[str, Ancestor] | None = None
) -> dict[str, Any]:
    """Join the lineage that an aggregate wrote with what is known of each artifact in it, and of those `beside` it.

    `cells`: by `name_cell` the seeds and keys of each number. `nodes`: by key what it is, its parents by role, the
    digests of data behind it, its state.
    """
    ancestry = dict(beside or {}) | {
        key: Ancestor(card["stage"], tuple(map(tuple, card["parents"])), tuple(map(tuple, card["facts"])))
        for key, card in lineage["ancestry"].items()
    }
    digests = {key: card["certificate_digest"] for key, card in lineage["mixtures"].items()}
    nodes = {key: _describe(key, one, held.get(key), digests.get(key, "")) for key, one in sorted(ancestry.items())}
    cells = {
        name_cell(cell["variant_key"], cell["stage"], cell["benchmark"], cell["measure"]): cell["made_of"]
        for cell in lineage["cells"]
    }
    return {"cells": cells, "nodes": nodes}


def _describe(key: str, one: Ancestor, held: Held | None, certificate: str) -> dict[str, Any]:
    card: dict[str, Any] = {"stage": one.stage, "parents": [list(pair) for pair in one.parents]}
    facts = [list(fact) for fact in one.facts]
    if certificate:
        facts.append(["certificate", certificate])
    if facts:
        card["facts"] = facts
    if held is not None:
        told = {"label": held.label, "state": held.state, "digest": held.digest, "made": list(held.made)}
        card |= {name: value for name, value in told.items() if value}
    return card


def list_not_here(nodes: Mapping[str, Mapping[str, Any]]) -> Sequence[tuple[str, str, int]]:
    """Count, by stage and state, the artifacts of a lineage that are not here: tracked, discarded, absent."""
    counts: dict[tuple[str, str], int] = {}
    for card in nodes.values():
        if (state := card.get("state", "complete")) != "complete":
            name = card["stage"], state
            counts[name] = counts.get(name, 0) + 1
    return [(stage, state, count) for (stage, state), count in sorted(counts.items())]
