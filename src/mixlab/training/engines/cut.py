"""Stage 3 of ZeRO cuts a model while it is made: no rank ever holds more of it whole than one weight."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixlab.training.engines.engine import Place
from mixlab.training.models.weights import settle_whole


class Cut:
    """Gives each weight its values in the dtype that is computed in, and cuts it among the ranks at once.

    All ranks must settle the same weights in the same order. Of weights that are rounded by that, `masters` holds this
    rank's piece in float32.
    """

    def __init__(self, config: Mapping[str, Any], place: Place, device: torch.device) -> None:
        deepspeed = import_deepspeed(device)
        self._rank, self._ranks = place.rank, place.ranks
        self._dtype = torch.bfloat16 if "bf16" in config else torch.float32
        # An empty module: DeepSpeed's own linear layer, which keeps no whole weight, comes with one alone.
        self._init = deepspeed.zero.Init(
            module=nn.Module(),
            config_dict_or_path=dict(config),
            dtype=self._dtype,
            # one that a model cut before in this process has left (hpZ): DeepSpeed makes it once only
            zero_param_parallel_group=deepspeed.utils.groups._get_zero_param_intra_parallel_group(),
        )
        self.masters: dict[Tensor, Tensor] = {}

    def __call__(self, weight: Tensor, values: Tensor) -> None:
        """Settle a weight."""
        settle_whole(weight, values.to(self._dtype))
        self._init._convert_to_zero_parameters([weight])
        if weight.requires_grad and self._dtype != torch.float32:
            self.masters[weight] = take_piece(weight, values, self._rank, self._ranks)

    def settle_rest(self, model: nn.Module) -> None:
        """Cut what was opened whole."""
        for weight in model.parameters():
            if not hasattr(weight, "ds_shape"):
                self(weight, weight.detach())


def find_shape(weight: Tensor) -> torch.Size:
    """Shape of the whole weight, cut or not."""
    shape: torch.Size = getattr(weight, "ds_shape", weight.shape)
    return shape


def take_piece(weight: Any, whole: Tensor, rank: int, ranks: int) -> Tensor:
    """A copy of this rank's piece of a tensor of the form of a cut weight, which is padded to a multiple of ranks."""
    length = weight.ds_tensor.numel()
    flat = whole.detach().flatten()[length * rank : length * (rank + 1)]
    return F.pad(flat, (0, length - flat.numel()))


def import_deepspeed(device: torch.device) -> Any:
    """Import DeepSpeed and let it find the ranks that have joined."""
    import deepspeed

    # Else DeepSpeed compiles a kernel for sums in shared memory: a minute, and a compiler, for nothing needed here.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed("nccl" if device.type == "cuda" else "gloo", verbose=False)
    return deepspeed
