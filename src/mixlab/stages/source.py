"""Host of stage source: records of a generator, or an index of files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixlab.config.filters import LabelFilter
from mixlab.config.sources import FilesOrigin, SourceSettings
from mixlab.data.records import Record
from mixlab.data.sources.selection import read_excluded, skip_excluded
from mixlab.data.sources.source import build_source, open_source
from mixlab.plan.specs import FilterSpec, SourceSpec
from mixlab.stages.job import Inputs


def run(spec: SourceSpec, inputs: Inputs, out: Path) -> None:
    """Write the records of a generator, or the index of the files that hold them."""
    build_source(spec.source, locate(spec.source, inputs), out)


def locate(settings: SourceSettings, inputs: Inputs) -> list[tuple[str, Path]]:
    """Pair the digests of a file source, its joined files included, with their paths on this machine."""
    origin = settings.origin
    if not isinstance(origin, FilesOrigin):
        return []
    joined = origin.joined.digests if origin.joined is not None else ()
    return inputs.located([*origin.digests, *joined])


def read_source(
    spec: object, artifact: Path, inputs: Inputs, first: int = 0, last: int | None = None
) -> Iterator[Record]:
    """Yield records [first, last) of a source: a generator's from its artifact, a file source's from its files."""
    if not isinstance(spec, SourceSpec):
        raise TypeError(f"expected the spec of a source, got {type(spec).__name__}")
    return open_source(spec.source, artifact, locate(spec.source, inputs), first, last)


@dataclass(frozen=True)
class DatasetInput:
    """The records a stage works on: a source's, or those that a chain of filters leaves of it."""

    inputs: Inputs
    folder: Path
    root: Path
    root_spec: object
    is_filtered: bool
    is_part: bool
    """Whether it is what a label left: a category may well have no record at all."""

    def numbered(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, Record]]:
        """Yield the records with ordinals in [first, last) that no filter excluded, each with its ordinal."""
        records = enumerate(read_source(self.root_spec, self.root, self.inputs, first, last), first)
        return skip_excluded(records, read_excluded(self.folder)) if self.is_filtered else records


def open_dataset(inputs: Inputs) -> DatasetInput:
    """Open the records behind role `source`; behind a filter the source itself stands in role `records`."""
    last = inputs.spec("source")
    is_filtered = isinstance(last, FilterSpec)
    is_part = isinstance(last, FilterSpec) and isinstance(last.filter, LabelFilter)
    role = "records" if is_filtered else "source"
    return DatasetInput(inputs, inputs.one("source"), inputs.one(role), inputs.spec(role), is_filtered, is_part)
