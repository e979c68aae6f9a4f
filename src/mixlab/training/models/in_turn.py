"""Tensors that come one after another, so that no whole model is in memory, and the files they are written to."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mixlab.training.tensors.files import TensorForm
from mixlab.training.tensors.placing import PlacedFile


@dataclass(frozen=True)
class InTurn:
    """Float32 tensors on the CPU that can be taken once, in any order; their names and shapes are known before."""

    shapes: Mapping[str, Sequence[int]]
    tensors: Iterator[tuple[str, Tensor]]

    def forms(self) -> dict[str, TensorForm]:
        """How they are stored."""
        return {name: TensorForm("F32", tuple(shape)) for name, shape in self.shapes.items()}


def take_in_turn(tensors: Mapping[str, Tensor]) -> InTurn:
    """Give tensors that are in memory one after another."""
    return InTurn({name: tensor.shape for name, tensor in tensors.items()}, iter(tensors.items()))


@contextmanager
def to_the_end(given: InTurn) -> Iterator[InTurn]:
    """Take what is left of them when the context ends, by an error too: the other ranks wait for each."""
    try:
        yield given
    finally:
        for _ in given.tensors:
            pass


def write_in_turn(given: InTurn, path: Path) -> None:
    """Write them into one safetensors file; raises OSError naming it for a full disk and the like."""
    with PlacedFile(path, given.forms()) as file:
        put_in_turn(given, dict.fromkeys(given.shapes, file))


def put_in_turn(given: InTurn, files: Mapping[str, PlacedFile]) -> None:
    """Put each into its own of `files`."""
    for name, tensor in given.tensors:
        files[name].put(name, tensor.detach().contiguous().numpy())
        # gone before the next one is put together
        del tensor
