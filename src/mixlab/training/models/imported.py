"""A base model that somebody else trained: is it whole, can it be trained, has it a row for every token?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixlab.config.base_models import VocabularyResize
from mixlab.config.problems import DataError, Problem
from mixlab.training.models.shape import CONFIG_FILE, find_unknown, read_config, read_shape
from mixlab.training.models.storage import StoredWeights, write_tensors
from mixlab.training.models.weights import check_fit, is_not_needed, outline_model
from mixlab.training.tensors.files import INDEX_FILE, list_weight_files

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


def fit_model(folder: Path, vocab_size: int, resize: VocabularyResize | None) -> None:
    """Check the model in `folder` and add rows for a tokenizer of `vocab_size` entries where they are missing.

    Weights keep their dtype; only the files that hold embeddings or head are written again. Raises DataError for a
    model that cannot be trained, for weights that do not fit config.json, and for missing rows without `resize`.
    """
    by_token = _check_weights(folder)
    rows = StoredWeights(folder).shape_of(by_token[0])[0]
    if vocab_size > rows and resize is None:
        raise DataError(
            f"the tokenizer has {vocab_size} entries, but the embeddings of the base model have {rows} rows; take the "
            "tokenizer of this model, or set resize_vocabulary of the base model to add rows"
        )
    if resize is None:
        return
    wanted = resize.count(vocab_size, rows)
    if wanted > rows:
        _add_rows(folder, by_token, rows, wanted)


def _check_weights(folder: Path) -> list[str]:
    """Check a model and return the names of its stored weights that have one row for each token."""
    stored = StoredWeights(folder)
    if any(True for _ in find_unknown(read_config(folder))):
        # transformers is imported for these alone
        from mixlab.training.models.foreign import ForeignModel

        found = ForeignModel(folder).find_by_token(stored)
    else:
        shape = read_shape(folder)
        check_fit(outline_model(shape).named_weights(), stored, stored.path, is_not_needed(shape))
        # a tied head need not be there
        found = [name for name in (_EMBEDDING, _HEAD) if name in stored]
    if not found:
        message = "has no weight with the values of the model's embeddings, so that its vocabulary cannot be compared"
        raise DataError(Problem(message, str(stored.path)))
    return found


def _add_rows(folder: Path, names: list[str], rows: int, wanted: int) -> None:
    config: dict[str, Any] = read_config(folder)
    if config.get("vocab_size") != rows:
        message = f"is {config.get('vocab_size')!r}, but the embeddings have {rows} rows; mend the model's folder"
        raise DataError(Problem(message, str(folder / CONFIG_FILE), key="vocab_size"))
    stored = StoredWeights(folder)
    if problems := [
        Problem(f"has {stored.shape_of(name)[0]} rows, the embeddings {rows}", str(stored.path), key=name)
        for name in names
        if stored.shape_of(name)[0] != rows
    ]:
        raise DataError(problems)
    added = 0
    for path in list_weight_files(folder):
        held = stored.held_by(path)
        changed = {name: _extend(held[name], wanted) for name in names if name in held}
        if changed:
            added += sum(changed[name].nbytes - held[name].nbytes for name in changed)
            # a copy: the tensors that stay look into the file that is written anew
            kept = {name: tensor.clone() for name, tensor in held.items() if name not in changed}
            write_tensors({**kept, **changed}, path)
    _note(folder, config, wanted, added)


def _extend(tensor: Tensor, wanted: int) -> Tensor:
    """Append the mean of all rows, computed in float32, until there are `wanted` rows."""
    mean = tensor.float().mean(dim=0, keepdim=True).to(tensor.dtype)
    return torch.cat([tensor, mean.expand(wanted - tensor.shape[0], *tensor.shape[1:])]).contiguous()


def _note(folder: Path, config: Mapping[str, Any], rows: int, added_bytes: int) -> None:
    (folder / CONFIG_FILE).write_text(
        json.dumps({**config, "vocab_size": rows}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    index = folder / INDEX_FILE
    if index.is_file():
        card = json.loads(index.read_text(encoding="utf-8"))
        if "total_size" in card.get("metadata", {}):
            card["metadata"]["total_size"] += added_bytes
        index.write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
