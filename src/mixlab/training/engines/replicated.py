"""The engine of several processes that hold the same weights (DDP, through accelerate)."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from mixlab.config.training import TrainSettings
from mixlab.training.engines.engine import Place
from mixlab.training.engines.group import Group
from mixlab.training.engines.plain import PlainEngine
from mixlab.training.loading.batches import MicroBatch
from mixlab.training.models.interface import CausalModel


class ReplicatedEngine(PlainEngine):
    """Gradients are averaged over the ranks while the last micro-batch of a step is computed backward."""

    def __init__(
        self, model: CausalModel, settings: TrainSettings, device: torch.device, place: Place, group: Group
    ) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        super().__init__(model, settings, device)
        self.rank, self.ranks = place.rank, place.ranks
        self._group = group
        options = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=False)
        accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[options])
        self._computed = accelerator.prepare_model(self.model)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over the ranks."""
        return self._group.sum(values)

    def share(self, text: str) -> list[str]:
        """What every rank gave, in order of rank."""
        return self._group.share(text)

    def accumulate(self, micro: MicroBatch, targets: int, is_last: bool) -> Tensor:
        """Add a gradient; even a micro-batch without a target is computed, since the other ranks wait for it."""
        with nullcontext() if is_last else self._computed.no_sync():  # type: ignore[operator]
            return self._add_gradient(micro.to(self.device), targets, self.ranks)
