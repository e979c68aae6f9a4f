"""What the numbers of a target were computed from: cells of the study's scores, and the keys behind them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import pandas as pd

CELL = ("variant_key", "stage", "benchmark", "measure")
"""What names a cell of the study's scores, as its lineage is told."""
KEYS = ("base_model_key", "mixture_key", "model_key", "score_key")
"""Columns of the tidy scores that a number is followed by."""


@dataclass(frozen=True)
class MadeOf:
    """What a number was computed from; empty where nothing was scored.

    `cells`: (variant_key, stage, benchmark, measure) of each cell of scores. The keys are sorted, each once: base
    models, mixtures, models (`key` or `key:member`) and scores. A served model has no mixture.
    """

    cells: tuple[tuple[str, ...], ...] = ()
    base_model_keys: tuple[str, ...] = ()
    mixture_keys: tuple[str, ...] = ()
    model_keys: tuple[str, ...] = ()
    score_keys: tuple[str, ...] = ()

    @property
    def variant_keys(self) -> tuple[str, ...]:
        """The points that were scored."""
        return tuple(dict.fromkeys(cell[0] for cell in self.cells))


def find_made_of(rows: pd.DataFrame) -> MadeOf:
    """Find what rows of the tidy scores (with columns CELL and KEYS) were made of."""
    cells = rows[list(CELL)].drop_duplicates().astype(str).itertuples(index=False, name=None)
    keys = (tuple(sorted(map(str, rows[name].dropna().unique()))) for name in KEYS)
    return MadeOf(tuple(sorted(cells)), *keys)


def join_made_of(parts: Iterable[MadeOf]) -> MadeOf:
    """Join what several numbers were made of, each cell and key once."""
    found = list(parts)
    joined = (sorted({value for one in found for value in getattr(one, field.name)}) for field in fields(MadeOf))
    return MadeOf(*map(tuple, joined))
