"""What making artifacts took, as their provenance says: seconds of jobs, and of the GPUs that they held."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store

_MOST_BYTES = 1 << 20
"""No record is nearly as long."""


@dataclass(frozen=True)
class Run:
    """One time an artifact was made: seconds of its last process, and how many GPUs and processes it had."""

    seconds: float
    gpus: int
    processes: int


@dataclass(frozen=True)
class Spent:
    """Sums over runs, and the seconds of each artifact's newest run."""

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    process_seconds: float = 0.0
    newest_seconds: tuple[float, ...] = ()


@dataclass
class Ledger:
    """Reads the provenance of artifacts, each once: what is made stays as it was made."""

    store: Store
    _known: dict[Name, tuple[Run, ...]] = field(default_factory=dict)

    def add_up(self, names: Iterable[Name]) -> Spent:
        """Sum up all runs that made `names`; an artifact that no record tells of adds nothing."""
        lists = [runs for name in names if (runs := self._read(name))]
        every = [run for runs in lists for run in runs]
        return Spent(
            sum(run.seconds for run in every),
            sum(run.seconds * run.gpus for run in every),
            sum(run.seconds * run.processes for run in every),
            tuple(runs[-1].seconds for runs in lists),
        )

    def _read(self, name: Name) -> tuple[Run, ...]:
        if name not in self._known:
            self._known[name] = _read_runs(f"{self.store.root}/provenance/{name[0]}/{name[1]}")
        return self._known[name]


def _read_runs(folder: str) -> tuple[Run, ...]:
    """Read the records of a folder, oldest first; one that is damaged is left out (`mixlab explain KEY` tells).

    There may be tens of thousands of folders, so the system is called without pathlib or a file object between.
    """
    try:
        files = os.listdir(folder)
    except FileNotFoundError:
        return ()
    records = []
    for file in files:
        if not file.endswith(".json"):
            continue
        opened = os.open(f"{folder}/{file}", os.O_RDONLY)
        try:
            text = os.read(opened, _MOST_BYTES)
        finally:
            os.close(opened)
        try:
            record = json.loads(text)
            records.append((str(record.get("finished", "")), _parse(record)))
        except (ValueError, TypeError, AttributeError):
            continue
    return tuple(run for _, run in sorted(records, key=lambda one: one[0]))


def _parse(record: dict[str, Any]) -> Run:
    """Read a record; one that was written before GPUs were noted had one for each process on a GPU."""
    facts = record.get("facts", {})
    processes = int(facts.get("ranks", 1))
    on_cpu = str(facts.get("device", "cpu")).startswith("cpu")
    gpus = int(record.get("machine", {}).get("gpus", 0)) or (0 if on_cpu else processes)
    return Run(float(record.get("seconds", 0.0)), gpus, processes)
