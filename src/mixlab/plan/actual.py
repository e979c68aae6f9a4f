"""What artifacts that were made really took, beside what was predicted of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.records import Record, Records
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.plan.graph import Node, Plan
from mixlab.plan.quote import Quoter
from mixlab.plan.stages import STAGES

NEVER = datetime.min.replace(tzinfo=UTC)
"""The moment before which nothing was made."""


@dataclass
class StageActual:
    """One stage: artifacts, jobs, seconds, GPU-hours and bytes as predicted and as they were.

    Predicted artifacts and jobs are all that was to be made. `made` counts every time one was made; `repeated` of them
    were made again, `unforeseen` though the prediction kept or fetched the artifact. `…_of_predicted` is what just that
    came to of which the time, or size, could be predicted. `jobs_unknown` counts times whose provenance does not say
    which process made the artifact, `resumed` those that went on from a state, `partial` those of them of which nobody
    noted what the processes before the last took; `lost_seconds` are of attempts from which nothing was kept.
    """

    stage: str
    predicted_artifacts: int = 0
    made: int = 0
    repeated: int = 0
    unforeseen: int = 0
    predicted_jobs: int = 0
    jobs: int = 0
    jobs_unknown: int = 0
    resumed: int = 0
    partial: int = 0
    lost_seconds: float = 0.0
    predicted_seconds: float = 0.0
    seconds: float = 0.0
    seconds_of_predicted: float = 0.0
    predicted_gpu_hours: float = 0.0
    gpu_hours: float = 0.0
    gpu_hours_of_predicted: float = 0.0
    predicted_bytes: int = 0
    bytes: int = 0
    bytes_of_predicted: int = 0


def find_states_then(records: Records, plan: Plan, states: States, since: datetime | None) -> States:
    """Return what was finished at a moment: nothing without one, else what was made before or is not here at all."""
    if since is None:
        return States(frozenset(), frozenset(), frozenset())
    nodes = [node for node in plan.nodes.values() if node.name in states.complete]
    # what is here without provenance of its making was adopted or restored, and is taken for old
    old = frozenset(
        node.name for node in nodes if records.find(node.name, since) is not None or records.find(node.name) is None
    )
    elsewhere = states.tracked - states.complete, states.discarded - states.complete
    return States(old, *elsewhere)


Made = Mapping[str, Sequence[Record]]
"""Every time that artifacts were made, oldest first, by key."""


def list_made(records: Records, plan: Plan, since: datetime | None) -> Made:
    """List every time that an artifact of the plan was made here from a moment on, whatever was predicted of it."""
    made: dict[str, Sequence[Record]] = {}
    for key, node in plan.nodes.items():
        dated = [one for one in records.read(node.name) if one.finished is not None]
        if times := [one for one in dated if since is None or (one.finished or NEVER) >= since]:
            made[key] = times
    return made


def compare_stages(quoter: Quoter, states: States, made: Made) -> list[StageActual]:
    """Compare what was to be made with what was, by stage; `states` are those of now.

    Of time it compares jobs that are done as a whole, by what the last time that each was done took; those that went on
    from a state count where all their processes are known.
    """
    lines = {name: StageActual(name) for name in STAGES}
    processes: dict[str, set[str]] = {}
    wanted = frozenset(quoter.demand.run)
    for key in wanted:
        lines[quoter.plan.nodes[key].stage].predicted_artifacts += 1
    for key, times in made.items():
        node = quoter.plan.nodes[key]
        line = lines[node.stage]
        line.made += len(times)
        line.repeated += len(times) - 1
        line.unforeseen += 0 if key in wanted else len(times)
        line.resumed += sum(one.is_resumed for one in times)
        line.partial += sum(one.is_partial for one in times)
        line.lost_seconds += sum(one.spent_seconds - one.making_seconds for one in times)
        line.jobs_unknown += sum(not one.process for one in times)
        line.seconds += sum(one.spent_seconds + _count_start(one) for one in times)
        line.gpu_hours += sum(one.gpu_seconds + _count_start(one) * one.gpus for one in times) / 3600
        processes.setdefault(node.stage, set()).update(one.process for one in times if one.process)
        if node.name in states.complete:
            _compare_bytes(quoter, node, line)
    for timed in quoter.jobs:
        lines[timed.job.stage].predicted_jobs += 1
    _compare_times(quoter, made, lines)
    for stage, ids in processes.items():
        lines[stage].jobs = len(ids)
    return [line for line in lines.values() if line.made or line.predicted_artifacts]


def _compare_bytes(quoter: Quoter, node: Node, line: StageActual) -> None:
    size, predicted = read_manifest(quoter.store.folder(*node.name)).bytes, quoter.count_bytes(node)
    line.bytes += size
    if predicted is not None:
        line.predicted_bytes += predicted
        line.bytes_of_predicted += size


def _compare_times(quoter: Quoter, made: Made, lines: Mapping[str, StageActual]) -> None:
    for timed in quoter.jobs:
        if timed.seconds is None or not all(key in made for key in timed.job.keys):
            continue
        times = [made[key][-1] for key in timed.job.keys]
        # a formula about GPUs says nothing of a run on a CPU, and a last process nothing of those before it
        if any(one.is_partial for one in times) or (timed.by_formula and not times[0].gpus):
            continue
        line = lines[timed.job.stage]
        line.predicted_seconds += timed.seconds
        line.seconds_of_predicted += sum(one.making_seconds + _count_start(one) for one in times)
        line.predicted_gpu_hours += timed.seconds * timed.gpus / 3600
        line.gpu_hours_of_predicted += sum(_count_gpu_seconds(one) for one in times) / 3600


def _count_start(record: Record) -> float:
    """Seconds that its process took to start, where it made this artifact first."""
    return record.start_seconds or 0.0


def _count_gpu_seconds(record: Record) -> float:
    """Seconds of making an artifact, start included, by the GPUs that were held."""
    made = record.gpu_seconds if record.is_resumed else record.seconds * record.gpus
    return made + _count_start(record) * record.gpus


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


@dataclass(frozen=True)
class Decided:
    """What a verdict of a model took: attempts, and the tokens of the reply that decided it."""

    attempts: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0

    def __add__(self, other: "Decided") -> "Decided":
        return Decided(
            self.attempts + other.attempts,
            self.prompt_tokens + other.prompt_tokens,
            self.reply_tokens + other.reply_tokens,
        )


def read_decided(store: Store, node: Node) -> list[tuple[str, Decided]]:
    """Read the verdicts of a model in an artifact, by name; equal questions share one.

    Raises ArtifactError where it cannot be read.
    """
    is_pair = node.stage == "judge_pairs"
    path = store.folder(*node.name) / ("comparisons.jsonl" if is_pair else "verdicts.jsonl")
    names = ["attempts", "prompt_tokens", "response_tokens"]
    found: list[tuple[str, Decided]] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                ids = row["verdict_ids"] if is_pair else [row["verdict_id"]]
                took = [row[name] if is_pair else [row[name]] for name in names]
                found += [(name, Decided(*one)) for name, *one in zip(ids, *took, strict=True)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); run `mixlab verify {node.key}`") from error
    return found


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
