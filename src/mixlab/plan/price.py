"""What the training of a plan costs: operations by formula, GPU-hours by a device's peak and its utilisation (MFU).

Tokens, steps and shapes are taken from what is made, else from budgets and settings (mixlab.plan.workload).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Literal

from mixlab.artifacts.records import Records
from mixlab.artifacts.states import States
from mixlab.config.model_flops import DecoderShape, count_training_flops
from mixlab.config.pricing import Dtype, GpuSettings, is_gpu
from mixlab.config.training import TrainSettings
from mixlab.plan.demand import Demand
from mixlab.plan.graph import Node, find_study
from mixlab.plan.workload import UnknownError, Workload, Workloads, find_lora

PRICED = ("pretrain", "ipt", "sft")
"""Stages that train."""

State = Literal["done", "to_do", "not_needed"]
MFU_FACT = "mfu"
"""Fact of a training run's provenance: the share of the peak it used."""


@dataclass(frozen=True)
class TrainingRun:
    """One training run: what it reads and costs, or `unknown`, why that is not known."""

    node: Node
    base_model: str
    state: State
    dtype: Dtype
    workload: Workload | None = None
    flops: int | None = None
    unknown: str = ""
    shape: DecoderShape | None = None


@dataclass(frozen=True)
class Utilisation:
    """A share of the peak, and where it is from: `given`, `measured` (median of so many runs) or `assumed`."""

    mfu: float
    basis: Literal["given", "measured", "assumed"]
    runs: int = 0
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What one finished run used of the peak of its device."""

    mfu: float
    device: str


MeasuredBy = Mapping[tuple[DecoderShape, str], Sequence[Measured]]
"""By the shape of a base model and stage; by shape and the empty text for all its stages."""


@dataclass(frozen=True)
class Cost:
    """Sums over runs of one state."""

    runs: int
    unknown: int
    tokens: int
    steps: int
    flops: int
    gpu_hours: float


@dataclass(frozen=True)
class Line:
    """The runs of one stage of one base model, or of several."""

    base_model: str
    stage: str
    utilisation: Utilisation | None
    done: Cost
    to_do: Cost
    not_needed: Cost


def list_runs(workloads: Workloads, states: States, demand: Demand) -> list[TrainingRun]:
    """List every training run of a plan, in plan order.

    Done is what is finished, to do what `mixlab plan` would run; what is neither nobody needs any more.
    """
    wanted = frozenset(demand.run)
    found = []
    for node in workloads.plan.nodes.values():
        if node.stage in PRICED:
            is_done = states.is_finished(node.name)
            state: State = "to_do" if node.key in wanted else "done" if is_done else "not_needed"
            found.append(_describe(workloads, node, state))
    return found


def _describe(workloads: Workloads, node: Node, state: State) -> TrainingRun:
    training = find_training(node)
    base = workloads.plan.find_base(node)
    studies, name = workloads.plan.targets, base.label.rpartition("/")[2]
    name = name if len(studies) == 1 else f"{find_study(base.labels, studies)}/{name}"
    try:
        work = workloads.measure(node, training)
        shape = workloads.shape(base)
    except UnknownError as error:
        return TrainingRun(node, name, state, training.dtype, unknown=str(error))
    lora = find_lora(training)
    flops = count_training_flops(shape, work.tokens, work.squared_tokens, head_tokens=work.head_tokens, lora=lora)
    return TrainingRun(node, name, state, training.dtype, work, flops, shape=shape)


def find_training(node: Node) -> TrainSettings:
    """Return the settings by which a node trains; raises TypeError for one that does not."""
    training = getattr(node.spec, "training", None)
    if not isinstance(training, TrainSettings):
        raise TypeError(f"expected training settings in the spec of {node.stage}")
    return training


def read_measured(
    records: Records, runs: Iterable[TrainingRun], gpu: str, before: datetime | None = None
) -> MeasuredBy:
    """Read the MFU that finished runs on a kind of GPU noted in their provenance, up to a moment.

    A record without a number between 0 and 1 has measured nothing.
    """
    measured: dict[tuple[DecoderShape, str], list[Measured]] = {}
    for run in runs:
        if run.state != "done" or run.shape is None:
            continue
        for record in records.read(run.node.name):
            is_early = before is None or (record.finished is not None and record.finished < before)
            mfu = _parse_mfu(record.facts.get(MFU_FACT)) if is_early and is_gpu(record.device, gpu) else None
            if mfu is not None:
                for stage in (run.node.stage, ""):
                    measured.setdefault((run.shape, stage), []).append(Measured(mfu, record.device))
    return measured


def _parse_mfu(value: object) -> float | None:
    try:
        mfu = float(str(value))
    except ValueError:
        return None
    return mfu if math.isfinite(mfu) and 0 < mfu <= 1 else None


def choose_utilisation(
    measured: MeasuredBy,
    shapes: Iterable[DecoderShape],
    stage: str,
    given: float | None,
    assumed: float,
) -> Utilisation:
    """Take the MFU that was given, else that measured in this stage, else in any of such models, else assumed."""
    if given is not None:
        return Utilisation(given, "given")
    shapes = tuple(dict.fromkeys(shapes))
    found = [one for shape in shapes for one in measured.get((shape, stage), ())]
    found = found or [one for shape in shapes for one in measured.get((shape, ""), ())]
    if not found:
        return Utilisation(assumed, "assumed")
    devices = tuple(sorted({one.device for one in found if one.device}))
    return Utilisation(median(one.mfu for one in found), "measured", len(found), devices)


def build_lines(
    runs: Sequence[TrainingRun],
    gpu: GpuSettings,
    measured: MeasuredBy,
    given: float | None,
    assumed: float,
) -> list[Line]:
    """Sum runs up by base model and stage."""
    groups: dict[tuple[str, str], list[TrainingRun]] = {}
    for run in runs:
        groups.setdefault((run.base_model, run.node.stage), []).append(run)
    lines = []
    order = {name: number for number, name in enumerate(dict.fromkeys(run.base_model for run in runs))}
    for (name, stage), members in sorted(groups.items(), key=lambda one: (order[one[0][0]], PRICED.index(one[0][1]))):
        shapes = (run.shape for run in members if run.shape is not None)
        use = choose_utilisation(measured, shapes, stage, given, assumed)
        costs = [_sum_runs([run for run in members if run.state == state], gpu, use.mfu) for state in _STATES]
        lines.append(Line(name, stage, use, *costs))
    return lines


_STATES: tuple[State, ...] = ("done", "to_do", "not_needed")


def _sum_runs(runs: Sequence[TrainingRun], gpu: GpuSettings, mfu: float) -> Cost:
    known = [run.workload for run in runs if run.workload is not None]
    seconds = sum((run.flops or 0) / (getattr(gpu, run.dtype) * mfu) for run in runs)
    return Cost(
        runs=len(runs),
        unknown=len(runs) - len(known),
        tokens=sum(one.tokens for one in known),
        steps=sum(one.steps for one in known),
        flops=sum(run.flops or 0 for run in runs),
        gpu_hours=seconds / 3600,
    )


def sum_lines(lines: Sequence[Line], stage: str) -> Line:
    """Sum lines up under one name."""
    return Line("total", stage, None, *(_sum_costs([getattr(line, state) for line in lines]) for state in _STATES))


def _sum_costs(costs: Sequence[Cost]) -> Cost:
    return Cost(
        runs=sum(one.runs for one in costs),
        unknown=sum(one.unknown for one in costs),
        tokens=sum(one.tokens for one in costs),
        steps=sum(one.steps for one in costs),
        flops=sum(one.flops for one in costs),
        gpu_hours=sum(one.gpu_hours for one in costs),
    )
