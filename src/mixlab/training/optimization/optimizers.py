"""Optimizers whose state is nothing but named tensors.

They use torch's kernels but not its Optimizer classes: the first of those that is made imports the compiler,
0.85 s a process. Weight decay acts on every weight of two dimensions (projections and embeddings), not on norms.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from mixlab.config.problems import DataError, Problem
from mixlab.config.training import AdamWSettings, MuonSettings

# Keller Jordan's quintic iteration, https://kellerjordan.github.io/posts/muon/ ; the values of torch.optim.Muon 2.13.
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5
_EPS = 1e-7

NamedTensors = dict[str, Tensor]


class AdamW:
    """torch.optim.AdamW's fused kernel, for weights that share one decay."""

    def __init__(
        self, weights: NamedTensors, rate: float, decay: float, settings: AdamWSettings | MuonSettings
    ) -> None:
        self._weights = list(weights.values())
        self._rate, self._decay, self._settings = rate, decay, settings
        self._means = [torch.zeros_like(weight) for weight in self._weights]
        self._squares = [torch.zeros_like(weight) for weight in self._weights]
        self._steps = [torch.zeros((), device=weight.device) for weight in self._weights]
        parts = {"exp_avg": self._means, "exp_avg_sq": self._squares, "step": self._steps}
        self.state = {f"{name}/{key}": part for key in parts for name, part in zip(weights, parts[key], strict=True)}

    def step(self, ratio: float) -> None:
        """Move the weights along their gradients at `ratio` times the peak rate."""
        adamw(
            self._weights,
            _gradients(self._weights),
            self._means,
            self._squares,
            [],
            self._steps,
            fused=True,
            amsgrad=False,
            beta1=self._settings.betas[0],
            beta2=self._settings.betas[1],
            lr=self._rate * ratio,
            weight_decay=self._decay,
            eps=self._settings.eps,
            maximize=False,
        )


class Muon:
    """torch.optim.Muon in float32, for matrices of one shape.

    torch's own casts to bfloat16, which ends in SIGILL on some virtual CPUs, and loops over the matrices.
    """

    def __init__(self, weights: NamedTensors, settings: MuonSettings) -> None:
        self._weights = list(weights.values())
        self._settings = settings
        rows, columns = self._weights[0].shape
        self._shape_ratio = max(1.0, rows / columns) ** 0.5
        self._momenta = [torch.zeros_like(weight) for weight in self._weights]
        self.state = {f"{name}/momentum": part for name, part in zip(weights, self._momenta, strict=True)}

    def step(self, ratio: float) -> None:
        """Move the matrices along the orthogonalised momentum (Nesterov) at `ratio` times the peak rate."""
        rate, momentum = self._settings.learning_rate * ratio, self._settings.momentum
        gradients = _gradients(self._weights)
        torch._foreach_lerp_(self._momenta, gradients, 1.0 - momentum)
        ahead = torch._foreach_lerp(gradients, self._momenta, momentum)
        updates = orthogonalise(torch.stack(list(ahead)))
        torch._foreach_mul_(self._weights, 1.0 - rate * self._settings.weight_decay)
        torch._foreach_add_(self._weights, list(updates.unbind()), alpha=-rate * self._shape_ratio)


def orthogonalise(matrices_MRC: Tensor) -> Tensor:
    """Push the singular values of M matrices of R rows and C columns to about 1 (0.7 to 1.2)."""
    if matrices_MRC.shape[1] > matrices_MRC.shape[2]:
        return orthogonalise(matrices_MRC.mT).mT
    a, b, c = _NEWTON_SCHULZ
    x: Tensor = matrices_MRC / matrices_MRC.norm(dim=(1, 2), keepdim=True).clamp(min=_EPS)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class OptimizerSet:
    """The optimizers of one model, moving together."""

    def __init__(self, settings: AdamWSettings | MuonSettings, weights: NamedTensors) -> None:
        self.rate = settings.learning_rate
        self._weights = weights
        self._members: list[AdamW | Muon] = [*_build_muon(settings, weights), *_build_adamw(settings, weights)]
        self._state = {name: tensor for member in self._members for name, tensor in member.state.items()}

    @torch.no_grad()
    def step(self, ratio: float) -> None:
        """Move all weights along their gradients at `ratio` times the peak rates, then forget the gradients."""
        if lacking := [name for name, weight in self._weights.items() if weight.grad is None]:
            raise DataError(
                f"training: the weight {lacking[0]} ({len(lacking)} in all) gets no gradient: the model does not use "
                "it; it cannot be trained here"
            )
        for member in self._members:
            member.step(ratio)
        for weight in self._weights.values():
            weight.grad = None

    def state(self) -> NamedTensors:
        """Every tensor of the state, as `<weight>/<tensor>`; not copies."""
        return self._state

    def load_state(self, found: Mapping[str, Tensor], path: Path) -> None:
        """Take over what `state` gave; raises DataError when it is of other weights or another optimizer."""
        if found.keys() != self._state.keys():
            differ = ", ".join(sorted(found.keys() ^ self._state.keys())[:5])
            raise DataError(Problem(f"is the state of another model or optimizer ({differ})", file=str(path)))
        for name, tensor in self._state.items():
            tensor.copy_(found[name])


def _build_muon(settings: AdamWSettings | MuonSettings, weights: NamedTensors) -> list[Muon]:
    if isinstance(settings, AdamWSettings):
        return []
    by_shape: dict[torch.Size, NamedTensors] = {}
    for name, weight in weights.items():
        if _is_projection(name, weight):
            by_shape.setdefault(weight.shape, {})[name] = weight
    return [Muon(group, settings) for group in by_shape.values()]


def _build_adamw(settings: AdamWSettings | MuonSettings, weights: NamedTensors) -> list[AdamW]:
    if isinstance(settings, MuonSettings):
        rate = settings.other_learning_rate
        weights = {name: weight for name, weight in weights.items() if not _is_projection(name, weight)}
    else:
        rate = settings.learning_rate
    decayed = {name: weight for name, weight in weights.items() if weight.dim() >= 2}
    others = {name: weight for name, weight in weights.items() if weight.dim() < 2}
    return [AdamW(decayed, rate, settings.weight_decay, settings), AdamW(others, rate, 0.0, settings)]


def _is_projection(name: str, weight: Tensor) -> bool:
    return weight.dim() == 2 and "embed_tokens" not in name and "lm_head" not in name


def _gradients(weights: Sequence[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]
