"""The generators a source may name."""

from collections.abc import Iterator

from mixlab.config.sources import GeneratorOrigin
from mixlab.data.records import Record
from mixlab.data.sources.invented_world import generate_world_records


def generate_records(kind: str, origin: GeneratorOrigin) -> Iterator[Record]:
    """Yield exactly `origin.size` records of `kind`; raises DataError when there are not so many distinct ones."""
    return generate_world_records(kind, origin.options, seed=origin.seed, size=origin.size)
