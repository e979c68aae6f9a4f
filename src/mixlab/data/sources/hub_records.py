"""Records of a hub data set: indexed by runs of records, since the bytes on disk are those of the library's cache."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mixlab.config.origins import FileLayout, HubOrigin
from mixlab.config.problems import DataError
from mixlab.config.sources import SourceSettings
from mixlab.data.files.arrow import MappedArrow
from mixlab.data.files.blocks import BLOCK_BYTES
from mixlab.data.files.readers import read_rows
from mixlab.data.files.rows import BrokenFile, Row, Stretch
from mixlab.data.records import Record
from mixlab.data.sources.hub import fetch_split
from mixlab.data.sources.indexed import RecordDigest
from mixlab.data.sources.reading import Faults, OnExcluded, RecordMaker

_LOG = logging.getLogger(__name__)

Blocks = list[dict[str, Any]]
"""Runs of records: {rows, records, sha256}, the digest over their lines of JSON."""


def index_hub(settings: SourceSettings, on_excluded: OnExcluded, on_unselected: Callable[[], None]) -> Blocks:
    """Read a hub source for the first time. Raises DataError with every bad record when they are to fail."""
    origin = _hub_origin(settings)
    faults, maker = Faults(settings, on_excluded), RecordMaker(settings, on_unselected=on_unselected)
    blocks: Blocks = []
    digest, rows_before, taken = RecordDigest(), 0, 0
    rows = _rows(origin, fetch_split(origin), 0)
    number = 0
    for row in rows:
        number = row.number
        fault, record = maker.make(row)
        if fault is not None:
            faults.add(origin.revision, f"hub data set {origin.id}, split {origin.split}", number, fault)
        if record is None:
            continue
        digest.add(_line(record))
        taken += 1
        if digest.bytes >= BLOCK_BYTES:
            _LOG.info("%s: %d records read", origin.id, taken)
            blocks.append(_block(digest, number - rows_before))
            digest, rows_before = RecordDigest(), number
        if taken == origin.limit:
            break
    if digest.records:
        blocks.append(_block(digest, number - rows_before))
    faults.close()
    return blocks


def read_hub(settings: SourceSettings, blocks: Blocks, first: int, last: int) -> Iterator[Record]:
    """Yield records [first, last); whole blocks are read and compared with the index.

    Raises DataError behind a block whose records are not those that were indexed.
    """
    origin = _hub_origin(settings)
    paths = fetch_split(origin)
    records = rows_before = 0
    for block in blocks:
        if records >= last:
            return
        if records + block["records"] > first:
            here = range(first - records, last - records)
            yield from _read_block(settings, paths, block, rows_before, here)
        records, rows_before = records + block["records"], rows_before + block["rows"]


def _read_block(
    settings: SourceSettings, paths: Sequence[Path], block: dict[str, Any], rows_before: int, wanted: range
) -> Iterator[Record]:
    origin, maker, digest = _hub_origin(settings), RecordMaker(settings), RecordDigest()
    rows = _rows(origin, paths, rows_before)
    for row in rows:
        if row.number > rows_before + block["rows"]:
            break
        _, record = maker.make(row)
        if record is None:
            continue
        digest.add(_line(record))
        if wanted.start < digest.records <= wanted.stop:
            yield record
    if digest.hexdigest() != block["sha256"]:
        raise DataError(
            f"hub data set {origin.id} at {origin.revision[:12]}: the records in the cache are not those that were "
            "indexed; empty the cache of `datasets` and fetch it again"
        )


def _rows(origin: HubOrigin, paths: Sequence[Path], rows_before: int) -> Iterator[Row]:
    """Rows of a split behind the first `rows_before`, numbered across its files.

    Raises DataError for a file that cannot be read to its end; one without rows is passed over.
    """
    layout = FileLayout(format="arrow", max_record_mib=origin.max_record_mib)
    columns = origin.fields.columns(origin.select)
    before = 0
    for path in paths:
        if path.stat().st_size == 0:
            continue
        stretch = _skip_rows(path, rows_before - before)
        for row in read_rows(path, layout, columns, stretch):
            if row.stops:
                where = f"hub data set {origin.id} at {origin.revision[:12]}: {path}"
                raise DataError(
                    f"{where}: {row.fault}; empty the cache of `datasets` and fetch it again; if it comes again, the "
                    "data set itself has the fault: name another revision, or mend a copy of it"
                )
            if row.number == 0:
                # a file that holds no row at all
                break
            if before + row.number > rows_before:
                yield Row(before + row.number, row.value, row.fault)
            stretch = Stretch(rows=max(stretch.rows, row.number))
        before += stretch.rows


def _skip_rows(path: Path, rows: int) -> Stretch:
    """Find where to take up reading so that whole batches of at most so many rows are passed over."""
    import pyarrow as pa

    stretch = Stretch()
    # what is broken is told by the reading that follows, with its place
    with suppress(pa.ArrowException, OSError, EOFError, BrokenFile):
        for batch, end in MappedArrow(path).batches(Stretch()):
            if stretch.rows + batch.num_rows > rows:
                break
            stretch = Stretch(end, None, stretch.rows + batch.num_rows)
    return stretch


def _block(digest: RecordDigest, rows: int) -> dict[str, Any]:
    return {"rows": rows, "records": digest.records, "sha256": digest.hexdigest()}


def _line(record: Record) -> str:
    return json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n"


def _hub_origin(settings: SourceSettings) -> HubOrigin:
    if not isinstance(settings.origin, HubOrigin):
        raise DataError("this source does not come from the hub")
    return settings.origin
