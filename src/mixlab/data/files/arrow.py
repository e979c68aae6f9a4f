"""Reader of Arrow files as `datasets` saves them: record batches, mapped into memory, a few rows at a time."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixlab.config.origins import FileLayout
from mixlab.data.files.columns import find_twice, rows_of_batch
from mixlab.data.files.rows import MIB, BrokenFile, Row, Stretch

_FILE_MAGIC = b"ARROW1\x00\x00"
_SLICE_BYTES, _SLICE_ROWS = 8 * MIB, 1024
_RESIDENT_BYTES = 32 * MIB


def read_arrow(path: Path, layout: FileLayout, stretch: Stretch, columns: frozenset[str]) -> Iterator[Row]:
    """Yield {column: value} of each row of a stream or file of Arrow's. Batches are where reading can be taken up."""
    import pyarrow as pa

    number = stretch.rows
    try:
        mapped = MappedArrow(path)
        if twice := find_twice(mapped.schema, columns):
            yield Row(0, fault=twice)
            return
        for batch, end in mapped.batches(stretch):
            chosen = batch.select([name for name in batch.schema.names if name in columns])
            last = number + batch.num_rows
            for row in _rows(mapped, chosen, number, layout.max_record_mib * MIB):
                number = row.number
                yield Row(number, row.value, row.fault, end if number == last else None)
    except (pa.ArrowException, OSError, EOFError, BrokenFile) as error:
        if isinstance(error, FileNotFoundError):
            raise
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        fault = f"the arrow file is broken: {told}; the rest of the file is not read"
        yield Row(number + 1, fault=fault, stops=True)


def _rows(mapped: "MappedArrow", batch: Any, rows_before: int, limit: int) -> Iterator[Row]:
    step = max(1, min(_SLICE_ROWS, int(_SLICE_BYTES * batch.num_rows / max(batch.nbytes, 1))))
    for at in range(0, batch.num_rows, step):
        yield from _checked_rows(batch.slice(at, step), rows_before + at, limit)
        mapped.release(batch.nbytes * step // max(batch.num_rows, 1))


def _checked_rows(batch: Any, rows_before: int, limit: int) -> Iterator[Row]:
    import pyarrow as pa

    try:
        if batch.nbytes <= limit:
            # offsets that point elsewhere must never be followed
            batch.validate(full=True)
        if batch.nbytes <= limit or batch.num_rows == 1:
            yield from rows_of_batch(batch, rows_before, limit)
            return
    except pa.ArrowInvalid as error:
        if batch.num_rows == 1:
            yield Row(rows_before + 1, fault=f"damaged: {str(error).splitlines()[0]}")
            return
    for at in range(batch.num_rows):
        yield from _checked_rows(batch.slice(at, 1), rows_before + at, limit)


class MappedArrow:
    """An Arrow file mapped into memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # closed when the last batch is gone: until then its rows lie in the map
        self._source = pa.BufferReader(pa.py_buffer(self._map))
        if self._map[: len(_FILE_MAGIC)] == _FILE_MAGIC:
            self._source.seek(len(_FILE_MAGIC))
        self.schema = pa.ipc.read_schema(pa.ipc.read_message(self._source))
        self._first = self._source.tell()
        self._resident = 0

    def batches(self, stretch: Stretch) -> Iterator[tuple[Any, int]]:
        """Yield the record batches of a stretch, each with the byte behind it."""
        import pyarrow as pa

        at = max(self._first, stretch.offset)
        while stretch.end is None or at < stretch.end:
            if at >= len(self._map):
                raise BrokenFile("it ends without its end mark, so it is cut")
            self._source.seek(at)
            try:
                message = pa.ipc.read_message(self._source)
            except EOFError:
                return
            if message.type != "record batch":
                raise BrokenFile(f"a {message.type} stands where a record batch is expected; save it with `datasets`")
            at = self._source.tell()
            yield pa.ipc.read_record_batch(message, self.schema), at

    def release(self, read_bytes: int) -> None:
        """Hear that about so many bytes were read, and let go of the pages now and then.

        Mapped pages that were read count as memory of the process until then.
        """
        self._resident += read_bytes
        if hasattr(mmap, "MADV_DONTNEED") and self._resident > _RESIDENT_BYTES:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._resident = 0
