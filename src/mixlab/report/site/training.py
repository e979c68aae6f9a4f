"""Training curves of a study for its page: few enough points to be drawn, each the mean of what it stands for."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.problems import DataError, Problem

POINTS = 240
"""Points of a curve at most."""
TOLD = 10
"""Wrong fields of one log that are told at most."""
CURE = "mend the log where the run was made, and bring the run here again"
_COLUMNS = ("step", "tokens", "loss")


@dataclass(frozen=True)
class TrainedRun:
    """One run with its log, or why that is not here. `purpose`: pretrain, ipt or sft."""

    key: str
    purpose: str
    label: str
    log: Path | None
    missing: str = ""


def build_curves(runs: Iterable[TrainedRun]) -> list[dict[str, Any]]:
    """Read each run's loss; `every`: steps that a point is the mean of. Raises DataError as `read_losses`, for all."""
    cards: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for run in runs:
        try:
            cards.append(_build_curve(run))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return cards


def _build_curve(run: TrainedRun) -> dict[str, Any]:
    card: dict[str, Any] = {"key": run.key, "purpose": run.purpose, "label": run.label}
    if run.log is None:
        return {**card, "missing": run.missing}
    steps = read_losses(run.log)
    losses = [(one.step, one.loss) for one in steps]
    every, points = thin(losses)
    last = next((loss for _, loss in reversed(losses) if loss is not None), None)
    ended, tokens = (steps[-1].step, steps[-1].tokens) if steps else (0, 0)
    return {**card, "every": every, "points": points, "steps": ended, "tokens": tokens, "last": last}


@dataclass(frozen=True)
class Step:
    """A row of a training log; `tokens` seen so far, `loss` None where the step had no target or was left out."""

    step: int
    tokens: int
    loss: float | None


def read_losses(path: Path) -> list[Step]:
    """Read every row of a training log.

    Raises DataError with every field that is not what it should be, by line and column (of one log TOLD at most): a
    loss is a finite number or nothing.
    """
    problems: list[Problem] = []
    steps = []
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    try:
        if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
            raise DataError(Problem(f"no training log: it has no column {', '.join(missing)}; {CURE}", str(path), 1))
        for row in reader:
            fields = [_read_field(path, reader.line_num, name, row[name], problems) for name in _COLUMNS]
            steps.append(Step(int(fields[0] or 0), int(fields[1] or 0), fields[2]))
    except csv.Error as error:
        # it counts the lines before
        problems.append(Problem(f"cannot be read as CSV ({error}); {CURE}", str(path), reader.line_num + 1))
    if len(problems) > TOLD:
        more = Problem(f"and {len(problems) - TOLD} more fields like these", str(path))
        problems = [*problems[:TOLD], more]
    if problems:
        raise DataError(problems)
    return steps


def _read_text(path: Path) -> str:
    """Return a log's text; raises DataError with the line of a byte that is no UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"expected UTF-8, got byte 0x{content[error.start]:02x}; {CURE}"
        raise DataError(Problem(message, str(path), line)) from error


def _read_field(path: Path, line: int, column: str, text: str | None, problems: list[Problem]) -> float | None:
    """Read a loss, which may be empty, or a count; what is neither is noted."""
    is_loss = column == "loss"
    if is_loss and text == "":
        return None
    try:
        value = float(text or "") if is_loss else int(text or "")
        if math.isfinite(value):
            return value
    except (ValueError, OverflowError):
        pass  # told below, with those that are not finite
    wanted = "a finite number, or nothing where a step had no loss" if is_loss else "a whole number"
    got = "nothing" if not text else repr(text)
    problems.append(Problem(f"expected {wanted}, got {got}; {CURE}", str(path), line, column))
    return None


def thin(losses: Sequence[tuple[int, float | None]]) -> tuple[int, list[list[float]]]:
    """Return how many rows a point stands for, and the points: the last step of each stretch, the mean of its losses.

    A stretch without any loss has no point.
    """
    every = max(1, -(-len(losses) // POINTS))
    points = []
    for start in range(0, len(losses), every):
        stretch = losses[start : start + every]
        known = [loss for _, loss in stretch if loss is not None]
        if known:
            points.append([stretch[-1][0], round(sum(known) / len(known), 5)])
    return every, points
