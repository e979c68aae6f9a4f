"""What a filter says of a record it leaves out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mixlab.data.records import Record

Numbered = Callable[[], Iterator[tuple[int, Record]]]
"""Opens the records that no earlier filter excluded, each with its ordinal, ascending."""
Others = Sequence[Callable[[], Iterator[Record]]]
"""Opens the records of each source that a source is compared with."""


@dataclass(frozen=True)
class Exclusion:
    """A record left out: its ordinal, a reason that is the same for all of a kind, and details of this one."""

    record: int
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


def render_earlier(starts: npt.NDArray[np.int64], document: int) -> tuple[str, dict[str, int]]:
    """Return the reason and the details of an earlier document, by its number over all sources.

    `starts` holds the first number of each source compared with, and of the source itself last.
    """
    source = int(np.searchsorted(starts, document, side="right")) - 1
    ordinal = document - int(starts[source])
    if source == len(starts) - 1:
        return "duplicate of an earlier record", {"duplicate_of": ordinal}
    return "duplicate of another source", {"duplicate_of": ordinal, "source": source}
