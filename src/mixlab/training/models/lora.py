"""LoRA on our own models: peft puts the adapters in, and what they come to is merged by name.

A projection `X` has the adapter `X.lora_A.default.weight` [rank, columns] and `X.lora_B.default.weight` [rows, rank].
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mixlab.config.problems import DataError, Problem
from mixlab.config.training import LoraSettings
from mixlab.training.models.adapter import Adapter
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.projections import measure_projections
from mixlab.training.models.storage import write_tensors
from mixlab.training.models.weights import named_weights, read_model, write_model

ADAPTER_FOLDER = "adapter"
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"

_A, _B = ".lora_A.default.", ".lora_B.default."
# peft's name for the module that it saves (PeftModel.base_model.model).
_PREFIX = "base_model.model."


def add_adapter(model: CausalModel, settings: LoraSettings, start: object, seed: int) -> None:
    """Put an adapter beside every target of the model and freeze all else; A is drawn from `seed`, B is zero.

    `start` is where the model was read from. Raises DataError when it is no folder, when the model lacks a target, or
    one is narrower than the rank.
    """
    if not isinstance(start, Path):
        raise DataError("lora: an adapter needs a trained model to stand on; train a new one in full")
    _check_targets(model, settings)
    from peft import inject_adapter_in_model

    # peft draws first weights of its own from the global generator; nobody else is to notice.
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(_build_config(settings), model)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.named_parameters()):
        if _A in name:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    model.adapter = Adapter(settings, start)


def _check_targets(model: CausalModel, settings: LoraSettings) -> None:
    problems = []
    widths = measure_projections(model, settings.targets)
    for target in settings.targets:
        width = widths.get(target)
        if width is None:
            problems.append(Problem(f"the model has no projection '{target}'; leave it out", key="lora.targets"))
        elif settings.rank > width:
            message = f"rank {settings.rank} is more than the {width} of '{target}'; lower it, or train in full"
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


def write_trained(model: CausalModel, trained: Mapping[str, Tensor], folder: Path) -> None:
    """Write a model with the weights that were trained into an existing folder.

    One with an adapter is written as the merged model, its adapter in `adapter/`. What was frozen is read again from
    the adapter's base, so that it is what it was, whatever was computed with.
    """
    if model.adapter is None:
        write_model(model, folder, trained)
        return
    merged = read_model(model.adapter.base)
    merge_adapter(named_weights(merged), trained, model.adapter.settings)
    write_model(merged, folder)
    kept = folder / ADAPTER_FOLDER
    kept.mkdir(exist_ok=True)
    write_adapter_config(model.adapter.settings, kept)
    write_tensors(
        {_PREFIX + name.replace(".default.", "."): part for name, part in trained.items()}, kept / ADAPTER_FILE
    )


@torch.no_grad()
def merge_adapter(weights: Mapping[str, Tensor], adapter: Mapping[str, Tensor], settings: LoraSettings) -> None:
    """Put W + scale B A in place of each W that has an adapter; summed in float64 and rounded once, to W's type."""
    for name, a in adapter.items():
        if _A in name:
            weight, b = weights[name.replace(_A, ".")], adapter[name.replace(_A, _B)]
            weight.copy_(torch.addmm(weight.double(), b.double(), a.double(), alpha=settings.scale))


def write_adapter_config(settings: LoraSettings, folder: Path) -> None:
    """Write adapter_config.json, with sets sorted: peft's own writer leaves their order to chance."""
    config = _build_config(settings).to_dict() | {"inference_mode": True}
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    text = json.dumps(plain, indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
