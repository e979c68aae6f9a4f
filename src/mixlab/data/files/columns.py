"""Rows of Arrow's record batches."""

from collections.abc import Iterator
from typing import Any

from mixlab.data.files.rows import Row, too_large, twice_fault, utf8_fault


def find_twice(schema: Any, wanted: frozenset[str]) -> str | None:
    """Say which columns of a pyarrow Schema, or fields within a column that is read, have one name."""
    if fault := twice_fault(schema.names):
        return f"the columns: {fault}"
    for name in schema.names:
        if name in wanted and (fault := _find_twice_within(schema.field(name).type)):
            return f"the fields of column {name}: {fault}"
    return None


def _find_twice_within(kind: Any) -> str | None:
    import pyarrow as pa

    inner = [kind.field(at) for at in range(kind.num_fields)]
    fault = twice_fault(field.name for field in inner) if pa.types.is_struct(kind) else None
    return fault or next((found for field in inner if (found := _find_twice_within(field.type))), None)


def rows_of_batch(batch: Any, rows_before: int, limit_bytes: int) -> Iterator[Row]:
    """Yield a row of each row of a pyarrow RecordBatch; a large one is not turned into Python objects."""
    if batch.nbytes <= limit_bytes:
        try:
            values = batch.to_pylist()
        except UnicodeDecodeError:
            pass
        else:
            for number, value in enumerate(values, rows_before + 1):
                yield Row(number, value)
            return
    for at in range(batch.num_rows):
        yield _row(batch.slice(at, 1), rows_before + at + 1, limit_bytes)


def _row(one: Any, number: int, limit_bytes: int) -> Row:
    if one.nbytes > limit_bytes:
        return Row(number, fault=too_large(limit_bytes))
    try:
        return Row(number, one.to_pylist()[0])
    except UnicodeDecodeError as error:
        return Row(number, fault=utf8_fault(error))
