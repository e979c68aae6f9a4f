"""The processes of one job, joined by torch.distributed; the words they exchange go over the CPU."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from mixlab.config.problems import DataError
from mixlab.training.engines.engine import Place

logger = logging.getLogger(__name__)

# A rank may wait for another that writes or verifies a state of many gigabytes.
_PATIENCE = timedelta(hours=2)


class Group:
    """The joined processes; the word between them is small and goes over gloo beside NCCL."""

    def __init__(self, place: Place, words: Any) -> None:
        self.rank, self.ranks = place.rank, place.ranks
        self._words = words

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over the ranks, in float64."""
        total = torch.tensor(list(values), dtype=torch.float64)
        dist.all_reduce(total, group=self._words)
        return [float(value) for value in total.tolist()]

    def share(self, text: str) -> list[str]:
        """What every rank gave, in order of rank."""
        data = text.encode()
        sizes = self.sum([len(data) if rank == self.rank else 0 for rank in range(self.ranks)])
        own = torch.zeros(int(max(sizes)), dtype=torch.uint8)
        own[: len(data)] = torch.tensor(list(data), dtype=torch.uint8)
        found = [torch.empty_like(own) for _ in range(self.ranks)]
        if len(own):
            dist.all_gather(found, own, group=self._words)
        return [bytes(part[: int(size)].tolist()).decode() for part, size in zip(found, sizes, strict=True)]


@contextmanager
def join_group(place: Place, device: torch.device) -> Iterator[Group]:
    """Join the processes of the job by torch's environment variables, and see that they hear each other.

    Raises DataError when fewer or more answer than were started: each would train alone and say nothing.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, rank=place.rank, world_size=place.ranks, timeout=_PATIENCE)
    try:
        words = dist.new_group(backend="gloo", timeout=_PATIENCE) if backend == "nccl" else dist.group.WORLD
        group = Group(place, words)
        check_size(group, place, device)
        yield group
    finally:
        dist.destroy_process_group()


def check_size(group: Group, place: Place, device: torch.device) -> None:
    """Count the ranks by a sum over them, through the words and through the device's own way."""
    ones = torch.ones(1, device=device)
    dist.all_reduce(ones)
    heard, computing = round(group.sum([1.0])[0]), round(float(ones))
    if not heard == computing == place.ranks == dist.get_world_size():
        raise DataError(
            f"training: {place.ranks} processes were started, but {heard} answer ({computing} on {device.type}); "
            "every one of them would train alone. Start them by machine.stages.STAGE.launch, or by torchrun with "
            "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT alike on all nodes (not by `accelerate launch --cpu`)"
        )
    logger.info("rank %d of %d on %s", place.rank, place.ranks, device)
