"""What artifacts that were made took in seconds and bytes, and what new ones will take by them.

An artifact is estimated by those of its stage that are most like it, and among them by those nearest in size. More work
takes more in proportion; of less work, what a job takes anyway is not scaled down.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.records import Record, Records
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.config.pricing import is_gpu
from mixlab.plan.amounts import Amount, Amounts
from mixlab.plan.graph import Node
from mixlab.plan.price import PRICED

MOST = 200
"""Artifacts of a stage that are looked at, spread evenly; more say nothing new."""
NEAREST = 8
FIXED_SECONDS, FIXED_BYTES = 60.0, 4096.0
"""What is taken for the most that a job takes, or an artifact holds, however little there is to do."""


@dataclass(frozen=True)
class Past:
    """One artifact as it was made; `seconds` of training are those of all its processes together.

    `is_first`: whether its process made nothing before it, None where provenance does not say; `start_seconds` is then
    what the process took to start. `process` is empty where it is not known, `device` where its kind was not noted.
    `is_partial`: its process went on from a state, and what those before it took was not noted.
    """

    name: Name
    amount: Amount
    seconds: float
    bytes: float | None
    process: str = ""
    start_seconds: float | None = None
    host: str = ""
    gpus: int = 0
    device: str = ""
    is_partial: bool = False

    @property
    def is_first(self) -> bool | None:
        """Whether its process made nothing before it; None where that was not noted."""
        return None if not self.process else self.start_seconds is not None

    def is_on(self, gpus: int, kind: str) -> bool:
        """Whether it was made on what a job of so many GPUs of a kind computes on; 0: on none.

        Training is measured by what all its processes took, anything else on as many GPUs alone.
        """
        if not gpus or not self.gpus:
            return gpus == self.gpus
        is_kind = self.device in ("", "cuda") or is_gpu(self.device, kind)
        return is_kind and (self.name[0] in PRICED or self.gpus == gpus)


def read_past(
    records: Records,
    nodes: Iterable[Node],
    amounts: Amounts,
    gpu: str,
    before: datetime | None = None,
    beside: Iterable[Node] = (),
) -> "History":
    """Read what some of the artifacts of `nodes` that are here took, and of those `beside`.

    Of each stage at most MOST of either, so that many of other studies leave room for those that are priced. `gpu` is
    the kind of those that jobs to come are to compute on.
    """
    by_stage: dict[tuple[str, bool], list[Node]] = {}
    for is_beside, some in enumerate((nodes, beside)):
        for node in some:
            by_stage.setdefault((node.stage, bool(is_beside)), []).append(node)
    history = History(gpu)
    for made in by_stage.values():
        step = max(1, math.ceil(len(made) / MOST))
        for node in made[::step]:
            record = records.find(node.name, before)
            if record is not None:
                history.add(_read_one(records.store, node, amounts.measure(node), record))
    return history


def _read_one(store: Store, node: Node, amount: Amount, record: Record) -> Past:
    seconds = record.making_seconds
    if node.stage in PRICED:
        seconds = record.process_seconds if record.is_resumed else record.seconds * record.processes
    size = read_manifest(store.folder(*node.name)).bytes if store.is_complete(*node.name) else None
    # who asks for no GPU and lets the machine choose gets what it got before
    gpus = 0 if record.declared_gpus == 0 else record.gpus
    return Past(
        node.name,
        amount,
        seconds,
        size,
        record.process,
        record.start_seconds,
        record.host,
        gpus,
        record.device,
        record.is_partial,
    )


@dataclass
class History:
    """What was measured, by stage; `gpu` is the kind of GPU that jobs to come are to compute on."""

    gpu: str
    by_stage: dict[str, list[Past]] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], float | None] = field(default_factory=dict)
    _timed: dict[tuple[str, int], list[Past]] = field(default_factory=dict)

    def add(self, past: Past) -> None:
        """Take in one measurement."""
        self.by_stage.setdefault(past.name[0], []).append(past)

    def hosts(self, stage: str) -> tuple[str, ...]:
        """Name the machines on which a stage was measured."""
        return tuple(sorted({one.host for one in self.by_stage.get(stage, ()) if one.host}))

    def count_partial(self, stage: str) -> int:
        """Count those whose seconds are of their last process alone, so that they measure no time."""
        return sum(one.is_partial for one in self.by_stage.get(stage, ()))

    def list_other(self, stage: str, gpus: int) -> list[str]:
        """Name what else a stage was measured on than a job of so many GPUs computes on."""
        others = [one for one in self.by_stage.get(stage, ()) if not one.is_on(gpus, self.gpu)]
        return sorted({f"{one.gpus} x {one.device or 'GPU'}" if one.gpus else "cpu" for one in others})

    def estimate_seconds(
        self, stage: str, amount: Amount, is_first: bool, gpus: int = 0, *, alike: bool = False
    ) -> float | None:
        """Estimate how long making an artifact takes on so many GPUs; None where that cannot be told.

        That is where its stage, or with `alike` its kind, was never measured on the like.
        """
        tests: list[Callable[[Past], bool]] = [
            lambda one: one.amount.kind == amount.kind and one.is_first is is_first,
            lambda one: one.amount.kind == amount.kind,
        ]
        if not alike:
            tests += [lambda one: one.is_first is is_first, lambda one: True]
        name = ("seconds", stage, amount, is_first, gpus, alike)
        return self._once(name, amount, self._list_timed(stage, gpus), tests, lambda one: one.seconds, FIXED_SECONDS)

    def _list_timed(self, stage: str, gpus: int) -> list[Past]:
        if (stage, gpus) not in self._timed:
            timed = [one for one in self.by_stage.get(stage, ()) if not one.is_partial and one.is_on(gpus, self.gpu)]
            self._timed[stage, gpus] = timed
        return self._timed[stage, gpus]

    def estimate_bytes(self, stage: str, amount: Amount) -> float | None:
        """Estimate how large an artifact becomes; None where its stage never was measured."""
        measured = [one for one in self.by_stage.get(stage, ()) if one.bytes is not None]
        tests: list[Callable[[Past], bool]] = [lambda one: one.amount.kind == amount.kind, lambda one: True]
        name = ("bytes", stage, amount)
        return self._once(name, amount, measured, tests, lambda one: float(one.bytes or 0), FIXED_BYTES)

    def estimate_start(self, stage: str) -> float | None:
        """Estimate how long a process of a stage takes to start; None where that was never noted."""
        noted = [one.start_seconds for one in self.by_stage.get(stage, ()) if one.start_seconds is not None]
        return median(noted) if noted else None

    def _once(
        self,
        name: tuple[Any, ...],
        amount: Amount,
        measured: list[Past],
        tests: list[Callable[[Past], bool]],
        value: Callable[[Past], float],
        fixed: float,
    ) -> float | None:
        if name not in self._known:
            alike: list[Past] = next(filter(None, ([one for one in measured if test(one)] for test in tests)), [])
            least = min([fixed, *(value(one) for one in measured)])
            self._known[name] = scale(alike, amount.size, value, least) if alike else None
        return self._known[name]


def scale(alike: list[Past], size: float | None, value: Callable[[Past], float], fixed: float) -> float:
    """Take the median of those nearest in size, and scale it to `size`; `fixed` of it is the same for less work."""
    sized = [(one, one.amount.size) for one in alike if one.amount.size]
    if not size or not sized:
        return median(value(one) for one in alike)
    nearest = sorted(sized, key=lambda pair: (abs(math.log(size / (pair[1] or size))), pair[0].name))[:NEAREST]
    ratio = size / median(float(found or 0) for _, found in nearest)
    middle = median(value(one) for one, _ in nearest)
    return middle * ratio if ratio >= 1 else fixed + (middle - fixed) * ratio
