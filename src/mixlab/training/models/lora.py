"""LoRA on our own models: peft puts the adapters in; what they come to is merged by name, whatever holds the weights.

A wrapped projection `X` has the weights `X.base_layer.weight`, `X.lora_A.default.weight` [rank, columns] and
`X.lora_B.default.weight` [rows, rank]; its bias, if it has one, is `X.base_layer.bias`.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mixlab.config.problems import DataError, Problem
from mixlab.config.training import LoraSettings
from mixlab.training.models.llama import Llama

ADAPTER_FOLDER = "adapter"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"

_BASE, _A, _B = ".base_layer.", ".lora_A.default.", ".lora_B.default."
# peft's name for the module that it saves (PeftModel.base_model.model).
_PREFIX = "base_model.model."


def add_adapter(model: Llama, settings: LoraSettings, seed: int) -> None:
    """Put an adapter beside every target of the model and freeze all else; A is drawn from `seed`, B is zero.

    Raises DataError when the model lacks a target, or one is narrower than the rank.
    """
    _check_targets(model, settings)
    from peft import inject_adapter_in_model

    # peft draws first weights of its own from the global generator; nobody else is to notice.
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(_build_config(settings), model)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.named_parameters()):
        if _A in name:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    model.lora = settings


def _check_targets(model: Llama, settings: LoraSettings) -> None:
    problems = []
    for target in settings.targets:
        found = [one for name, one in model.named_modules() if name.endswith(f".{target}")]
        widths = [min(one.in_features, one.out_features) for one in found if isinstance(one, nn.Linear)]
        if not widths:
            problems.append(Problem(f"the model has no projection '{target}'; leave it out", key="lora.targets"))
        elif settings.rank > min(widths):
            message = f"rank {settings.rank} is more than the {min(widths)} of '{target}'; lower it, or train in full"
            problems.append(Problem(message, key="lora.rank"))
    if problems:
        raise DataError(problems)


def _build_config(settings: LoraSettings) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        use_rslora=settings.rslora,
    )


def merge_adapter(weights: dict[str, Tensor], settings: LoraSettings) -> dict[str, Tensor]:
    """The weights under the names they had before `add_adapter`, W + scale B A in place of W.

    The sum is formed in float64 and rounded once, to the type of W.
    """
    merged = {}
    for name, weight in weights.items():
        if _A in name or _B in name:
            continue
        a_name, b_name = name.replace(_BASE, _A), name.replace(_BASE, _B)
        if _BASE in name and a_name in weights:
            weight = _add(weight, weights[a_name], weights[b_name], settings.scale)
        merged[name.replace(_BASE, ".")] = weight
    return merged


def _add(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    return torch.addmm(weight.double(), b.double(), a.double(), alpha=scale).to(weight.dtype)


def name_adapter(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A and B alone, by the names of peft's own files."""
    return {
        _PREFIX + name.replace(".default.", "."): part for name, part in weights.items() if _A in name or _B in name
    }


def write_adapter_config(settings: LoraSettings, folder: Path) -> None:
    """Write adapter_config.json, with sets sorted: peft's own writer leaves their order to chance."""
    config = _build_config(settings).to_dict() | {"inference_mode": True}
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    text = json.dumps(plain, indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
