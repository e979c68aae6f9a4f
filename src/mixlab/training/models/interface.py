"""What training asks of any model.

Shape letters: B windows, T tokens, N target tokens of the batch, V vocabulary.
"""

from pathlib import Path

from torch import Tensor, nn

from mixlab.config.kernels import KernelSettings
from mixlab.training.models.adapter import Adapter
from mixlab.training.models.in_turn import InTurn
from mixlab.training.models.shape import ModelShape


class CausalModel(nn.Module):
    """A causal language model over documents packed into windows."""

    shape: ModelShape
    adapter: Adapter | None = None

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor, positions_BT: Tensor, rows_N: Tensor) -> Tensor:
        """Logits [N, V] of the tokens after the flat places `rows_N` (values b * T + t).

        A token sees the earlier tokens that carry its own number in `documents_BT`; `positions_BT` counts from 0
        in each document. Only the places asked for pass the head: with short answers that is most of the cost.
        """
        raise NotImplementedError

    def named_weights(self) -> dict[str, Tensor]:
        """The weights by Hugging Face's names; a tied head appears once, as the embedding."""
        return dict(self.named_parameters())

    def use_kernels(self, kernels: KernelSettings) -> None:
        """Compute as the machine settings say from now on."""
        raise NotImplementedError

    def write(self, folder: Path, weights: InTurn) -> None:
        """Write config.json and safetensors (float32) of these weights into an existing folder."""
        raise NotImplementedError
