"""What artifacts that were made took in seconds and bytes, and what new ones will take by them.

An artifact is estimated by those of its stage that are most like it, and among them by those nearest in size. More work
takes more in proportion; of less work, what a job takes anyway is not scaled down.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import ADOPTED, read_provenance
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.plan.amounts import Amount, Amounts
from mixlab.plan.graph import Node
from mixlab.plan.price import PRICED

MOST = 200
"""Artifacts of a stage that are looked at, spread evenly; more say nothing new."""
NEAREST = 8
FIXED_SECONDS, FIXED_BYTES = 60.0, 4096.0
"""What is taken for the most that a job takes, or an artifact holds, however little there is to do."""
RANKS = "ranks"
"""Fact of a training run: its processes."""


@dataclass(frozen=True)
class Past:
    """One artifact as it was made; `seconds` of training are those of all its processes together.

    `is_first`: whether its process made nothing before it, None where provenance does not say; `start_seconds` is then
    what the process took to start. `process` is empty where it is not known.
    """

    name: Name
    amount: Amount
    seconds: float
    bytes: float | None
    process: str = ""
    start_seconds: float | None = None
    host: str = ""

    @property
    def is_first(self) -> bool | None:
        """Whether its process made nothing before it; None where that was not noted."""
        return None if not self.process else self.start_seconds is not None


def parse_moment(text: str) -> datetime:
    """Read a moment as ISO 8601 writes it; without a zone it is UTC. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def find_record(store: Store, name: Name, before: datetime | None = None) -> dict[str, Any] | None:
    """Return the newest provenance of an artifact that was really made, up to a moment; None where there is none."""
    found = None
    for record in read_provenance(store, *name):
        facts = record.get("facts")
        if "finished" not in record or (isinstance(facts, dict) and ADOPTED in facts):
            continue
        if before is None or parse_moment(str(record["finished"])) < before:
            found = record
    return found


def read_past(store: Store, nodes: Iterable[Node], amounts: Amounts, before: datetime | None = None) -> "History":
    """Read what some of the artifacts of `nodes` that are here took; at most MOST of each stage."""
    by_stage: dict[str, list[Node]] = {}
    for node in nodes:
        by_stage.setdefault(node.stage, []).append(node)
    history = History()
    for made in by_stage.values():
        step = max(1, math.ceil(len(made) / MOST))
        for node in made[::step]:
            record = find_record(store, node.name, before)
            if record is not None:
                history.add(_read_one(store, node, amounts.measure(node), record))
    return history


def _read_one(store: Store, node: Node, amount: Amount, record: dict[str, Any]) -> Past:
    process = record.get("process") or {}
    size = read_manifest(store.folder(*node.name)).bytes if store.is_complete(*node.name) else None
    return Past(
        node.name,
        amount,
        float(record.get("seconds", 0.0)) * count_ranks(node, record),
        size,
        str(process.get("id", "")),
        process.get("start_seconds"),
        str(record.get("host", "")),
    )


def count_ranks(node: Node, record: dict[str, Any]) -> int:
    """Processes of a training run, as it noted them; 1 of anything else."""
    facts = record.get("facts") or {}
    said = str(facts.get(RANKS, 1))
    return int(said) if node.stage in PRICED and said.isdigit() and int(said) else 1


@dataclass
class History:
    """What was measured, by stage."""

    by_stage: dict[str, list[Past]] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], float | None] = field(default_factory=dict)

    def add(self, past: Past) -> None:
        """Take in one measurement."""
        self.by_stage.setdefault(past.name[0], []).append(past)

    def hosts(self, stage: str) -> tuple[str, ...]:
        """Name the machines on which a stage was measured."""
        return tuple(sorted({one.host for one in self.by_stage.get(stage, ()) if one.host}))

    def estimate_seconds(self, stage: str, amount: Amount, is_first: bool, *, alike: bool = False) -> float | None:
        """Estimate how long making an artifact takes; None where its stage, or with `alike` its kind, never was."""
        measured = self.by_stage.get(stage, [])
        tests: list[Callable[[Past], bool]] = [
            lambda one: one.amount.kind == amount.kind and one.is_first is is_first,
            lambda one: one.amount.kind == amount.kind,
        ]
        if not alike:
            tests += [lambda one: one.is_first is is_first, lambda one: True]
        name = ("seconds", stage, amount, is_first, alike)
        return self._once(name, amount, measured, tests, lambda one: one.seconds, FIXED_SECONDS)

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
