"""One time that an artifact was made, as a record of its provenance says: read in one way by whatever counts it."""

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mixlab.artifacts.elapsed import Elapsed
from mixlab.artifacts.provenance import ADOPTED
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store

log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 20
"""No record is nearly as long."""


@dataclass(frozen=True)
class Record:
    """One time an artifact was made.

    `seconds` are those of making it in its last process; `start_seconds` those that this process took to start, where
    it made nothing before. `gpus` are those that it held, `declared_gpus` those that its settings gave it (None where
    that was not noted), `processes` those of training. `process` and `device` are empty, `finished` is None, where that
    was not noted. `earlier` is what attempts before that process took; `label` what people called it, study first.
    """

    path: str
    finished: datetime | None
    seconds: float
    gpus: int
    declared_gpus: int | None
    processes: int
    device: str
    process: str
    start_seconds: float | None
    host: str
    facts: Mapping[str, Any]
    earlier: tuple[Elapsed, ...] = ()
    label: str = ""

    @property
    def is_adopted(self) -> bool:
        """Whether it was not made here, but adopted."""
        return ADOPTED in self.facts

    @property
    def is_resumed(self) -> bool:
        """Whether its process went on from what an earlier one had left, so that `seconds` are its last part alone."""
        first = str(self.facts.get("watched_steps", "1")).partition("-")[0]
        return bool(self.facts.get("resumed")) or (first.isdigit() and int(first) > 1)

    @property
    def is_partial(self) -> bool:
        """Whether nobody noted what the processes took from which its last one went on."""
        return self.is_resumed and not self.earlier

    @property
    def spent_seconds(self) -> float:
        """Seconds of all attempts, of those as well from which nothing was kept."""
        return self.seconds + sum(one.seconds for one in self.earlier)

    @property
    def gpu_seconds(self) -> float:
        """Seconds of all attempts, each by the GPUs that it held."""
        # who declared none, and computed on those that were there, did so before as well
        found = self.gpus if not self.declared_gpus else 0
        earlier = sum(one.seconds * (one.gpus or found) for one in self.earlier)
        return self.seconds * self.gpus + earlier

    @property
    def process_seconds(self) -> float:
        """Seconds of all attempts, each by its processes."""
        return self.seconds * self.processes + sum(one.seconds * one.processes for one in self.earlier)

    @property
    def making_seconds(self) -> float:
        """What making it takes: all attempts where the last went on from what was there, else the last alone."""
        return self.spent_seconds if self.is_resumed else self.seconds


def parse_moment(text: str) -> datetime:
    """Read a moment as ISO 8601 writes it; without a zone it is UTC. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_record(path: str, text: str | bytes) -> Record:
    """Read a record; raises ValueError saying what is wrong with it."""
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("it is no mapping")
    facts, machine, process = (_mapping(record, name) for name in ("facts", "machine", "process"))
    processes = max(1, int(_number(facts, "ranks", 1)))
    device = str(facts.get("device", ""))
    declared = int(_number(machine, "gpus", 0)) if "gpus" in machine else None
    # before GPUs were noted there was one for each process on a GPU
    on_gpus = device not in ("", "cpu") and not device.startswith("cpu")
    found = int(_number(facts, "gpus", processes if on_gpus else 0))
    finished = record.get("finished")
    return Record(
        path,
        None if finished is None else parse_moment(str(finished)),
        _number(record, "seconds", 0),
        declared or found,
        declared,
        processes,
        device,
        str(process.get("id", "")),
        _number(process, "start_seconds", 0) if "start_seconds" in process else None,
        str(record.get("host", "")),
        facts,
        _parse_earlier(record),
        str(record.get("label", "")),
    )


def _parse_earlier(record: Mapping[str, Any]) -> tuple[Elapsed, ...]:
    parts = record.get("earlier", [])
    if not isinstance(parts, list) or not all(isinstance(one, dict) for one in parts):
        raise ValueError(f"earlier: expected a list of mappings, got {parts!r}")
    return tuple(
        Elapsed(
            _number(one, "seconds", 0),
            int(_number(one, "gpus", 0)),
            max(1, int(_number(one, "processes", 1))),
            int(_number(one, "attempts", 1)),
        )
        for one in parts
    )


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected a mapping, got {value!r}")
    return value


def _number(record: Mapping[str, Any], name: str, absent: float) -> float:
    """Return a number of at least 0, which facts write as text."""
    value = record.get(name, absent)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return number


def read_records(root: str, name: Name) -> tuple[list[Record], dict[str, str]]:
    """Read the records of an artifact, oldest first, and say of each file that is damaged what is wrong with it.

    There may be tens of thousands of folders, so the system is called without pathlib or a file object between.
    """
    folder = f"provenance/{name[0]}/{name[1]}"
    try:
        files = os.listdir(f"{root}/{folder}")
    except FileNotFoundError:
        return [], {}
    records: list[Record] = []
    damaged: dict[str, str] = {}
    for file in sorted(files):
        if not file.endswith(".json"):
            continue
        opened = os.open(f"{root}/{folder}/{file}", os.O_RDONLY)
        try:
            text = os.read(opened, _MOST_BYTES)
        finally:
            os.close(opened)
        try:
            records.append(parse_record(f"{folder}/{file}", text))
        except ValueError as error:
            damaged[f"{folder}/{file}"] = str(error)
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(records, key=lambda one: one.finished or oldest), damaged


@dataclass
class Records:
    """Reads the records of artifacts, each once; what is damaged is passed over, with a warning that names it."""

    store: Store
    _known: dict[Name, tuple[Record, ...]] = field(default_factory=dict)

    def read(self, name: Name) -> tuple[Record, ...]:
        """Return every time an artifact was really made, oldest first; an adoption is none."""
        if name not in self._known:
            records, damaged = read_records(str(self.store.root), name)
            for path, why in damaged.items():
                log.warning("mixlab: %s is passed over: %s", path, why)
            self._known[name] = tuple(one for one in records if not one.is_adopted)
        return self._known[name]

    def find(self, name: Name, before: datetime | None = None) -> Record | None:
        """Return the newest time it was made, up to a moment; None where it never was or nobody noted when."""
        dated = [one for one in self.read(name) if one.finished and (before is None or one.finished < before)]
        return dated[-1] if dated else None
