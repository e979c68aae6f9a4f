"""Where weights come from and go to: drawn from a seed, read from and written to a Hugging Face folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mixlab.config.kernels import KernelSettings
from mixlab.config.models import InitSettings, ModelSettings
from mixlab.config.problems import DataError, Problem
from mixlab.training.models.in_turn import take_in_turn
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.llama import Llama
from mixlab.training.models.shape import LlamaShape, build_shape, find_unknown, read_config, read_shape
from mixlab.training.models.storage import StoredWeights


@dataclass(frozen=True)
class NewModel:
    """A model to begin from scratch: its settings, and what the tokenizer adds to them."""

    settings: ModelSettings
    vocab_size: int
    pad_id: int = 0
    end_id: int = 1


Settle = Callable[[Tensor, Tensor], None]
"""Gives a weight, made without memory, its float32 values, once; they are nobody else's."""


def settle_whole(weight: Tensor, values: Tensor, device: torch.device | None = None) -> None:
    """Let the weight keep the values, on `device`."""
    values = values.to(device)
    if weight.is_meta:
        swap: Any = torch.utils.swap_tensors
        swap(weight, nn.Parameter(values, requires_grad=weight.requires_grad))
    else:
        weight.data = values


def open_model(
    start: NewModel | Path, seed: int, kernels: KernelSettings | None = None, settle: Settle = settle_whole
) -> CausalModel:
    """Draw a new model's weights from `seed`, or read those of a model folder; always float32.

    `settle` is given each weight with its values before those of the next are made.
    """
    model = read_model(start, settle) if isinstance(start, Path) else build_model(start, seed, settle)
    model.use_kernels(kernels or KernelSettings())
    return model


def build_model(new: NewModel, seed: int, settle: Settle = settle_whole) -> Llama:
    """Draw the weights in the order of their names, so that one seed is one model."""
    model = outline_model(build_shape(new.settings, new.vocab_size, new.pad_id, new.end_id))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(named_weights(model).items()):
        values = torch.empty(weight.shape)
        if weight.dim() == 1:
            values.fill_(0.0 if name.endswith(".bias") else 1.0)
        else:
            values.normal_(0.0, _std(name, new.settings.init, new.settings.hidden_size), generator=generator)
        settle(weight, values)
        # gone before the next ones are made
        del values
    return model


def outline_model(shape: LlamaShape) -> Llama:
    """Build a model whose weights have a shape and no memory."""
    with torch.device("meta"):
        return Llama(shape)


def _std(name: str, init: InitSettings, hidden_size: int) -> float:
    if "embed_tokens" in name or "lm_head" in name:
        return init.embedding_std
    is_output = "o_proj" in name or "down_proj" in name
    scale = init.output_projection_scale if is_output else init.projection_scale
    return scale / float(hidden_size**0.5)


def named_weights(model: CausalModel) -> dict[str, Tensor]:
    """The weights by Hugging Face's names; a tied head appears once, as the embedding."""
    return model.named_weights()


def trained_weights(model: CausalModel) -> dict[str, Tensor]:
    """Those of the weights that training moves: all of them, or the adapter's alone (lora)."""
    return {name: weight for name, weight in named_weights(model).items() if weight.requires_grad}


def read_model(folder: Path, settle: Settle = settle_whole) -> CausalModel:
    """Read config.json and the safetensors; raises DataError naming every weight that does not fit.

    A family that is not computed here is opened, whole, by transformers, which is imported for it.
    """
    model, found = open_weights(folder)
    for name, weight in named_weights(model).items():
        if weight.is_meta:
            settle(weight, found[name].to(torch.float32, copy=True))
    return model


def open_weights(folder: Path) -> tuple[CausalModel, Mapping[str, Tensor]]:
    """Return the model of a folder, ours without its weights, and the weights by name, ours read when asked for."""
    config = read_config(folder)
    if any(key in config for key, _ in find_unknown(config)):
        # transformers is imported for these alone: 2.7 s a process
        from mixlab.training.models.foreign import ForeignModel

        opened = ForeignModel(folder)
        return opened, named_weights(opened)
    shape = read_shape(folder)
    model, found = outline_model(shape), StoredWeights(folder)
    check_fit(named_weights(model), found, found.path, is_not_needed(shape))
    return model, found


def is_not_needed(shape: LlamaShape) -> Callable[[str], bool]:
    """Tell of a stored weight's name whether a model of this shape can do without it."""
    return _is_derived if shape.tie_embeddings else _is_buffer


def _is_buffer(name: str) -> bool:
    # Older transformers stored the rotary frequencies beside the weights.
    return name.endswith("rotary_emb.inv_freq")


def _is_derived(name: str) -> bool:
    return _is_buffer(name) or name == "lm_head.weight"


def fill_weights(
    weights: dict[str, Tensor], found: Mapping[str, Tensor], path: Path, ignored: Callable[[str], bool]
) -> None:
    """Copy `found` into `weights`; raises DataError for any name or shape that only one of them has."""
    check_fit(weights, found, path, ignored)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(found[name])


def check_fit(
    weights: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, ignored: Callable[[str], bool]
) -> None:
    """Raise DataError for any name or shape that only one of the two has."""
    if problems := find_misfits(weights, found, path, ignored):
        raise DataError(problems)


def find_misfits(
    weights: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, ignored: Callable[[str], bool]
) -> list[Problem]:
    """Name every weight that only one of the two has, or in another shape."""
    problems = [Problem("weight is missing", str(path), key=name) for name in sorted(weights.keys() - found.keys())]
    problems += [
        Problem("weight is unknown to the model that config.json describes", str(path), key=name)
        for name in sorted(found.keys() - weights.keys())
        if not ignored(name)
    ]
    return problems + [
        Problem(f"has shape {tuple(found[name].shape)}, the model wants {tuple(weight.shape)}", str(path), key=name)
        for name, weight in sorted(weights.items())
        if name in found and found[name].shape != weight.shape
    ]


def write_model(model: CausalModel, folder: Path) -> None:
    """Write config.json and safetensors (float32) into an existing folder."""
    model.write(folder, take_in_turn(model.named_weights()))
