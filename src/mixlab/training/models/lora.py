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
from mixlab.training.models.in_turn import InTurn
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.projections import measure_projections
from mixlab.training.models.storage import write_tensors
from mixlab.training.models.weights import Settle, named_weights, open_weights, settle_whole

ADAPTER_FOLDER = "adapter"
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"

_A, _B = ".lora_A.default.", ".lora_B.default."
# peft's name for the module that it saves (PeftModel.base_model.model).
_PREFIX = "base_model.model."


def add_adapter(
    model: CausalModel, settings: LoraSettings, start: object, seed: int, settle: Settle = settle_whole
) -> None:
    """Put an adapter beside every target of the model and freeze all else; A is drawn from `seed`, B is zero.

    `settle` is given each weight of the adapter with its values.
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
        if _A in name or _B in name:
            values = torch.zeros(weight.shape)
            if _A in name:
                nn.init.kaiming_uniform_(values, a=math.sqrt(5), generator=generator)
            settle(weight, values)
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


def write_trained(model: CausalModel, trained: InTurn, folder: Path) -> None:
    """Write a model with the weights that were trained into an existing folder.

    One with an adapter is written as the merged model, its adapter in `adapter/`. What was frozen is read again from
    the adapter's base, so that it is what it was, whatever was computed with.
    """
    if model.adapter is None:
        model.write(folder, trained)
        return
    adapter = dict(trained.tensors)
    base, weights = open_weights(model.adapter.base)
    shapes = {name: weight.shape for name, weight in named_weights(base).items()}
    merged = ((name, merge(name, weights[name], adapter, model.adapter.settings)) for name in shapes)
    base.write(folder, InTurn(shapes, merged))
    kept = folder / ADAPTER_FOLDER
    kept.mkdir(exist_ok=True)
    write_adapter_config(model.adapter.settings, kept)
    write_tensors(
        {_PREFIX + name.replace(".default.", "."): part for name, part in adapter.items()}, kept / ADAPTER_FILE
    )


@torch.no_grad()
def merge(name: str, weight: Tensor, adapter: Mapping[str, Tensor], settings: LoraSettings) -> Tensor:
    """W + scale B A where the weight W has an adapter, else W; summed in float64 and rounded once, to float32."""
    owner, _, last = name.rpartition(".")
    if owner + _A + last not in adapter:
        return weight.float()
    a, b = adapter[owner + _A + last], adapter[owner + _B + last]
    return torch.addmm(weight.double(), b.double(), a.double(), alpha=settings.scale).float()


def write_adapter_config(settings: LoraSettings, folder: Path) -> None:
    """Write adapter_config.json, with sets sorted: peft's own writer leaves their order to chance."""
    config = _build_config(settings).to_dict() | {"inference_mode": True}
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    text = json.dumps(plain, indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
