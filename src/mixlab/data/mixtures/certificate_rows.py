"""Certificates as rows, for tables and pages."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from mixlab.data.mixtures.certificate import name_raw_part, round_ratio
from mixlab.data.writing import read_json

_COUNTS = (
    *("requested", "population_tokens", "allocated_tokens", "target_tokens", "response_tokens", "windows"),
    *("padding_tokens", "cut_tokens"),
)


def read_certificate(path: Path) -> dict[str, Any]:
    """Read `certificate.json` into rows, as `expand_certificate` says."""
    return expand_certificate(read_json(path))


def expand_certificate(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the columns of a certificate into rows.

    `sources` become a list of rows with `position`, `kind`, `language`, `category` (None for raw) and shares of the
    whole: `requested_ratio_float`, `observed_ratio`, `target_ratio`, `response_ratio`, and `repetition`, the epochs.
    Each axis maps part to row: those shares, `feasible_ratio` too, and the sums of its sources' counts. `total` has the
    sums over all sources. The rest is as in the file.
    """
    unit = certificate["unit"]
    rows = [_source_row(at, row) for at, row in enumerate(_rows(certificate["sources"]))]
    total = _sum_rows(rows)
    counted = "windows" if unit == "windows" else "allocated_tokens"
    for row in rows:
        row["observed_ratio"] = round_ratio(row[counted], total[counted]) or 0.0
        row["target_ratio"] = round_ratio(row["target_tokens"], total["target_tokens"])
        row["response_ratio"] = round_ratio(row["response_tokens"], total["response_tokens"])
    axes = {}
    for axis, columns in certificate["axes"].items():
        parts = {}
        for row in _rows(columns):
            members = [one for one in rows if _part_of(one, axis, columns["part"]) == row["part"]]
            row.setdefault("feasible_ratio", row["requested_ratio"])
            row["requested_ratio_float"] = float(Fraction(row["requested_ratio"]))
            row["feasible_ratio_float"] = float(Fraction(row["feasible_ratio"]))
            parts[row.pop("part")] = _sum_rows(members) | row
        axes[axis] = parts
    whole = {"requested_ratio": "1", "requested_ratio_float": 1.0, "observed_ratio": 1.0}
    return {**certificate, "sources": rows, "axes": axes, "total": total | whole}


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _source_row(at: int, row: dict[str, Any]) -> dict[str, Any]:
    language, _, rest = row["label"].partition("/")
    labels: dict[str, Any] = {"position": at, "kind": "instruction", "language": language, "category": rest}
    if not rest:
        labels |= {"kind": "raw", "language": language.partition(" ")[0], "category": None}
    return (
        labels
        | row
        | {
            "requested_ratio_float": float(Fraction(row["requested_ratio"])),
            "repetition": row["epochs"],
        }
    )


def _part_of(row: Mapping[str, Any], axis: str, parts: Sequence[str]) -> str | None:
    """The part of an axis that a source belongs to; None when it belongs to none."""
    if axis == "instruction":
        return str(row["kind"])
    if (axis == "raw") != (row["kind"] == "raw"):
        return None
    if axis == "raw":
        return name_raw_part(row["language"], row.get("raw_group", -1), "raw_group" in row)
    return str({"language": row["language"], "category": row["category"]}.get(axis, row["label"]))


def _sum_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sums: dict[str, Any] = {name: sum(row[name] for row in rows) for name in _COUNTS}
    there = sum(row["population_tokens"] for row in rows)
    return sums | {"repetition": round_ratio(sums["allocated_tokens"], there) or 0.0}
