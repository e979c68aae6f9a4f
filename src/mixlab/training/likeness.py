"""How far apart two training runs of one spec lie: their losses, and their weights."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixlab.training.tensors.files import Tensors, find_tensors
from mixlab.training.tensors.reading import FloatReader
from mixlab.training.watching.log import LOG_FILE

_STRETCH = 1 << 22
"""Numbers of a tensor that are held in memory at a time."""


@dataclass(frozen=True)
class RunDifference:
    """Relative differences of two runs; infinite where one has steps, tensors or numbers that the other has not."""

    final_loss: float
    step_loss: float
    weights: float


def compare_runs(old: Path, new: Path) -> RunDifference:
    """Compare the logs and all models of two runs; raises DataError for weights that cannot be read.

    Losses are relative to the old ones. A weight is relative to the largest old one of its tensor.
    """
    before, after = (_read_losses(folder / LOG_FILE) for folder in (old, new))
    tail = max(1, len(before) // 10)
    final = _relate(_mean(before[-tail:]), _mean(after[-tail:]))
    if len(before) != len(after):
        return RunDifference(final, math.inf, _compare_models(old, new))
    step = max((_relate(was, now) for was, now in zip(before, after, strict=True)), default=0.0)
    return RunDifference(final, step, _compare_models(old, new))


def _read_losses(path: Path) -> list[float | None]:
    with path.open(encoding="utf-8", newline="") as file:
        return [float(row["loss"]) if row["loss"] else None for row in csv.DictReader(file)]


def _mean(losses: list[float | None]) -> float | None:
    known = [loss for loss in losses if loss is not None]
    return sum(known) / len(known) if known else None


def _relate(old: float | None, new: float | None) -> float:
    if old is None or new is None:
        return 0.0 if old is new else math.inf
    if old == new:
        return 0.0
    return abs(new - old) / abs(old) if old and math.isfinite(old) and math.isfinite(new) else math.inf


def _compare_models(old: Path, new: Path) -> float:
    models = [{path.parent.relative_to(folder) for path in folder.rglob("*.safetensors")} for folder in (old, new)]
    if models[0] != models[1]:
        return math.inf
    return max((_compare_tensors(find_tensors(old / one), find_tensors(new / one)) for one in models[0]), default=0.0)


def _compare_tensors(old: Tensors, new: Tensors) -> float:
    if {name: one.form for name, one in old.items()} != {name: one.form for name, one in new.items()}:
        return math.inf
    worst = 0.0
    with FloatReader() as reader:
        for name in old:
            largest = furthest = 0.0
            for was, now in _read_stretches(reader, old, new, name):
                if not (np.isfinite(was).all() and np.isfinite(now).all()):
                    return 0.0 if np.array_equal(was, now, equal_nan=True) else math.inf
                largest = max(largest, float(np.abs(was).max()))
                furthest = max(furthest, float(np.abs(was - now).max()))
            if furthest:
                worst = max(worst, furthest / largest if largest else math.inf)
    return worst


def _read_stretches(
    reader: FloatReader, old: Tensors, new: Tensors, name: str
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    elements = old[name].form.elements
    for first in range(0, elements, _STRETCH):
        size = min(_STRETCH, elements - first)
        was, now = np.empty(size, np.float32), np.empty(size, np.float32)
        reader.read(old[name], first, was)
        reader.read(new[name], first, now)
        yield was, now
