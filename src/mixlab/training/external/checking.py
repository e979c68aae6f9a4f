"""What a trainer brings back, or a user names: whether it is the model that was asked for, and nothing else.

A model is config.json and safetensors, in one file or in shards with their index.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from mixlab.config.problems import DataError, Problem
from mixlab.training.models.shape import CONFIG_FILE, LlamaShape, build_shape, read_shape, write_shape
from mixlab.training.models.weights import NewModel, named_weights, outline_model
from mixlab.training.tensors.files import INDEX_FILE, SINGLE_FILE, TensorForm, Tensors, find_tensors

DTYPES = ("F32", "BF16", "F16")

_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".distcp")
_CODE = (".py", ".so")
_HEAD, _EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
_FREE = ("pad_id", "begin_id")
"""What of a shape decides neither weights nor training, and what trainers write as they like."""
_NAMES = {"layers": "num_hidden_layers", "heads": "num_attention_heads", "kv_heads": "num_key_value_heads"} | {
    "head_size": "head_dim",
    "feed_forward": "intermediate_size",
    "tie_embeddings": "tie_word_embeddings",
    "max_positions": "max_position_embeddings",
    "norm_eps": "rms_norm_eps",
    "end_id": "eos_token_id",
}


@dataclass(frozen=True)
class Expected:
    """What is to come back: models of this shape; `members` are their folders, none: one model without a folder."""

    shape: LlamaShape
    members: tuple[str, ...] = ()

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight by Hugging Face's name; a tied head is not among them."""
        return {name: tuple(weight.shape) for name, weight in named_weights(outline_model(self.shape)).items()}


@dataclass(frozen=True)
class Found:
    """Files of the models, relative to the folder looked at, and the others, which do not belong to an artifact."""

    kept: tuple[str, ...]
    left_out: tuple[str, ...]


def find_shape(start: NewModel | Path) -> LlamaShape:
    """Return the shape of the model that training begins with."""
    if isinstance(start, Path):
        return read_shape(start)
    return build_shape(start.settings, start.vocab_size, start.pad_id, start.end_id)


def write_start(new: NewModel, folder: Path) -> Path:
    """Write config.json of a model from scratch, whose weights the trainer is to draw, and return the folder."""
    folder.mkdir(parents=True)
    write_shape(find_shape(new), folder)
    return folder


def check_models(folder: Path, expected: Expected) -> Found:
    """Look at every file of `folder`, and return which are the models asked for; every weight is read.

    Raises DataError with every problem: files that could run code when opened, absent or unasked models, another
    vocabulary or shape, weights that are missing, unknown, of another dtype or not finite.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    problems = [*_find_unsafe(files), *_find_strange_members(folder, expected)]
    kept: list[Path] = []
    for member in expected.members or ("",):
        model = folder / member
        problems += _check_config(model, expected.shape)
        try:
            weights = _find_weights(model)
        except DataError as error:
            problems += error.problems
            continue
        shards = sorted({weight.path for weight in weights.values()})
        kept += [path for path in (model / CONFIG_FILE, model / INDEX_FILE, *shards) if path.is_file()]
        problems += _check_weights(model, weights, expected)
    if problems:
        raise DataError(problems)
    names = {path: path.relative_to(folder).as_posix() for path in files}
    return Found(tuple(names[path] for path in files if path in kept), tuple(names[p] for p in files if p not in kept))


def _find_unsafe(files: Iterable[Path]) -> Iterator[Problem]:
    for path in files:
        if path.is_symlink() or not path.is_file():
            yield Problem("is a link or no plain file; put the file itself there", str(path))
        elif path.suffix.lower() in _PICKLED:
            yield Problem("may hold pickled objects, which run code when opened; write safetensors alone", str(path))
        elif path.suffix.lower() in _CODE:
            yield Problem("is code; a model is config.json and safetensors", str(path))


def _find_strange_members(folder: Path, expected: Expected) -> Iterator[Problem]:
    known = set(expected.members)
    for path in sorted(folder.glob("last-*")):
        if path.is_dir() and path.name not in known:
            asked = f"{expected.members[0]} to {expected.members[-1]}" if known else "one model without snapshots"
            yield Problem(f"was not asked for; asked for: {asked}", str(path))


def _check_config(model: Path, shape: LlamaShape) -> Iterator[Problem]:
    path = model / CONFIG_FILE
    try:
        found = read_shape(model)
        config = json.loads(path.read_text(encoding="utf-8"))
    except DataError as error:
        yield from error.problems
        return
    if "auto_map" in config:
        yield Problem("names code of its own; a model is config.json and safetensors", str(path), key="auto_map")
    wanted, there = asdict(shape), asdict(found)
    for name in wanted:
        if name not in _FREE and wanted[name] != there[name]:
            message = f"is {there[name]!r}, but training begins with a model where it is {wanted[name]!r}"
            cure = "cut off the vocabulary's padding" if name == "vocab_size" else "keep the config.json it begins with"
            yield Problem(f"{message}; {cure}", str(path), key=_NAMES.get(name, name))


def _find_weights(model: Path) -> Tensors:
    """Find the weights of a model; raises DataError as `find_tensors` does, and where two models lie in one folder."""
    single, index = model / SINGLE_FILE, model / INDEX_FILE
    if single.exists() and index.exists():
        raise DataError(Problem(f"is there beside {INDEX_FILE}; which of them is the model?", str(single)))
    if not single.exists() and not index.exists():
        raise DataError(Problem(f"no model: neither {SINGLE_FILE} nor {INDEX_FILE} is there", str(model)))
    return find_tensors(model)


def _check_weights(model: Path, weights: Tensors, expected: Expected) -> Iterator[Problem]:
    """Read every weight."""
    wanted = expected.weights()
    for path in sorted({weight.path for weight in weights.values()}):
        held = {name: weight.form for name, weight in weights.items() if weight.path == path}
        with safe_open(path, framework="pt") as file:
            for name, form in held.items():
                yield from _check_weight(file, name, form, path, wanted, expected.shape)
    yield from (Problem("weight is missing", str(model), key=name) for name in sorted(wanted.keys() - weights.keys()))
    if expected.shape.tie_embeddings and _HEAD in weights and _EMBEDDING in weights:
        head, embedding = (_read(weights[name].path, name) for name in (_HEAD, _EMBEDDING))
        if not torch.equal(head, embedding):
            message = f"differs from {_EMBEDDING}, and config.json says that they are tied"
            yield Problem(message, str(weights[_HEAD].path), key=_HEAD)


def _check_weight(
    file: Any, name: str, form: TensorForm, path: Path, wanted: Mapping[str, tuple[int, ...]], shape: LlamaShape
) -> Iterator[Problem]:
    is_derived = name.endswith("rotary_emb.inv_freq") or (name == _HEAD and shape.tie_embeddings)
    if name not in wanted and not is_derived:
        yield Problem("weight is unknown to the model that config.json describes", str(path), key=name)
    elif name in wanted and form.shape != wanted[name]:
        yield Problem(f"has shape {form.shape}, {wanted[name]} was expected", str(path), key=name)
    elif form.word not in DTYPES:
        yield Problem(f"is {form.word}; allowed: {', '.join(DTYPES)}", str(path), key=name)
    elif not torch.isfinite(file.get_tensor(name)).all():
        yield Problem("holds NaN or infinity; the run diverged", str(path), key=name)


def _read(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor
