"""How far a training run is, from the ends of its metrics file: read in no time, however long the run."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TAIL_BYTES = 65_536
_FEWEST, _MOST = 2, 50


@dataclass(frozen=True)
class Progress:
    """The newest step of a run, of how many, its seconds a step (None before the second), and when it was told."""

    step: int
    steps: int
    seconds_per_step: float | None
    last_time: float

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last step, if it goes on as in the last steps."""
        return None if self.seconds_per_step is None else (self.steps - self.step) * self.seconds_per_step


def read_progress(path: Path) -> Progress | None:
    """Read the first line and the last of a metrics file; None where no run has told anything."""
    try:
        with path.open("rb") as file:
            first = _parse(file.readline())
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except (FileNotFoundError, PermissionError):  # nothing is told yet, or not to this user
        return None
    rows = [row for row in map(_parse, lines) if row is not None]
    if first is None or not isinstance(first.get("steps"), int) or not rows:
        return None
    attempt = rows[-1].get("attempt")
    steps = [row for row in rows if row.get("event") == "step" and row.get("attempt") == attempt]
    begun = [row for row in rows if row.get("event") == "start"]
    step = steps[-1]["step"] if steps else begun[-1]["first_step"] - 1 if begun else 0
    return Progress(step, first["steps"], _measure(steps), float(rows[-1]["time"]))


def _measure(steps: list[dict[str, Any]]) -> float | None:
    """The mean distance in time of the newest steps, what lies between them (validation, saving) included."""
    times = [float(row["time"]) for row in steps[-_MOST:]]
    return None if len(times) < _FEWEST else (times[-1] - times[0]) / (len(times) - 1)


def _parse(line: bytes) -> dict[str, Any] | None:
    """Parse a line; None for one that the tail cut, or that a kill tore."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "event" in row and "time" in row else None
