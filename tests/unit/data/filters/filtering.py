"""Run a filter on records in memory and read back what it wrote."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.data.filters.write import write_filter
from mixlab.data.sources.selection import read_excluded, skip_excluded


@dataclass(frozen=True)
class Filtered:
    excluded: list[int]
    rows: list[dict[str, Any]]
    index: dict[str, Any]
    folder: Path


def texts(*values: str) -> list[dict[str, Any]]:
    return [{"text": value} for value in values]


def dialogue(*turns: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]}


def apply_filter(folder: Path, settings: Any, records: list[dict[str, Any]], before=(), against=(), **inputs: Any):
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir(parents=True, exist_ok=True)
    excluded = np.array(sorted(before), np.int64)
    write_filter(
        settings,
        lambda: skip_excluded(enumerate(records), excluded),
        len(records),
        excluded if len(excluded) else None,
        out,
        against=[lambda other=other: iter(other) for other in against],
        scratch=scratch,
        **inputs,
    )
    rows = [json.loads(line) for line in (out / "exclusions.jsonl").read_text(encoding="utf-8").splitlines()]
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    return Filtered(read_excluded(out).tolist(), rows, index, out)
