"""Which records of a source are left, after a chain of filters: an array of those that are not."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixlab.config.problems import DataError
from mixlab.data.records import Record
from mixlab.data.writing import write_json

EXCLUDED = "excluded.npy"

Ordinals = npt.NDArray[np.int64]
"""Sorted positions of records among those that a root source yields."""


def read_excluded(folder: Path) -> Ordinals:
    """Read the sorted ordinals that a filter and those before it exclude."""
    excluded: Ordinals = np.load(folder / EXCLUDED, allow_pickle=False)
    return excluded


def write_selection(
    out: Path,
    before: Ordinals | None,
    own: Ordinals,
    total: int,
    reasons: Mapping[str, int],
    flagged: Mapping[str, Mapping[str, int]] | None = None,
    *,
    may_be_empty: bool = False,
) -> None:
    """Write `excluded.npy` (before and own, sorted) and `index.json` {records_in, records, excluded, reasons}.

    `total` counts the records of the root source; `own` is disjoint from `before`. Raises DataError when no record
    is left, unless it `may_be_empty`.
    """
    earlier = np.empty(0, np.int64) if before is None else before
    excluded = np.union1d(earlier, own).astype(np.int64)
    entering = total - len(earlier)
    if len(excluded) >= total and not may_be_empty:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none came in"
        raise DataError(
            f"no record is left of {entering}: {told}; loosen this filter, or leave the source out of the mixtures"
        )
    np.save(out / EXCLUDED, excluded, allow_pickle=False)
    index: dict[str, object] = {
        "records_in": entering,
        "records": total - len(excluded),
        "excluded": len(own),
        "reasons": dict(reasons),
    }
    if flagged is not None:
        index["flagged"] = {kind: dict(counts) for kind, counts in flagged.items()}
    write_json(out / "index.json", index)


def skip_excluded(records: Iterable[tuple[int, Record]], excluded: Ordinals | None) -> Iterator[tuple[int, Record]]:
    """Yield the (ordinal, record) pairs, in ascending order, whose ordinal is not in the sorted `excluded`."""
    if excluded is None or not len(excluded):
        yield from records
        return
    at, last = 0, len(excluded)
    for ordinal, record in records:
        while at < last and excluded[at] < ordinal:
            at += 1
        if at < last and excluded[at] == ordinal:
            continue
        yield ordinal, record
