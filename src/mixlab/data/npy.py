"""Files that grow block by block: arrays whose length is known only at the end, and a full disk told as such."""

import errno
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy_format

from mixlab.config.problems import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT)


class BlockFile:
    """A file written in blocks, unbuffered, so that a full disk is met by the block that does not fit.

    Raises DataError with the path, the bytes that block needs and the bytes that are free. A file whose writing fails,
    by that or by what happens within its `with`, is removed: it gives back what it took.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._file = path.open("wb", buffering=0)

    def write(self, block: bytes | memoryview) -> None:
        """Append a block."""
        rest = memoryview(block)
        try:
            while rest:  # the system may take a part of it
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._give_up(len(rest), error)
        self.bytes += len(block)

    def _give_up(self, needed: int, error: OSError) -> None:
        self._file.close()
        free = shutil.disk_usage(self.path.parent).free
        self.path.unlink(missing_ok=True)
        raise DataError(
            f"{self.path}: the disk is full: after {self.bytes} bytes the next {needed} do not fit, {free} are free; "
            "free space and run again, finished work is kept"
        ) from error

    def rewrite(self, block: bytes) -> None:
        """Overwrite the beginning of the file."""
        os.pwrite(self._file.fileno(), block, 0)

    def close(self) -> None:
        """Close it; allowed twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is not None:
            self.path.unlink(missing_ok=True)


class RowsFile(BlockFile):
    """An array of whole numbers appended row by row; once closed, byte for byte what `np.save` writes of the whole.

    `columns` is the length of a row, None for single numbers; `dtype` is int64 unless said.
    """

    def __init__(self, path: Path, columns: int | None = None, dtype: str = "<i8") -> None:
        super().__init__(path)
        self.rows = 0
        self._columns = columns
        self._dtype = dtype
        self.write(self._header())

    def append(self, rows: Any) -> None:
        """Append rows: whole numbers [n] or [n, columns]."""
        block = np.ascontiguousarray(rows, dtype=self._dtype)
        self.rows += len(block)
        self.write(block.tobytes())

    def _header(self) -> bytes:
        shape = (self.rows,) if self._columns is None else (self.rows, self._columns)
        found = _Bytes()
        # numpy pads the header so that it can grow in place: it is as long for no row as for 10^20
        npy_format.write_array_header_1_0(found, {"descr": self._dtype, "fortran_order": False, "shape": shape})
        return bytes(found)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.rewrite(self._header())
        super().__exit__(kind, error, trace)


class _Bytes(bytearray):
    def write(self, block: bytes) -> None:
        self.extend(block)
