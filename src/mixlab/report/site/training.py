"""Training curves of a study for its page: few enough points to be drawn, each the mean of what it stands for."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.problems import DataError, Problem

POINTS = 240
"""Points of a curve at most."""


@dataclass(frozen=True)
class TrainedRun:
    """One run with its log, or why that is not here. `purpose`: pretrain, ipt or sft."""

    key: str
    purpose: str
    label: str
    log: Path | None
    missing: str = ""


def build_curves(runs: Iterable[TrainedRun]) -> list[dict[str, Any]]:
    """Read each run's loss; `every`: steps that a point is the mean of."""
    return [_build_curve(run) for run in runs]


def _build_curve(run: TrainedRun) -> dict[str, Any]:
    card: dict[str, Any] = {"key": run.key, "purpose": run.purpose, "label": run.label}
    if run.log is None:
        return {**card, "missing": run.missing}
    losses = read_losses(run.log)
    every, points = thin(losses)
    last = next((loss for _, loss in reversed(losses) if loss is not None), None)
    steps, tokens = (losses[-1][0], _read_tokens(run.log)) if losses else (0, 0)
    return {**card, "every": every, "points": points, "steps": steps, "tokens": tokens, "last": last}


def read_losses(path: Path) -> list[tuple[int, float | None]]:
    """Read step and loss of every row; None where a step had no target or was left out.

    Raises DataError naming the line that is none of a training log.
    """
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                rows.append((int(row["step"]), float(row["loss"]) if row["loss"] else None))
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(Problem(f"no row of a training log ({error!r})", str(path), number)) from None
    return rows


def _read_tokens(path: Path) -> int:
    with path.open(newline="", encoding="utf-8") as file:
        return int(list(csv.DictReader(file))[-1]["tokens"])


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
