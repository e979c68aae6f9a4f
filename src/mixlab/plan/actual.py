"""What artifacts that were made really took, beside what was predicted of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.plan.graph import Node, Plan
from mixlab.plan.jobs import list_jobs
from mixlab.plan.past import find_record, parse_moment
from mixlab.plan.price import DEVICE_FACT
from mixlab.plan.quote import Quoter
from mixlab.plan.stages import STAGES

NEVER = datetime.min.replace(tzinfo=UTC)
"""The moment before which nothing was made."""

Record = Mapping[str, Any]


@dataclass
class StageActual:
    """One stage: artifacts made, and jobs, seconds and bytes as predicted and as they were.

    A sum that was predicted covers what could be predicted; `…_of_predicted` is what just that came to. `jobs_unknown`
    counts artifacts whose provenance does not say which process made them.
    """

    stage: str
    artifacts: int = 0
    predicted_jobs: int = 0
    jobs: int = 0
    jobs_unknown: int = 0
    predicted_seconds: float = 0.0
    seconds: float = 0.0
    seconds_of_predicted: float = 0.0
    predicted_bytes: int = 0
    bytes: int = 0
    bytes_of_predicted: int = 0


def find_states_then(store: Store, plan: Plan, states: States, since: datetime | None) -> States:
    """Return what was finished at a moment: nothing without one, else what was made before or is not here at all."""
    if since is None:
        return States(frozenset(), frozenset(), frozenset())
    nodes = [node for node in plan.nodes.values() if node.name in states.complete]
    # what is here without provenance of its making was adopted or restored, and is taken for old
    old = frozenset(
        node.name
        for node in nodes
        if find_record(store, node.name, since) is not None or find_record(store, node.name) is None
    )
    elsewhere = states.tracked - states.complete, states.discarded - states.complete
    return States(old, *elsewhere)


def list_made(
    store: Store, plan: Plan, states: States, run: Iterable[str], since: datetime | None
) -> dict[str, Record]:
    """Map those of the keys `run` that are here, and were made from a moment on, to their newest provenance."""
    made: dict[str, Record] = {}
    for key in run:
        node = plan.nodes[key]
        record = find_record(store, node.name) if node.name in states.complete else None
        if record is not None and (since is None or parse_moment(str(record["finished"])) >= since):
            made[key] = record
    return made


def compare_stages(quoter: Quoter, made: Mapping[str, Record]) -> list[StageActual]:
    """Compare jobs, time and bytes by stage; jobs that are not done as a whole are in no sum of predicted time."""
    lines = {name: StageActual(name) for name in STAGES}
    processes: dict[str, set[str]] = {}
    for key, record in made.items():
        node = quoter.plan.nodes[key]
        line, process = lines[node.stage], record.get("process") or {}
        line.artifacts += 1
        line.seconds += _count_seconds(record)
        line.jobs_unknown += not process
        processes.setdefault(node.stage, set()).update([process["id"]] if process else [])
        size, predicted = read_manifest(quoter.store.folder(*node.name)).bytes, quoter.count_bytes(node)
        line.bytes += size
        if predicted is not None:
            line.predicted_bytes += predicted
            line.bytes_of_predicted += size
    for job in list_jobs(quoter.plan, made):
        lines[job.stage].predicted_jobs += 1
    for timed in quoter.jobs:
        # a formula about GPUs says nothing of a run on a CPU
        facts = made.get(timed.job.keys[0], {}).get("facts") or {}
        is_alike = not timed.by_formula or facts.get(DEVICE_FACT) != "cpu"
        if timed.seconds is not None and is_alike and all(key in made for key in timed.job.keys):
            line = lines[timed.job.stage]
            line.predicted_seconds += timed.seconds
            line.seconds_of_predicted += sum(_count_seconds(made[key]) for key in timed.job.keys)
    for stage, ids in processes.items():
        lines[stage].jobs = len(ids)
    return [line for line in lines.values() if line.artifacts]


def _count_seconds(record: Record) -> float:
    """Seconds of making an artifact; of the first of a process those of its start as well."""
    process = record.get("process") or {}
    return float(record.get("seconds", 0.0)) + float(process.get("start_seconds", 0.0))


@dataclass(frozen=True)
class Said:
    """What an artifact of stage generate holds: items, prompts that were answered or weighed, tokens generated."""

    items: int
    prompts: int
    new_tokens: int


def read_said(store: Store, node: Node) -> Said:
    """Count what is in an artifact of responses; raises ArtifactError where it cannot be read."""
    folder = store.folder(*node.name)
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        with (folder / "responses.jsonl").open(encoding="utf-8") as lines:
            cards = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: cannot be read ({error}); run `mixlab verify {node.key}`") from error
    # where texts were weighed, each of them was asked; elsewhere each turn
    prompts = sum(len(card.get("likelihoods") or card["responses"]) for card in cards)
    return Said(len({card["item"] for card in cards}), prompts, int(index.get("response_tokens", 0)))


def read_verdicts(store: Store, node: Node) -> int:
    """Count the verdicts in an artifact of a judge, of a comparison those in both orders.

    Raises ArtifactError where it cannot be read.
    """
    folder = store.folder(*node.name)
    is_pair = node.stage == "judge_pairs"
    path = folder / ("comparisons.jsonl" if is_pair else "index.json")
    try:
        if is_pair:
            return 2 * path.read_text(encoding="utf-8").count("\n")
        return int(json.loads(path.read_text(encoding="utf-8"))["verdicts"])
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); run `mixlab verify {node.key}`") from error
