"""Where each number comes from: seeds, checkpoint, mixture and its certificate's digest, answers, scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_CELL = ("variant_key", "stage", "benchmark", "measure")
_MADE_OF = (
    "mixture_seed",
    "ipt_seed",
    "sft_seed",
    "generation_seed",
    "judge_run",
    "base_model_key",
    "mixture_key",
    "model_key",
    "generate_key",
    "score_key",
)


@dataclass(frozen=True)
class Ancestor:
    """One artifact in the history of a number.

    `parents`: role and reference (`key` or `key:member`) of each parent. `facts`: what identifies data behind it that
    has no key of its own, such as ("digest", "…") of a source file.
    """

    stage: str
    parents: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


def build_lineage(table: pa.Table, certificates: Mapping[str, str], ancestry: Mapping[str, Ancestor]) -> dict[str, Any]:
    """Return, for each cell, the seeds and keys of every model, answer and score in it.

    `certificates`: digest of each mixture's certificate by mixture key. The `ancestry` is carried over in order of
    key, so that a number can be followed beyond the mixture, down to the sources' digests.
    """
    columns = table.select([*_CELL, *_MADE_OF])
    cells: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    # group_by without aggregates keeps the distinct rows; their order is the table's
    for row in columns.group_by([*_CELL, *_MADE_OF], use_threads=False).aggregate([]).to_pylist():
        made_of = {name: row[name] for name in _MADE_OF if row[name] is not None}
        cells.setdefault(tuple(row[name] for name in _CELL), []).append(made_of)
    return {
        "cells": [
            {**dict(zip(_CELL, cell, strict=True)), "made_of": sorted(cells[cell], key=_order)}
            for cell in sorted(cells)
        ],
        "mixtures": {key: {"certificate_digest": digest} for key, digest in sorted(certificates.items())},
        "ancestry": {
            key: {"stage": one.stage, "parents": [list(p) for p in one.parents], "facts": [list(f) for f in one.facts]}
            for key, one in sorted(ancestry.items())
        },
    }


def _order(made_of: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Sort by seeds as numbers, then by keys; absent first."""
    return [(value, "") if isinstance(value := made_of.get(name, -1), int) else (0, value) for name in _MADE_OF]
