"""How far apart two training runs of one spec lie: their losses, and their weights."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixlab.training.tensors.files import StoredTensor, Tensors, find_tensors
from mixlab.training.tensors.reading import FloatReader
from mixlab.training.watching.log import LOG_FILE

_STRETCH = 1 << 22
"""Numbers of a tensor that are held in memory at a time."""


@dataclass(frozen=True)
class RunDifference:
    """Relative differences of two runs; infinite where one has steps, tensors or numbers that the other has not."""

    final_loss: float
    step_loss: float
    update: float


def compare_runs(old: Path, new: Path, start: Path | None) -> RunDifference:
    """Compare the logs and all models of two runs; raises DataError for weights that cannot be read.

    Losses are relative to the old ones. Of the weights the distance between both runs, in all tensors together, is
    relative to the old update: the distance that the old run moved away from `start`, the model that both began with.
    A tensor that `start` has not, or a run without one, began at zero.
    """
    before, after = (_read_losses(folder / LOG_FILE) for folder in (old, new))
    tail = max(1, len(before) // 10)
    final = _relate(_mean(before[-tail:]), _mean(after[-tail:]))
    if len(before) != len(after):
        return RunDifference(final, math.inf, _compare_models(old, new, start))
    step = max((_relate(was, now) for was, now in zip(before, after, strict=True)), default=0.0)
    return RunDifference(final, step, _compare_models(old, new, start))


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


def _compare_models(old: Path, new: Path, start: Path | None) -> float:
    models = [{path.parent.relative_to(folder) for path in folder.rglob("*.safetensors")} for folder in (old, new)]
    if models[0] != models[1]:
        return math.inf
    began = find_tensors(start) if start is not None else {}
    pairs = ((find_tensors(old / one), find_tensors(new / one)) for one in models[0])
    return max((_compare_tensors(was, now, began) for was, now in pairs), default=0.0)


def _compare_tensors(old: Tensors, new: Tensors, start: Tensors) -> float:
    if {name: one.form for name, one in old.items()} != {name: one.form for name, one in new.items()}:
        return math.inf
    apart = moved = 0.0
    with FloatReader() as reader:
        for name in old:
            began = start.get(name)
            is_known = began is not None and began.form.elements == old[name].form.elements
            tensors = [old[name], new[name], *([began] if began is not None and is_known else [])]
            for was, now, *first in _read_stretches(reader, tensors):
                if not (np.isfinite(was).all() and np.isfinite(now).all()):
                    if np.array_equal(was, now, equal_nan=True):
                        continue
                    return math.inf
                apart += _square(was - now)
                moved += _square(was - first[0] if first else was)
    if not apart:
        return 0.0
    return math.sqrt(apart / moved) if moved else math.inf


def _square(numbers: NDArray[np.float32]) -> float:
    return float(np.square(numbers, dtype=np.float64).sum())


def _read_stretches(reader: FloatReader, tensors: Sequence[StoredTensor]) -> Iterator[list[NDArray[np.float32]]]:
    elements = tensors[0].form.elements
    for first in range(0, elements, _STRETCH):
        read = []
        for tensor in tensors:
            numbers = np.empty(min(_STRETCH, elements - first), np.float32)
            reader.read(tensor, first, numbers)
            read.append(numbers)
        yield read
