"""The one tidy table of a study: every score with what it is called, its mixture's ratios, its seeds and its keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mixlab.config.analysis import ReportSettings
from mixlab.report.numbers import Numbers

AXES = ("instruction", "language", "category", "raw")
NAMED = ("study", "variant", "base_model")


def write_tidy_scores(settings: ReportSettings, numbers: Numbers, aggregate: Path, out: Path) -> None:
    """Write `scores.parquet` and `scores.csv`: the aggregate's rows with names and ratios before its own columns.

    Ratios are those asked for, from 0 to 1: `instruction_ratio` and `raw_ratio` of the whole, `language_en_ratio` and
    `category_math_ratio` within instructions, `raw_ja_ratio` within raw text; null where the mixture has no such part.
    """
    table = pq.read_table(aggregate / "scores.parquet")
    labels = {one.variant_key: numbers.label(one.variant_key) for one in numbers.variants}
    bases = {one.variant_key: one.base_model or None for one in settings.variants}
    columns = {
        "study": pa.array([settings.study or settings.title] * len(table), pa.string()),
        "variant": _look_up(table["variant_key"], labels, pa.string()),
        "base_model": _look_up(table["variant_key"], bases, pa.string()),
    }
    for name, ratios in _collect_ratios(numbers.certificates).items():
        columns[name] = _look_up(table["mixture_key"], ratios, pa.float64())
    columns |= {name: table[name] for name in table.schema.names}
    whole = pa.table(columns)
    pq.write_table(whole, out / "scores.parquet")
    pa_csv.write_csv(whole, out / "scores.csv")


def _collect_ratios(certificates: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Map the name of each ratio to its value by mixture key, axes in their order and parts sorted."""
    found: dict[str, dict[str, float]] = {}
    for axis in AXES:
        parts = sorted({part for one in certificates.values() for part in one["axes"].get(axis, {})})
        for part in parts:
            name = f"{part}_ratio" if axis == "instruction" else f"{axis}_{part}_ratio"
            rows = {key: one["axes"].get(axis, {}).get(part) for key, one in certificates.items()}
            found[name] = {key: row["requested_ratio_float"] for key, row in rows.items() if row is not None}
    return found


def _look_up(column: pa.ChunkedArray, values: Mapping[str, Any], kind: pa.DataType) -> pa.Array:
    """Replace each value of a column by what `values` says of it; null where it says nothing."""
    encoded = pa.concat_arrays(column.chunks or [pa.array([], column.type)]).dictionary_encode()
    known = pa.array([values.get(one) for one in encoded.dictionary.to_pylist()], kind)
    return known.take(encoded.indices)
