"""Host of stage filter."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mixlab.data.filters.write import write_filter
from mixlab.data.records import Record
from mixlab.data.sources.selection import read_excluded
from mixlab.data.sources.source import count_records
from mixlab.plan.specs import FilterSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import open_dataset, read_source


def run(spec: FilterSpec, inputs: Inputs, out: Path) -> None:
    """Write which records of a source are excluded from here on, and why."""
    data = open_dataset(inputs)
    write_filter(
        spec.filter,
        data.numbered,
        count_records(data.root),
        read_excluded(data.folder) if data.is_filtered else None,
        out,
        tokenizer=_optional(inputs, "tokenizer"),
        against=[partial(_read, inputs, position) for position in range(len(inputs.folders.get("against", ())))],
        labels=_optional(inputs, "labels"),
        contamination=_optional(inputs, "contamination"),
        benchmarks=_name_benchmarks(inputs),
        scratch=inputs.scratch(),
    )


def _optional(inputs: Inputs, role: str) -> Path | None:
    return inputs.one(role) if role in inputs.folders else None


def _name_benchmarks(inputs: Inputs) -> list[str]:
    nodes = inputs.plan.nodes
    searched = [nodes[key] for key in inputs.node.parents.get("contamination", ())]
    return [nodes[key].label for node in searched for key in node.parents.get("benchmarks", ())]


def _read(inputs: Inputs, position: int) -> Iterator[Record]:
    return read_source(inputs.specs["against"][position], inputs.all("against")[position], inputs)
