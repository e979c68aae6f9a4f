"""The loss on held-out windows during training, by language and category: validation_loss.csv of the artifact."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.config.held_out import ValidationSettings
from mixlab.config.problems import DataError, Problem
from mixlab.training.loading.batches import MicroBatch, Windows

VALIDATION_FILE = "validation_loss.csv"
_HEADER = "step,language,category,tokens,loss"

LoadWindows = Callable[[Windows, Sequence[int]], Sequence[MicroBatch]]
"""This rank's share of some windows, as micro-batches; every rank has as many."""
SumLoss = Callable[[MicroBatch], float]
SumOverRanks = Callable[[Sequence[float]], list[float]]


@dataclass(frozen=True)
class HeldOut:
    """Held-out data of a run: what is asked, and the windows of each source in the order of its cells."""

    settings: ValidationSettings
    sources: Sequence[Windows]


@dataclass(frozen=True)
class CellLoss:
    """Mean loss of one language and category over its `tokens` (those that training would learn)."""

    language: str
    category: str
    tokens: int
    loss: float


class Validation:
    """Validates a model every so many steps, always on the same windows.

    Its rows lie in the resume folder from the moment they are known. A restarted run drops those of steps it does
    again, and validates the model it goes on from where that was still to be done. Raises DataError when a source has
    no window or no target.
    """

    def __init__(self, held_out: HeldOut, steps: int, resume: Path, *, is_first: bool = True) -> None:
        self._settings = held_out.settings
        self._sources = held_out.sources
        self._steps = steps
        self._is_first = is_first
        self._path = resume / VALIDATION_FILE
        self._rows: list[str] = []
        for cell, source in zip(self._settings.cells, self._sources, strict=True):
            if not len(source):
                raise DataError(f"validation: a source of {cell.language} {cell.category} has no windows; name another")

    def is_due(self, step: int) -> bool:
        """Whether a validation after `step` is still to be done; 0 is the model training starts from."""
        is_wanted = step % self._settings.every_steps == 0 or step == self._steps
        return is_wanted and step not in self._list_steps()

    def resume(self, step: int) -> None:
        """Take over the rows up to `step`, after which the run goes on; raises DataError when earlier ones lack."""
        found = self._path.read_text(encoding="utf-8").splitlines()[1:] if self._path.exists() else []
        # a run that begins anew validates its first model again; what is there may be another run's
        self._rows = [row for row in found if step and int(row.partition(",")[0]) <= step]
        if missing := sorted(set(range(0, step, self._settings.every_steps)) - self._list_steps()):
            message = f"lacks the validation after step {missing[0]}, though there is a state after step {step}"
            raise DataError(Problem(f"{message}; remove {self._path.parent} to begin anew", file=str(self._path)))

    def measure(self, step: int, load: LoadWindows, sum_loss: SumLoss, sum_ranks: SumOverRanks) -> list[CellLoss]:
        """Compute and keep the losses after `step`, in the order of language and category."""
        sums: dict[tuple[str, str], float] = defaultdict(float)
        tokens: dict[tuple[str, str], int] = defaultdict(int)
        for cell, source in zip(self._settings.cells, self._sources, strict=True):
            name = (cell.language, cell.category)
            for micro in load(source, _spread(len(source), self._settings.windows)):
                sums[name] += sum_loss(micro)
                tokens[name] += len(micro.rows_N)
        for name in sorted(tokens):
            sums[name], counted = sum_ranks([sums[name], float(tokens[name])])
            tokens[name] = int(counted)
        for name in sorted(tokens):
            if not tokens[name]:
                raise DataError(
                    f"validation: {' '.join(name)}: none of its windows has a token to learn; "
                    "raise validation.windows, or name another source"
                )
        found = [CellLoss(*name, tokens[name], sums[name] / tokens[name]) for name in sorted(tokens)]
        self._rows += [f"{step},{one.language},{one.category},{one.tokens},{one.loss!r}" for one in found]
        if self._is_first:
            self._keep()
        return found

    def _list_steps(self) -> set[int]:
        return {int(row.partition(",")[0]) for row in self._rows}

    def write(self, path: Path) -> None:
        """Write header and rows."""
        path.write_text("\n".join([_HEADER, *self._rows]) + "\n", encoding="utf-8")

    def _keep(self) -> None:
        partial = self._path.with_name(f".{self._path.name}")
        self.write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(self._path)


def name_cells(losses: Sequence[CellLoss]) -> dict[str, float]:
    """Losses by names like `en/code`."""
    return {f"{one.language}/{one.category}": one.loss for one in losses}


def _spread(windows: int, wanted: int) -> list[int]:
    """Places of at most `wanted` of `windows` windows, evenly spaced."""
    count = min(windows, wanted)
    return [number * windows // count for number in range(count)]
