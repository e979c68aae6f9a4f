"""Reader of parquet files: only the columns asked for, a few rows at a time, never a page larger than fits."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mixlab.config.origins import FileLayout
from mixlab.data.files.columns import find_twice, rows_of_batch
from mixlab.data.files.parquet_pages import read_pages
from mixlab.data.files.rows import MIB, BrokenFile, Row, Stretch

_BATCH_BYTES = 8 * MIB
_MOST_ROWS = 1024
_SMALLEST_PAGE_LIMIT = 96 * MIB
"""Reading takes about three times the page that is read: so that it stays below 500 MB."""


def read_parquet(path: Path, layout: FileLayout, stretch: Stretch, columns: frozenset[str]) -> Iterator[Row]:
    """Yield {column: value} of each row. Row groups are where reading can be taken up."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(str(path), pre_buffer=False, buffer_size=MIB) as file:
            if twice := find_twice(file.schema_arrow, columns):
                yield Row(0, fault=twice)
                return
            for group in _groups(file, path, columns, layout.max_record_mib * MIB):
                number = group.rows_before
                if group.start >= stretch.offset and (stretch.end is None or group.start < stretch.end):
                    for row in _read_group(file, group, layout.max_record_mib * MIB):
                        number = row.number
                        yield row
    except (pa.ArrowException, OSError, BrokenFile) as error:
        if isinstance(error, FileNotFoundError):
            raise
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        fault = f"the parquet file is broken: {told}; the rest of the file is not read"
        yield Row(number + 1, fault=fault, stops=True)


@dataclass(frozen=True)
class _Group:
    """A row group: its columns that are read, its place, and how much of it can be read in bounded memory."""

    index: int
    columns: list[str]
    start: int
    end: int | None
    rows_before: int
    rows: int
    readable_rows: int
    batch_rows: int
    fault: str


def _groups(file: Any, path: Path, wanted: frozenset[str], limit: int) -> Iterator[_Group]:
    meta, names = file.metadata, [name for name in file.schema_arrow.names if name in wanted]
    spans = [_span(meta.row_group(index)) for index in range(meta.num_row_groups)]
    in_order = all(one[1] <= other[0] for one, other in pairwise(spans))
    rows = 0
    for index, span in enumerate(spans):
        count = meta.row_group(index).num_rows
        readable, batch, fault = _measure(file, path, index, wanted, limit) if count else (0, 1, "")
        start, end = span if in_order else (0, None)
        yield _Group(index, names, start, end, rows, count, min(readable, count), batch, fault)
        rows += count


def _span(group: Any) -> tuple[int, int]:
    chunks = [_chunk_span(group.column(at)) for at in range(group.num_columns)]
    return min((start for start, _ in chunks), default=0), max((start + size for start, size in chunks), default=0)


def _chunk_span(chunk: Any) -> tuple[int, int]:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        start = min(start, chunk.dictionary_page_offset)
    return start, chunk.total_compressed_size


def _measure(file: Any, path: Path, index: int, wanted: frozenset[str], limit: int) -> tuple[int, int, str]:
    """Of a row group: how many of its rows can be read, how many at a time, and why not more."""
    group, most = file.metadata.row_group(index), max(_SMALLEST_PAGE_LIMIT, 6 * limit)
    readable, batch, fault = group.num_rows, _MOST_ROWS, ""
    row_bytes = 1.0
    with path.open("rb") as raw:
        for at in range(group.num_columns):
            chunk = group.column(at)
            if chunk.path_in_schema.split(".")[0] not in wanted:
                continue
            is_nested = file.schema.column(at).max_repetition_level > 0
            rows, densest = 0, chunk.total_uncompressed_size / max(group.num_rows, 1)
            for page in read_pages(raw, *_chunk_span(chunk)):
                if page.unpacked_bytes > most:
                    readable = min(readable, 0 if is_nested else rows)
                    size = f"{page.unpacked_bytes // MIB} MiB, more than the {most // MIB} MiB"
                    fault = f"row group {index + 1}, column {chunk.path_in_schema}: a page of {size}"
                    break
                if not page.is_dictionary:
                    rows += page.values
                    densest = max(densest, page.unpacked_bytes / max(page.values, 1))
            row_bytes += densest * (4 if is_nested else 1)
    batch = max(1, min(batch, int(_BATCH_BYTES / row_bytes)))
    return readable, batch, fault


def _read_group(file: Any, group: _Group, limit: int) -> Iterator[Row]:
    number, last = group.rows_before, group.rows_before + group.rows
    if group.readable_rows:
        batches = file.iter_batches(
            batch_size=group.batch_rows, row_groups=[group.index], columns=group.columns, use_threads=False
        )
        for batch in batches:
            batch = batch.slice(0, group.rows_before + group.readable_rows - number)
            for row in rows_of_batch(batch, number, limit):
                number = row.number
                yield Row(number, row.value, row.fault, group.end if number == last else None)
            if number >= group.rows_before + group.readable_rows:
                break
    cure = "that fit in memory; this record lies in it or behind it: raise max_record_mib, or write smaller pages"
    for unread in range(number + 1, last + 1):
        yield Row(unread, fault=f"{group.fault} {cure}", end=group.end if unread == last else None)
