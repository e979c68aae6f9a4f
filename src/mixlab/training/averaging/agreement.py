"""Whether models can be averaged: equal configurations, equal names, dtypes and shapes, nothing but floating point."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixlab.config.problems import DataError, Problem
from mixlab.training.models.shape import CONFIG_FILE
from mixlab.training.tensors.dtypes import STORED
from mixlab.training.tensors.files import Tensors

_TIED_HEAD = "lm_head.weight"
_ROTARY = "rotary_emb.inv_freq"


def read_common_config(models: Sequence[Path]) -> dict[str, Any]:
    """Return the config.json that all models share; raises DataError naming every entry in which one differs."""
    try:
        configs = [json.loads((model / CONFIG_FILE).read_text(encoding="utf-8")) for model in models]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"average: {error}") from None
    first: dict[str, Any] = configs[0]
    problems = [
        Problem(
            f"is {config.get(key)!r}, but {first.get(key)!r} in {models[0] / CONFIG_FILE}; "
            "average snapshots of one run only",
            file=str(model / CONFIG_FILE),
            key=key,
        )
        for model, config in zip(models, configs, strict=True)
        for key in sorted(first.keys() | config.keys())
        if config.get(key) != first.get(key)
    ]
    if problems:
        raise DataError(problems)
    return first


def check_members(models: Sequence[Path], members: Sequence[Tensors]) -> None:
    """Raise DataError naming every tensor that is no floating point, or differs from that of the first model."""
    first = members[0]
    problems = [
        Problem(f"is {tensor.form.word}; only floating point can be averaged", file=str(tensor.path), key=name)
        for name, tensor in first.items()
        if tensor.form.word not in STORED
    ]
    for model, member in zip(models[1:], members[1:], strict=True):
        for name in sorted(first.keys() | member.keys()):
            here, there = member.get(name), first.get(name)
            if (here and here.form) != (there and there.form):
                shown = [str(tensor.form) if tensor else "missing" for tensor in (here, there)]
                file = str(here.path if here else model)
                problems.append(Problem(f"is {shown[0]}, but {shown[1]} in {models[0]}", file=file, key=name))
    if problems:
        raise DataError(problems)


def check_base(base: Path, tensors: Tensors, members: Tensors, config: Mapping[str, Any]) -> None:
    """Raise DataError naming every weight for which no difference from the base model can be told.

    Its dtype may be another one. A tied head and rotary frequencies, which some writers store beside the weights, may
    be in the base model alone.
    """
    if problems := list(_compare_with_base(base, tensors, members, bool(config.get("tie_word_embeddings")))):
        raise DataError(problems)


def _compare_with_base(base: Path, tensors: Tensors, members: Tensors, is_tied: bool) -> Iterator[Problem]:
    for name, member in members.items():
        found = tensors.get(name)
        if found is None:
            yield Problem("is missing, so the snapshots have no difference from it", file=str(base), key=name)
        elif found.form.word not in STORED:
            message = f"is {found.form.word}; a difference can be taken from floating point alone"
            yield Problem(message, file=str(found.path), key=name)
        elif found.form.shape != member.form.shape:
            message = f"is {found.form}, but {member.form} in the snapshots, so no difference can be taken"
            yield Problem(message, file=str(found.path), key=name)
    for name in sorted(tensors.keys() - members.keys()):
        if not (name.endswith(_ROTARY) or (is_tied and name == _TIED_HEAD)):
            yield Problem("is not in the snapshots", file=str(tensors[name].path), key=name)
