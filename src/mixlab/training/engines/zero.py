"""The engine of several processes that share optimizer state, gradients and weights (DeepSpeed, through accelerate).

Written for and tested with DeepSpeed 0.19: no newer one is taken by constraints.txt unseen.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mixlab.config.deepspeed import find_conflicts
from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import DataError, Problem
from mixlab.config.training import AdamWSettings, TrainSettings
from mixlab.training.engines.cut import Cut, find_shape, import_deepspeed, take_piece
from mixlab.training.engines.engine import NamedTensors, Place, evaluating
from mixlab.training.engines.group import Group
from mixlab.training.engines.zero_config import build_config
from mixlab.training.loading.batches import MicroBatch
from mixlab.training.models.in_turn import InTurn
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.weights import trained_weights

_MEANS = ("exp_avg", "exp_avg_sq")
Parts = dict[str | None, Tensor]
"""Of one weight: its master (None) and the means of its gradient, by AdamW's names."""


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
        cut: Cut | None,
    ) -> None:
        if not isinstance(settings.optimizer, AdamWSettings):
            raise DataError("\n".join(find_conflicts(settings, launch)))
        self.rank, self.ranks, self.device = place.rank, place.ranks, device
        self.sum, self.share = group.sum, group.share
        self.rate = settings.optimizer.learning_rate
        self._stage = int(launch.parallelism.removeprefix("zero"))
        if cut is not None:
            cut.settle_rest(model)
        trained = trained_weights(model)
        self._shapes = {name: find_shape(weight) for name, weight in trained.items()}
        masters: NamedTensors = {}
        if settings.dtype == "bfloat16":
            # DeepSpeed makes its masters from weights already rounded, so that they are given again below.
            masters = {name: one.detach() if cut is None else cut.masters[one] for name, one in trained.items()}
        buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
        optimizer = build_adamw(trained, self._shapes, settings.optimizer)
        self._engine = _initialize(model, optimizer, device, build_config(launch, settings, overlay))
        self._zero: Any = self._engine.optimizer
        self._weights = trained_weights(self._engine.module)
        restore_buffers(self._engine.module, buffers, device)
        self._begin_state()
        if masters:
            self._put((name, {None: master}) for name, master in masters.items())

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

    def weights(self, names: Sequence[str]) -> InTurn:
        """The master weights of `names`; one at a time is put together, on every rank."""
        from deepspeed.utils import safe_get_full_fp32_param

        shapes = {name: self._shapes[name] for name in names}
        return InTurn(shapes, self._collect(names, safe_get_full_fp32_param))

    def states(self, names: Sequence[str]) -> InTurn:
        """The optimizer's tensors of `names`, named as those of one process; as for the weights."""
        shapes: dict[str, Sequence[int]] = {}
        for name in names:
            shapes |= {f"{name}/{part}": self._shapes[name] for part in _MEANS} | {f"{name}/step": ()}
        return InTurn(shapes, self._collect_states(names))

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
        """Take over weights and state; raises DataError when they are of another model or optimizer."""
        wanted = {f"{name}/{part}" for name in self._shapes for part in (*_MEANS, "step")}
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
        self._put((name, self._take(name, weights, state)) for name in self._shapes)
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

    def _collect(self, names: Sequence[str], get: Callable[[Tensor], Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Put each weight together on all ranks and give those asked for here."""
        wanted = set(names)
        for name, weight in self._weights.items():
            whole = get(weight)
            if name in wanted:
                whole = whole.detach().to("cpu", torch.float32).view(self._shapes[name])
                yield name, whole
            # gone before the next one is put together
            del whole

    def _collect_states(self, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        from deepspeed.utils import safe_get_full_optimizer_state

        for part in _MEANS:
            for name, tensor in self._collect(names, partial(safe_get_full_optimizer_state, optim_state_key=part)):
                yield f"{name}/{part}", tensor
                del tensor
        for name in names:
            yield f"{name}/step", torch.tensor(float(self._steps()))

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

    def _take(self, name: str, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Parts:
        parts: Parts = {None: weights[name], **{part: state[f"{name}/{part}"] for part in _MEANS}}
        if self._stage != 3:
            return parts
        weight = self._weights[name]
        return {part: take_piece(weight, whole, self.rank, self.ranks) for part, whole in parts.items()}

    def _put(self, given: Iterable[tuple[str, Parts]]) -> None:
        """Overwrite masters and means: the whole ones, or this rank's pieces of them (stage 3)."""
        from deepspeed import utils

        whole = (utils.safe_set_full_fp32_param, utils.safe_set_full_optimizer_state)
        piece = (utils.safe_set_local_fp32_param, utils.safe_set_local_optimizer_state)
        set_master, set_mean = piece if self._stage == 3 else whole
        for name, parts in given:
            for part, value in parts.items():
                if part is None:
                    set_master(self._weights[name], value)
                else:
                    set_mean(self._weights[name], value, part)
        if self._stage == 3:
            self._zero.checkpoint_event_prologue()
            for number in range(len(self._zero.fp16_groups)):
                self._zero._reassign_or_swap_out_partitioned_parameters(number)
            self._zero.checkpoint_event_epilogue()
        else:
            self._zero.update_lp_params()


def build_adamw(weights: NamedTensors, shapes: Mapping[str, torch.Size], settings: AdamWSettings) -> torch.optim.AdamW:
    """torch's AdamW with decay on matrices alone; the rate is set anew in every step."""
    matrices = [weight for name, weight in weights.items() if len(shapes[name]) >= 2]
    others = [weight for name, weight in weights.items() if len(shapes[name]) < 2]
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
    from accelerate import Accelerator, DeepSpeedPlugin, InitProcessGroupKwargs

    import_deepspeed(device)
    backend = InitProcessGroupKwargs(backend="nccl" if device.type == "cuda" else "gloo")
    accelerator = Accelerator(deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=config), kwargs_handlers=[backend])
    engine, _ = accelerator.prepare(model, optimizer)
    return engine
