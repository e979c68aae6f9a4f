"""The engine of several processes that share optimizer state, gradients and weights (DeepSpeed, through accelerate).

Written for and tested with DeepSpeed 0.19: no newer one is taken by constraints.txt unseen.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import DataError, Problem
from mixlab.config.training import AdamWSettings, TrainSettings
from mixlab.training.engines.engine import NamedTensors, Place, evaluating
from mixlab.training.engines.group import Group
from mixlab.training.engines.zero_config import build_config
from mixlab.training.loading.batches import MicroBatch
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.weights import trained_weights

_MEANS = ("exp_avg", "exp_avg_sq")


class ZeroEngine:
    """torch's AdamW over DeepSpeed's flat partitions; master weights and state are float32."""

    def __init__(
        self,
        model: CausalModel,
        settings: TrainSettings,
        device: torch.device,
        place: Place,
        group: Group,
        launch: LaunchSettings,
        overlay: Mapping[str, Any],
    ) -> None:
        if not isinstance(settings.optimizer, AdamWSettings):
            raise DataError(
                f"optimizer: {settings.optimizer.name} needs whole matrices, which {launch.parallelism} spreads over "
                "the ranks; set launch.parallelism: ddp, or optimizer: {name: adamw, ...}"
            )
        self.rank, self.ranks, self.device = place.rank, place.ranks, device
        self.sum, self.share = group.sum, group.share
        self.rate = settings.optimizer.learning_rate
        self._stage = int(launch.parallelism.removeprefix("zero"))
        masters = {name: weight.detach().clone() for name, weight in trained_weights(model).items()}
        self._shapes = {name: weight.shape for name, weight in masters.items()}
        buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
        optimizer = build_adamw(trained_weights(model), settings.optimizer)
        self._engine = _initialize(model, optimizer, device, build_config(launch, settings, overlay))
        self._zero: Any = self._engine.optimizer
        self._weights = trained_weights(self._engine.module)
        restore_buffers(self._engine.module, buffers, device)
        self._begin_state()
        # The masters are cut from weights already rounded to bfloat16 unless they are given again.
        self._fill(masters, {})

    def accumulate(self, micro: MicroBatch, targets: int, is_last: bool) -> Tensor:
        """Add a gradient; even a micro-batch without a target is computed, since the other ranks wait for it."""
        micro = micro.to(self.device)
        self._engine.set_gradient_accumulation_boundary(is_boundary=is_last)
        logits_NV = self._engine(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
        loss = F.cross_entropy(logits_NV.float(), micro.targets_N, reduction="sum") / targets
        # DeepSpeed averages the gradients over the ranks.
        self._engine.backward(loss * self.ranks, scale_wrt_gas=False)
        return loss.detach()

    def evaluate(self, micro: MicroBatch) -> float:
        """Sum of the losses of a micro-batch's targets, without dropout; the other ranks take part (stage 3)."""
        micro = micro.to(self.device)
        with evaluating(self._engine.module):
            logits_NV = self._engine(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
        return float(F.cross_entropy(logits_NV.float(), micro.targets_N, reduction="sum"))

    def step(self, ratio: float) -> float:
        """Clip, move the weights, forget the gradients; DeepSpeed does all three and tells the norm before."""
        for options in self._inner.param_groups:
            options["lr"] = self.rate * ratio
        self._engine.step()
        return float(self._engine.get_global_grad_norm())

    def state_names(self) -> dict[str, list[str]]:
        """Names of the optimizer's tensors by weight, as those of one process."""
        return {name: [f"{name}/{part}" for part in (*_MEANS, "step")] for name in self._weights}

    def read(self, names: Sequence[str]) -> tuple[NamedTensors, NamedTensors]:
        """Weights and optimizer state of `names` on the CPU; one weight at a time is put together."""
        from deepspeed.utils import safe_get_full_optimizer_state

        state: NamedTensors = {}
        for part in _MEANS:
            found = self._collect(names, partial(safe_get_full_optimizer_state, optim_state_key=part))
            state |= {f"{name}/{part}": tensor for name, tensor in found.items()}
        state |= {f"{name}/step": torch.tensor(float(self._steps())) for name in names}
        return self.weights(names), state

    def weights(self, names: Sequence[str]) -> NamedTensors:
        """The master weights of `names` on the CPU."""
        from deepspeed.utils import safe_get_full_fp32_param

        return self._collect(names, safe_get_full_fp32_param)

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
        """Take over weights and state; raises DataError when they are of another model or optimizer."""
        wanted = {name for names in self.state_names().values() for name in names}
        differ = (weights.keys() ^ self._shapes.keys()) | (state.keys() ^ wanted)
        differ |= {name for name in self._shapes.keys() & weights.keys() if weights[name].shape != self._shapes[name]}
        if differ:
            shown = ", ".join(sorted(differ)[:5])
            raise DataError(Problem(f"is the state of another model or optimizer ({shown})", file=str(path)))
        steps = {float(state[f"{name}/step"]) for name in self._shapes}
        if len(steps) != 1:
            raise DataError(
                Problem("its weights have taken different numbers of steps, which ZeRO cannot resume", file=str(path))
            )
        self._fill(weights, state)
        for parts in self._inner.state.values():
            parts["step"].fill_(steps.copy().pop())

    def sizes(self) -> dict[str, int]:
        """Numbers in each weight."""
        return {name: shape.numel() for name, shape in self._shapes.items()}

    @property
    def _inner(self) -> torch.optim.AdamW:
        inner: torch.optim.AdamW = self._zero.optimizer
        return inner

    def _steps(self) -> int:
        return int(next(iter(self._inner.state.values()))["step"])

    def _collect(self, names: Sequence[str], get: Callable[[Tensor], Tensor]) -> NamedTensors:
        """Put each weight together on all ranks and keep those asked for here."""
        wanted, kept = set(names), {}
        for name, weight in self._weights.items():
            whole = get(weight)
            if name in wanted:
                kept[name] = whole.detach().to("cpu", torch.float32, copy=True).view(self._shapes[name])
        return kept

    def _begin_state(self) -> None:
        """Give every partition its state before the first step, so that it can be read and written at any time."""
        # Stage 3, stages 1 and 2, and stage 1 in bfloat16 have each an optimizer of DeepSpeed's to themselves.
        names = ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition")
        for flat in next(getattr(self._zero, name) for name in names if hasattr(self._zero, name)):
            self._inner.state[flat] = {
                "step": torch.zeros((), device=flat.device),
                **{part: torch.zeros_like(flat) for part in _MEANS},
            }
        if self._stage != 3:
            self._zero._lazy_init_hp_params_optimizer_state()

    def _fill(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        fill = self._fill_third if self._stage == 3 else self._fill_flat
        for name, weight in self._weights.items():
            fill(weight, weights[name], {part: state[f"{name}/{part}"] for part in _MEANS} if state else {})
        if self._stage == 3:
            self._zero.checkpoint_event_prologue()
            for number in range(len(self._zero.fp16_groups)):
                self._zero._reassign_or_swap_out_partitioned_parameters(number)
            self._zero.checkpoint_event_epilogue()
        else:
            self._zero.update_lp_params()

    def _fill_flat(self, weight: Tensor, master: Tensor, parts: Mapping[str, Tensor]) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        safe_set_full_fp32_param(weight, master)
        for part, value in parts.items():
            safe_set_full_optimizer_state(weight, value, part)

    def _fill_third(self, weight: Any, master: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Stage 3 pads each weight to a multiple of the ranks and cuts it into as many pieces."""
        from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

        length = weight.ds_tensor.numel()

        def cut(whole: Tensor) -> Tensor:
            flat = whole.detach().flatten()
            padded = F.pad(flat, (0, length * self.ranks - flat.numel()))
            return padded[length * self.rank : length * (self.rank + 1)]

        safe_set_local_fp32_param(weight, cut(master))
        for part, value in parts.items():
            safe_set_local_optimizer_state(weight, cut(value), part)


def build_adamw(weights: NamedTensors, settings: AdamWSettings) -> torch.optim.AdamW:
    """torch's AdamW with decay on matrices alone; the rate is set anew in every step."""
    matrices = [weight for weight in weights.values() if weight.dim() >= 2]
    others = [weight for weight in weights.values() if weight.dim() < 2]
    groups = [(matrices, settings.weight_decay), (others, 0.0)]
    return torch.optim.AdamW(
        [{"params": members, "weight_decay": decay} for members, decay in groups if members],
        lr=0.0,
        betas=settings.betas,
        eps=settings.eps,
        fused=True,
    )


def restore_buffers(module: torch.nn.Module, buffers: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what casting a model to bfloat16 rounded: rotary frequencies need float32."""
    for name, buffer in buffers.items():
        owner, _, last = name.rpartition(".")
        module.get_submodule(owner)._buffers[last] = buffer.to(device)


def _initialize(model: CausalModel, optimizer: torch.optim.AdamW, device: torch.device, config: dict[str, Any]) -> Any:
    # accelerate learns from its environment alone that the processes it meets are DeepSpeed's.
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    import deepspeed
    from accelerate import Accelerator, DeepSpeedPlugin, InitProcessGroupKwargs

    # Else DeepSpeed compiles a kernel for sums in shared memory: a minute, and a compiler, for nothing needed here.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    backend = InitProcessGroupKwargs(backend="nccl" if device.type == "cuda" else "gloo")
    accelerator = Accelerator(deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=config), kwargs_handlers=[backend])
    engine, _ = accelerator.prepare(model, optimizer)
    return engine
