"""Claimed differences, measured: mean, standard error, their ratio, and whether the claim is met."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixlab.analysis.cells import Cell, GroupEstimate, build_cells, group_cells, read_csv, write_csv
from mixlab.analysis.same_items import keep_compared
from mixlab.analysis.statistics import Difference, compare
from mixlab.artifacts.keys import build_digest
from mixlab.config.analysis import ComparisonSettings

if TYPE_CHECKING:
    import pandas as pd

_FILTERS = ["variant_key", "against_key", "stage", "measure"]
_NUMBERS = ["difference", "se_seeds", "se_items", "standard_error", "ratio"]
_SIDES = ["mean", "seed_level", "n_seeds"]
HEADER = [
    "effect",
    *_FILTERS,
    "benchmarks",
    "at_least",
    *(f"{side}_{name}" for side in ("variant", "against") for name in _SIDES),
    *_NUMBERS,
    "incomplete_models",
    "verdict",
]


@dataclass(frozen=True)
class Effect:
    """A comparison with what came of it; a side is None when none of its benchmarks was run."""

    comparison: ComparisonSettings
    variant: GroupEstimate | None
    against: GroupEstimate | None
    result: Difference


def comparison_id(comparison: ComparisonSettings) -> str:
    """Name a comparison by what it compares: 12 hex digits, the same whatever it is called."""
    return build_digest(comparison.model_dump_json().encode())[:12]


def build_effects(
    comparisons: Sequence[ComparisonSettings], cells: Sequence[Cell], frame: "pd.DataFrame"
) -> list[Effect]:
    """Measure each comparison on the items that every model of both sides has a score for.

    `cells`: those of `frame`. Sides that ran different benchmarks are "missing", never averaged over the rest.
    """
    effects = []
    is_whole = bool(frame["score"].notna().all())
    for comparison in comparisons:
        compared = cells if is_whole else build_cells(keep_compared(frame, comparison))
        variant, against = (
            group_cells(
                [cell for cell in compared if cell.variant_key == key and cell.stage == comparison.stage], comparison
            )
            for key in (comparison.variant_key, comparison.against_key)
        )
        same = variant is not None and against is not None and variant.benchmarks == against.benchmarks
        result = compare(
            variant.estimate if variant and same else None,
            against.estimate if against and same else None,
            float(comparison.at_least),
        )
        effects.append(Effect(comparison, variant, against, result))
    return effects


def write_effects(effects: Sequence[Effect], out: Path) -> None:
    """Write `effects.csv`, one row per comparison in the order given; empty means not known."""
    write_csv(out / "effects.csv", HEADER, [_row(effect) for effect in effects])


def read_effects(aggregate: Path) -> dict[str, dict[str, str]]:
    """Read `effects.csv`, each row by its `comparison_id`."""
    return {row["effect"]: row for row in read_csv(aggregate / "effects.csv")}


def _row(effect: Effect) -> list[Any]:
    comparison, sides = effect.comparison, (effect.variant, effect.against)
    benchmarks = sorted({name for side in sides if side for name in side.benchmarks})
    return [
        comparison_id(comparison),
        *(getattr(comparison, name) for name in _FILTERS),
        " ".join(benchmarks),
        float(comparison.at_least),
        *(getattr(side.estimate, name) if side else None for side in sides for name in _SIDES),
        *(getattr(effect.result, name) for name in _NUMBERS),
        sum(side.incomplete for side in sides if side),
        effect.result.verdict,
    ]
