"""The filter stage: which records a filter leaves out, why, and what is left."""

import logging
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mixlab.config.filters import (
    ContaminationFilter,
    ExactDuplicates,
    FilterSettings,
    LabelFilter,
    Length,
    NearDuplicates,
)
from mixlab.config.problems import DataError
from mixlab.data.filters.exact import find_exact_duplicates
from mixlab.data.filters.exclusion import Exclusion, Numbered, Others
from mixlab.data.filters.length import find_unfit
from mixlab.data.filters.near import find_near_duplicates
from mixlab.data.filters.personal import Flags, find_personal_data
from mixlab.data.filters.verdicts import find_contaminated, find_other_labels
from mixlab.data.sources.selection import Ordinals, write_selection
from mixlab.data.writing import write_line

_LOG = logging.getLogger(__name__)


def write_filter(
    settings: FilterSettings,
    records: Numbered,
    total: int,
    before: Ordinals | None,
    out: Path,
    *,
    tokenizer: Path | None = None,
    against: Others = (),
    labels: Path | None = None,
    contamination: Path | None = None,
    benchmarks: Sequence[str] = (),
    scratch: Path,
) -> None:
    """Write `exclusions.jsonl`, `excluded.npy` and `index.json` of one filter over a source.

    `records` opens what is not excluded in `before`, `total` counts the records of the root source. Each exclusion is
    {"record": ordinal, "reason", details}. `personal_data` that flags writes `flagged.jsonl` beside.
    `benchmarks` are the names of those that contamination counts by position, for messages alone.
    Raises DataError when no record is left (a category of a labelled source may have none), and when contamination
    is to fail and was found.
    """
    flags = Flags(out)
    inputs = {"tokenizer": tokenizer, "labels": labels, "contamination": contamination}
    found = _find(settings, records, before, against, inputs, benchmarks, scratch, flags)
    own, reasons = array("q"), Counter[str]()
    # what a label leaves out is another part of the source and no loss: labels.npy says where it went
    is_part = isinstance(settings, LabelFilter)
    with flags, (out / "exclusions.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for exclusion in found:
            own.append(exclusion.record)
            reasons[exclusion.reason] += 1
            if not is_part:
                write_line(file, {"record": exclusion.record, "reason": exclusion.reason, **exclusion.details})
    write_selection(out, before, np.array(own, np.int64), total, reasons, flags.counts(), may_be_empty=is_part)
    _LOG.info("%s: %d of %d records left out", settings.type, len(own), total - (0 if before is None else len(before)))


def _find(
    settings: FilterSettings,
    records: Numbered,
    before: Ordinals | None,
    against: Others,
    inputs: dict[str, Path | None],
    benchmarks: Sequence[str],
    scratch: Path,
    flags: Flags,
) -> Iterator[Exclusion]:
    if isinstance(settings, ExactDuplicates):
        return find_exact_duplicates(settings, records, against, scratch)
    if isinstance(settings, NearDuplicates):
        return find_near_duplicates(settings, records, against, scratch)
    if isinstance(settings, Length):
        return find_unfit(settings, records, _given(inputs, "tokenizer"))
    if isinstance(settings, ContaminationFilter):
        return find_contaminated(settings, _given(inputs, "contamination"), before, benchmarks)
    if isinstance(settings, LabelFilter):
        return find_other_labels(settings, _given(inputs, "labels"), before)
    return find_personal_data(settings, records, flags)


def _given(inputs: dict[str, Path | None], name: str) -> Path:
    folder = inputs[name]
    if folder is None:
        raise DataError(f"this filter needs a {name} artifact, and none was given")
    return folder
