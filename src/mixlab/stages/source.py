"""Host of stage source: records of a generator, or an index of files."""

from collections.abc import Iterator
from pathlib import Path

from mixlab.config.sources import FilesOrigin, SourceSettings
from mixlab.data.records import Record
from mixlab.data.source import build_source, open_source
from mixlab.plan.specs import SourceSpec
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


def read_source(spec: object, artifact: Path, inputs: Inputs) -> Iterator[Record]:
    """Yield the records of a parent source: a generator's from its artifact, a file source's from its files."""
    if not isinstance(spec, SourceSpec):
        raise TypeError(f"expected the spec of a source, got {type(spec).__name__}")
    return open_source(spec.source, artifact, locate(spec.source, inputs))
