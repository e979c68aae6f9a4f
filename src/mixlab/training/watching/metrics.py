"""metrics/<stage>/<key>.jsonl: one line a step, appended over restarts; beside the artifact, since times differ.

Lines have an `event`: `start` (a process begins, with `attempt` 1, 2, ... and `first_step`), `step`, `validation`,
`spike`, `rollback`, `not_finite`, `end`. A restart computes again what no state had kept: `read_metrics` leaves
out what a later attempt did over.
"""

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from mixlab.config.problems import DataError, Problem

Row = dict[str, Any]
_REPEATED = ("step", "validation", "spike")


class MetricsFile:
    """The file of one run, open for appending; each line is one write, so that a kill can tear only the last.

    Raises DataError when the file is something else, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = list_rows(path) if path.exists() else []
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            message = f"cannot be written ({error.strerror}); a run writes its metrics there: make it writable"
            raise DataError(Problem(message, file=str(error.filename or path))) from None
        self.attempt = 1 + max((row["attempt"] for row in rows), default=0)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def write(self, event: str, row: Row) -> None:
        """Append one line; a value that is not finite is written as text."""
        line = {"event": event, "attempt": self.attempt, **row, "time": round(time.time(), 3)}
        try:
            text = json.dumps(line, allow_nan=False)
        except ValueError:
            text = json.dumps({key: _finite(value) for key, value in line.items()}, allow_nan=False)
        os.write(self._file, text.encode() + b"\n")

    def close(self) -> None:
        """Close the file; more than once does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and value - value != 0 else value


def list_rows(path: Path) -> list[Row]:
    """Read every line of a metrics file in order; a line torn by a kill, the last of its attempt, is left out.

    Raises DataError for any other line that is not a row.
    """
    rows: list[Row] = []
    torn = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                row = None
            is_row = isinstance(row, dict) and "event" in row and isinstance(row.get("attempt"), int)
            if torn and not (is_row and row["event"] == "start"):
                raise DataError(Problem("is not a row of metrics; move the file away", file=str(path), line=torn))
            torn = 0 if is_row else number
            if is_row:
                rows.append(row)
    return rows


def read_metrics(path: Path) -> list[Row]:
    """Read the rows that count: of what was computed more than once, those of the newest attempt alone."""
    kept: list[Row] = []
    for row in list_rows(path):
        if row["event"] == "start":
            kept = [one for one in kept if one["event"] not in _REPEATED or one["step"] < row["first_step"]]
        kept.append(row)
    return kept


def read_facts(path: Path) -> dict[str, str]:
    """Read what the run said of itself at its end: device, ranks, medians of speed and MFU; {} before its end."""
    ends = [row for row in list_rows(path) if row["event"] == "end"]
    return dict(ends[-1]["facts"]) if ends else {}
