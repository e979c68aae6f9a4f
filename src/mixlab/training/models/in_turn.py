"""Tensors that come one after another, so that no whole model is in memory, and the files they are written to."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mixlab.training.tensors.files import TensorForm
from mixlab.training.tensors.placing import PlacedFile
from mixlab.training.tensors.writing import count_bytes

logger = logging.getLogger(__name__)
TOLD_BYTES = 1_000_000_000
"""From so many on, a line in the log tells that they are being written, and one how long it took."""


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


@contextmanager
def told_when_long(given: InTurn, folder: Path) -> Iterator[None]:
    """Tell in the log of the writing of a large model."""
    total_bytes, begin = sum(map(count_bytes, given.forms().values())), time.monotonic()
    if is_long := total_bytes >= TOLD_BYTES:
        logger.info("%s: writing %.1f GB of weights", folder.name, total_bytes / 1e9)
    yield
    if is_long:
        seconds = time.monotonic() - begin
        logger.info("%s: %.1f GB of weights written in %.0f s", folder.name, total_bytes / 1e9, seconds)


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
