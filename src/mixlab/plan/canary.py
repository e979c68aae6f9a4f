"""Which artifacts a canary makes again, in which order, and what one that fails taints."""

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixlab.artifacts.costs import read_seconds
from mixlab.artifacts.provenance import ADOPTED, read_provenance
from mixlab.artifacts.states import Name, States
from mixlab.artifacts.store import Store
from mixlab.config.studies import list_every_study
from mixlab.plan.endpoints import find_place
from mixlab.plan.graph import Node, Plan, find_study
from mixlab.plan.stages import STAGES

TABLES = ("aggregate", "report")
_MADE_ALIKE = ("code_digest", "versions", "host", "platform")
"""What a sibling shares with a failed canary beside its stage: whatever went wrong there may have gone wrong here."""


@dataclass(frozen=True)
class Candidate:
    """An artifact that can be made again: what that took, whether that is known, and how often it was tested."""

    node: Node
    seconds: float
    is_known: bool
    tested: int


@dataclass(frozen=True)
class Taint:
    """What a failed canary throws doubt on: all that is made from it, and what the same code made at the same place."""

    descendants: tuple[Node, ...]
    siblings: tuple[Node, ...]
    studies: tuple[str, ...]
    """Studies with a table below any of these."""


@dataclass(frozen=True)
class Chosen:
    """What can be tested, and why the rest cannot: reason -> artifacts."""

    candidates: tuple[Candidate, ...]
    left_out: Mapping[str, tuple[Node, ...]]


def find_candidates(
    store: Store,
    plan: Plan,
    states: States,
    nodes: Iterable[Node],
    tested: Mapping[Name, int],
    asks_endpoints: bool,
) -> Chosen:
    """Sort artifacts into those that can be made again here and those that cannot, by reason.

    `tested` counts how often each was. What has not been made at all is in neither.
    """
    chosen: list[tuple[Node, float | None]] = []
    left_out: dict[str, list[Node]] = {}
    for node in nodes:
        if not states.is_finished(node.name):
            continue
        if why := _find_obstacle(store, plan, states, node, asks_endpoints):
            left_out.setdefault(why, []).append(node)
        else:
            chosen.append((node, read_seconds(store, node.name)))
    typical = {
        stage: statistics.median([one for node, one in chosen if node.stage == stage and one is not None] or [0.0])
        for stage in STAGES
    }
    candidates = tuple(
        Candidate(
            node, typical[node.stage] if seconds is None else seconds, seconds is not None, tested.get(node.name, 0)
        )
        for node, seconds in chosen
    )
    return Chosen(candidates, {why: tuple(some) for why, some in left_out.items()})


def _find_obstacle(store: Store, plan: Plan, states: States, node: Node, asks_endpoints: bool) -> str:
    if node.name not in states.complete:
        return "not here; `mixlab restore` fetches what is tracked"
    if any(plan.nodes[key].name not in states.complete for key in node.inputs()):
        return "what it is made from is not all here; `mixlab restore` fetches what is tracked"
    if any(ADOPTED in record.get("facts", {}) for record in read_provenance(store, *node.name)[-1:]):
        return "adopted, so that its spec did not make it"
    if find_place(node.spec) is not None and not asks_endpoints:
        return "asks an endpoint, which may cost money; --endpoints tests it"
    return ""


def order_candidates(candidates: Sequence[Candidate], rng: random.Random) -> list[Candidate]:
    """Order candidates at random: stages take turns, within a stage what was tested least comes first.

    Drawn artifact by artifact, nearly all would be answers and scores: there are hundreds of them to one training.
    """
    by_stage: dict[str, list[Candidate]] = {}
    for one in sorted(candidates, key=lambda one: one.node.key):
        by_stage.setdefault(one.node.stage, []).append(one)
    queues = []
    for stage in sorted(by_stage):
        some = by_stage[stage]
        rng.shuffle(some)
        queues.append(sorted(some, key=lambda one: one.tested))
    rng.shuffle(queues)
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def find_taint(store: Store, plan: Plan, states: States, node: Node) -> Taint:
    """Find what a failed canary throws doubt on, as far as it is finished.

    `plan` has what other studies made as well; `studies` are those that it asks for and those of the store's folder.
    """
    children = plan.children()
    below = _list_below(children, [node.key])
    below.discard(node.key)
    makings = _read_alike(store, node)
    alike = [
        other
        for other in plan.by_stage(node.stage)
        if other.key != node.key and makings and any(one in makings for one in _read_alike(store, other))
    ]
    doubted = below | _list_below(children, [one.key for one in alike]) | {node.key}
    tables = [plan.nodes[key] for key in doubted if plan.nodes[key].stage in TABLES]
    every = {*plan.targets, *list_every_study(store.root)}
    studies = {find_study([label], every) for one in tables for label in one.labels}
    finished = [one for one in plan.nodes.values() if one.key in below and states.is_finished(one.name)]
    siblings = tuple(one for one in alike if states.is_finished(one.name))
    return Taint(tuple(finished), siblings, tuple(sorted(studies)))


def _list_below(children: Mapping[str, Sequence[str]], keys: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(children[key])
    return found


def _read_alike(store: Store, node: Node) -> list[dict[str, Any]]:
    return [{name: one.get(name) for name in _MADE_ALIKE} for one in read_provenance(store, *node.name)]
