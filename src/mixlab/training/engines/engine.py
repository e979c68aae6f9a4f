"""What the loop and the checkpoints ask of whoever computes the steps."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from mixlab.training.loading.batches import MicroBatch
from mixlab.training.models.in_turn import InTurn

NamedTensors = dict[str, Tensor]


@dataclass(frozen=True)
class Place:
    """This process among those of its job; ranks count from 0, `local_rank` is its number on its own machine."""

    rank: int = 0
    ranks: int = 1
    local_rank: int = 0


class Crew(Protocol):
    """The processes of one job, as one of them sees them. Every rank must make the same calls in the same order."""

    rank: int
    ranks: int

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over the ranks, in float64."""

    def share(self, text: str) -> list[str]:
        """What every rank gave, in order of rank; none goes on before all have come."""


class Engine(Crew, Protocol):
    """A model and its optimizer, on one rank or spread over several; calls as for a crew.

    Weights, those that are trained, and state are float32 tensors by name, whole, wherever they lie: the form that any
    engine gives and takes.
    State is named `<weight>/<tensor>` as the optimizers of one process name it.
    """

    device: torch.device
    rate: float

    def accumulate(self, micro: MicroBatch, targets: int, is_last: bool) -> Tensor:
        """Add the gradient of a micro-batch's part of the mean over `targets`; returns that part of the loss."""

    def evaluate(self, micro: MicroBatch) -> float:
        """Sum of the losses of a micro-batch's targets, without dropout; nothing moves. Every rank must call it."""

    def step(self, ratio: float) -> float:
        """Clip, move the weights at `ratio` times the peak rate, forget the gradients; return the norm before clipping.

        Weights do not move, or are not to be used, when the norm is not finite.
        """

    def weights(self, names: Sequence[str]) -> InTurn:
        """The weights of `names`, which are put together as they are taken.

        Ranks may ask for different names, and every rank must take all that it asked for.
        """

    def states(self, names: Sequence[str]) -> InTurn:
        """The optimizer's tensors that belong to the weights of `names`; as for the weights."""

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
        """Take over weights and state; raises DataError, naming what differs, when they are another model's."""

    def sizes(self) -> dict[str, int]:
        """Numbers in each weight, by name, in the same order on every rank."""


class Alone:
    """The crew of one process."""

    rank, ranks = 0, 1

    def sum(self, values: Sequence[float]) -> list[float]:
        """The values themselves."""
        return list(values)

    def share(self, text: str) -> list[str]:
        """The text itself."""
        return [text]


def assign_names(sizes: Mapping[str, int], ranks: int) -> list[list[str]]:
    """Deal names out so that every rank has about as many numbers; deterministic, largest first."""
    loads = [(0, rank) for rank in range(ranks)]
    parts: list[list[str]] = [[] for _ in range(ranks)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        load, rank = heapq.heappop(loads)
        parts[rank].append(name)
        heapq.heappush(loads, (load + sizes[name], rank))
    return [sorted(part) for part in parts]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Compute without dropout and without gradients."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
