"""Where weights come from and go to: drawn from a seed, read from and written to a Hugging Face folder."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mixlab.config.kernels import KernelSettings
from mixlab.config.models import InitSettings, ModelSettings
from mixlab.config.problems import DataError, Problem
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.llama import Llama
from mixlab.training.models.shape import LlamaShape, build_shape, find_unknown, read_config, read_shape
from mixlab.training.models.storage import StoredWeights

logger = logging.getLogger(__name__)
TOLD_BYTES = 1_000_000_000
"""Weights from which on writing them takes long enough to be told."""


@dataclass(frozen=True)
class NewModel:
    """A model to begin from scratch: its settings, and what the tokenizer adds to them."""

    settings: ModelSettings
    vocab_size: int
    pad_id: int = 0
    end_id: int = 1


def open_model(start: NewModel | Path, seed: int, kernels: KernelSettings | None = None) -> CausalModel:
    """Draw a new model's weights from `seed`, or read those of a model folder; always float32."""
    model = read_model(start) if isinstance(start, Path) else build_model(start, seed)
    model.use_kernels(kernels or KernelSettings())
    return model


def build_model(new: NewModel, seed: int) -> Llama:
    """Draw the weights in the order of their names, so that one seed is one model."""
    model = Llama(build_shape(new.settings, new.vocab_size, new.pad_id, new.end_id))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(named_weights(model).items()):
            if weight.dim() == 1:
                weight.fill_(0.0 if name.endswith(".bias") else 1.0)
            else:
                weight.normal_(0.0, _std(name, new.settings.init, new.settings.hidden_size), generator=generator)
    return model


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


def read_model(folder: Path) -> CausalModel:
    """Read config.json and the safetensors; raises DataError naming every weight that does not fit.

    A family that is not computed here is opened by transformers, which is imported for it.
    """
    config = read_config(folder)
    if any(key in config for key, _ in find_unknown(config)):
        # transformers is imported for these alone: 2.7 s a process
        from mixlab.training.models.foreign import ForeignModel

        return ForeignModel(folder)
    shape = read_shape(folder)
    found = StoredWeights(folder)
    model = Llama(shape)
    fill_weights(named_weights(model), found, found.path, is_not_needed(shape))
    return model


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
    if problems := find_misfits(weights, found, path, ignored):
        raise DataError(problems)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(found[name])


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


def write_model(model: CausalModel, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write config.json and safetensors (float32) into an existing folder; `weights` instead of the model's own."""
    weights = model.named_weights() if weights is None else weights
    total_bytes, begin = sum(weight.nbytes for weight in weights.values()), time.monotonic()
    is_long = total_bytes >= TOLD_BYTES
    if is_long:
        logger.info("%s: writing %.1f GB of weights", folder.name, total_bytes / 1e9)
    model.write(folder, weights)
    if is_long:
        logger.info(
            "%s: %.1f GB of weights written in %.0f s", folder.name, total_bytes / 1e9, time.monotonic() - begin
        )
