"""Random requests for mixtures over random sources, as a study's author might write them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pack_fakes import write_fake_pack

from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.sources import CATEGORIES, LANGUAGES, SourceConfig

SEQUENCE_TOKENS = 64
FIELDS = {"raw": {"text": "{t}"}, "instruction": {"user": "{q}", "assistant": "{a}"}}


def make_sources(folder: Path, count: int = 50) -> tuple[dict[str, SourceConfig], dict[str, Path]]:
    """Sources of all kinds, small and large, some with full windows only, and their packs."""
    chance = random.Random(3)
    declared, packs = {}, {}
    for number in range(count):
        name = f"s{number:02d}"
        kind = "raw" if number % 4 == 0 else "instruction"
        labels: dict[str, Any] = {"kind": kind, "language": chance.choice(LANGUAGES), "licence": "none"}
        if kind == "instruction":
            labels["category"] = chance.choice(CATEGORIES)
        origin = {"type": "files", "paths": [name], "format": "jsonl", "fields": FIELDS[kind]}
        declared[name] = SourceConfig.model_validate(labels | {"origin": origin})
        shortest = chance.choice((1, 40, SEQUENCE_TOKENS))
        windows = [chance.randint(shortest, SEQUENCE_TOKENS) for _ in range(chance.choice((1, 7, 40, 100)))]
        packs[name] = write_fake_pack(folder / name, windows, sequence_tokens=SEQUENCE_TOKENS)
    return declared, packs


def make_request(seed: int, declared: dict[str, SourceConfig], tokens: dict[str, int]) -> dict[str, Any]:
    """One request, whose explicit axes name only what its sources have, except for cells that it lets be raked."""
    chance = random.Random(seed)
    names = chance.sample(sorted(declared), chance.randint(1, len(declared)))
    labels = {name: declared[name] for name in names}
    request: dict[str, Any] = {"sources": names, "max_epochs": chance.choice((1, "3/2", 2, 4, 100, 100))}
    request |= _axes(chance, labels)
    whole = sum(tokens[name] for name in names)
    windows = chance.randint(1, 2 + whole // SEQUENCE_TOKENS)
    request["budget"] = chance.choice(
        [
            {"tokens": chance.randint(1, whole)},
            {"windows": windows},
            {"steps": -(-windows // 7), "global_batch_windows": 7},
            {"epochs": chance.choice(("1/10", "1/3", 1, "5/3"))},
        ]
    )
    if chance.random() < 0.4:
        begins = sorted(chance.sample(range(1, 20), chance.randint(1, 3)))
        phases = [{"from_share": f"{begin}/20"} | _axes(chance, labels) for begin in begins]
        request["phases"] = [phase if len(phase) > 1 else phase | {"instruction": "natural"} for phase in phases]
    if "factors" not in str(request) and chance.random() < 0.4:
        request["sources"] = {name: chance.randint(1, 9) for name in names}
    return request


def _axes(chance: random.Random, labels: dict[str, SourceConfig]) -> dict[str, Any]:
    instruction = [one for one in labels.values() if one.kind == "instruction"]
    raw = sorted(name for name, one in labels.items() if one.kind == "raw")
    axes: dict[str, Any] = {}
    if instruction and raw:
        axes["instruction"] = chance.choice(("natural", 0, 1, "1/3", "33.33 %", "0.8"))
    if instruction and axes.get("instruction") != 0:
        axes |= _instruction_axes(chance, instruction)
    if raw and axes.get("instruction") != 1:
        form = chance.choice(("natural", "weights", "factors"))
        if form != "natural":
            axes["raw"] = {form: {name: chance.choice((1, 2, "1/3")) for name in raw}}
    return axes


def _instruction_axes(chance: random.Random, sources: list[SourceConfig]) -> dict[str, Any]:
    def weights(values: list[Any]) -> dict[str, Any]:
        return {"weights": {value: chance.randint(1, 9) for value in sorted(set(values))}}

    languages, categories = [one.language for one in sources], [one.category for one in sources]
    cells = {f"{one.language}/{one.category}" for one in sources}
    makers: list[Callable[[], dict[str, Any]]] = [
        dict,
        lambda: {"language": weights(languages)},
        lambda: {"category": weights(categories)},
        lambda: {"cells": weights(sorted(cells))},
        lambda: {"language": weights(languages), "category": weights(categories)},
    ]
    return chance.choice(makers)()


def to_config(request: dict[str, Any]) -> MixtureConfig:
    """The request, with empty cells to be raked."""
    return MixtureConfig.model_validate(request | {"on_empty_cell": "rake"})
