"""Where weights come from and go to: drawn from a seed, read from and written to a Hugging Face folder."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mixlab.config.models import InitSettings, ModelSettings
from mixlab.config.problems import DataError, Problem
from mixlab.training.models.llama import Llama
from mixlab.training.models.shape import WEIGHTS_FILE, build_shape, read_shape, write_shape


@dataclass(frozen=True)
class NewModel:
    """A model to begin from scratch: its settings, and what the tokenizer adds to them."""

    settings: ModelSettings
    vocab_size: int
    pad_id: int = 0
    end_id: int = 1


def open_model(start: NewModel | Path, seed: int) -> Llama:
    """Draw a new model's weights from `seed`, or read those of a model folder; always float32."""
    return read_model(start) if isinstance(start, Path) else build_model(start, seed)


def build_model(new: NewModel, seed: int) -> Llama:
    """Draw the weights in the order of their names, so that one seed is one model."""
    model = Llama(build_shape(new.settings, new.vocab_size, new.pad_id, new.end_id))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(named_weights(model).items()):
            if weight.dim() == 1:
                weight.fill_(1.0)
            else:
                weight.normal_(0.0, _std(name, new.settings.init, new.settings.hidden_size), generator=generator)
    return model


def _std(name: str, init: InitSettings, hidden_size: int) -> float:
    if "embed_tokens" in name or "lm_head" in name:
        return init.embedding_std
    is_output = "o_proj" in name or "down_proj" in name
    scale = init.output_projection_scale if is_output else init.projection_scale
    return scale / float(hidden_size**0.5)


def named_weights(model: Llama) -> dict[str, Tensor]:
    """The weights by Hugging Face's names; a tied head appears once, as the embedding."""
    return dict(model.named_parameters())


def read_model(folder: Path) -> Llama:
    """Read config.json and model.safetensors; raises DataError naming every weight that does not fit."""
    shape = read_shape(folder)
    path = folder / WEIGHTS_FILE
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            Problem(f"no readable weights ({error}); give a folder with one {WEIGHTS_FILE}", file=str(path))
        ) from None
    model = Llama(shape)
    fill_weights(named_weights(model), found, path, _is_derived if shape.tie_embeddings else _is_buffer)
    return model


def _is_buffer(name: str) -> bool:
    # Older transformers stored the rotary frequencies beside the weights.
    return name.endswith("rotary_emb.inv_freq")


def _is_derived(name: str) -> bool:
    return _is_buffer(name) or name == "lm_head.weight"


def fill_weights(
    weights: dict[str, Tensor], found: Mapping[str, Tensor], path: Path, ignored: Callable[[str], bool]
) -> None:
    """Copy `found` into `weights`; raises DataError for any name or shape that only one of them has."""
    problems = [Problem("weight is missing", str(path), key=name) for name in sorted(weights.keys() - found)]
    problems += [
        Problem("weight is unknown to the model that config.json describes", str(path), key=name)
        for name in sorted(found.keys() - weights.keys())
        if not ignored(name)
    ]
    problems += [
        Problem(f"has shape {tuple(found[name].shape)}, the model wants {tuple(weight.shape)}", str(path), key=name)
        for name, weight in sorted(weights.items())
        if name in found and found[name].shape != weight.shape
    ]
    if problems:
        raise DataError(problems)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(found[name])


def write_model(model: Llama, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
    """Write config.json and model.safetensors (float32) into an existing folder; `weights` instead of the model's."""
    write_shape(model.shape, folder)
    tensors = {name: weight.detach() for name, weight in (weights or named_weights(model)).items()}
    write_tensors(tensors, folder / WEIGHTS_FILE)


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write one safetensors file; raises OSError, with its number and `path`, for a full disk and the like."""
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        # Their message ends in "(os error 28)".
        if match := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(match[1]), os.strerror(int(match[1])), str(path)) from error
        raise
