"""The engine of one process: the model as it is, on the CPU or one GPU, and our own optimizers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixlab.config.training import TrainSettings
from mixlab.training.engines.engine import Alone, NamedTensors, evaluating
from mixlab.training.loading.batches import MicroBatch
from mixlab.training.models.in_turn import InTurn
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.weights import fill_weights, trained_weights
from mixlab.training.optimization.optimizers import OptimizerSet


class PlainEngine(Alone):
    """Every number of the model in this process; float32 weights, computed under autocast when dtype is bfloat16."""

    def __init__(self, model: CausalModel, settings: TrainSettings, device: torch.device) -> None:
        self.device = device
        self.model = model.to(device)
        self._computed: nn.Module = self.model
        self._weights: NamedTensors = trained_weights(model)
        self._trained = list(self._weights.values())
        self.optimizers = OptimizerSet(settings.optimizer, self._weights)
        self.rate = self.optimizers.rate
        self._clip = settings.gradient_clip
        self._bfloat16 = settings.dtype == "bfloat16"

    def accumulate(self, micro: MicroBatch, targets: int, is_last: bool) -> Tensor:
        """Add the gradient of a micro-batch's part of the mean over `targets`; returns that part of the loss."""
        if not len(micro.rows_N):
            return torch.zeros((), device=self.device)
        return self._add_gradient(micro.to(self.device), targets, 1)

    def _add_gradient(self, micro: MicroBatch, targets: int, ranks: int) -> Tensor:
        loss = self._sum_losses(self._computed, micro) / targets
        # What follows divides by the number of ranks again: gradients are averaged over them.
        (loss if ranks == 1 else loss * ranks).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _sum_losses(self, model: nn.Module, micro: MicroBatch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            logits_NV = model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
        return F.cross_entropy(logits_NV.float(), micro.targets_N, reduction="sum")

    def evaluate(self, micro: MicroBatch) -> float:
        """Sum of the losses of a micro-batch's targets, without dropout."""
        if not len(micro.rows_N):
            return 0.0
        with evaluating(self.model):
            return float(self._sum_losses(self.model, micro.to(self.device)))

    def step(self, ratio: float) -> float:
        """Clip, move the weights unless the norm is not finite, forget the gradients; returns the norm."""
        if self._clip is not None:
            norm = float(torch.nn.utils.clip_grad_norm_(self._trained, self._clip))
        else:
            norm = float(torch.nn.utils.get_total_norm([one.grad for one in self._trained if one.grad is not None]))
        if math.isfinite(norm):
            self.optimizers.step(ratio)
        return norm

    def weights(self, names: Sequence[str]) -> InTurn:
        """The weights of `names`, not copies where they lie on the CPU."""
        return _take_to_cpu({name: self._weights[name] for name in names})

    def states(self, names: Sequence[str]) -> InTurn:
        """The optimizer's tensors of the weights of `names`, not copies where they lie on the CPU."""
        wanted = set(names)
        state = self.optimizers.state()
        return _take_to_cpu({name: one for name, one in state.items() if name.rpartition("/")[0] in wanted})

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
        """Take over weights and state; raises DataError when they are of another model or optimizer."""
        fill_weights(self._weights, weights, path, lambda _: False)
        self.optimizers.load_state(state, path)

    def sizes(self) -> dict[str, int]:
        """Numbers in each weight."""
        return {name: weight.numel() for name, weight in self._weights.items()}


def _take_to_cpu(tensors: NamedTensors) -> InTurn:
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return InTurn(shapes, ((name, tensor.detach().cpu()) for name, tensor in tensors.items()))
