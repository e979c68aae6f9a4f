"""The bytes of a file, gzip and zstd unpacked on the way; what a file is, is said by its first bytes."""

import gzip
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from mixlab.data.files.rows import BrokenFile

_GZIP = b"\x1f\x8b"
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)
"""A frame, or a skippable frame; https://www.rfc-editor.org/rfc/rfc8878 section 3.1"""
_BUFFER_BYTES = 1 << 17

_MISTAKEN = (
    (b"PAR1", "parquet: set `format: parquet`"),
    (b"ARROW1", "arrow: set `format: arrow`"),
    (b"\xff\xff\xff\xff", "arrow: set `format: arrow`"),
    (b"\xff\xfe\x00\x00", "UTF-32: save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32: save it as UTF-8"),
    (b"\xff\xfe", "UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16: save it as UTF-8"),
    (b"PK\x03\x04", "a zip archive: unpack it"),
    (b"\xfd7zXZ\x00", "packed with xz: pack it with gzip or zstd, or not at all"),
    (b"BZh91AY&SY", "packed with bzip2: pack it with gzip or zstd, or not at all"),
    (b"SQLite format 3\x00", "an SQLite data base: export its records"),
)


def packing(path: Path) -> str | None:
    """Say how a file is packed: gzip, zstd, or None."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if _ZSTD.match(head) else None


def find_mistake(head: bytes) -> str | None:
    """Say what a file is whose first unpacked bytes show that it holds no text in UTF-8, and the cure."""
    return next((what for magic, what in _MISTAKEN if head.startswith(magic)), None)


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading its unpacked bytes; several gzip members or zstd frames read as one.

    Reading raises EOFError, gzip.BadGzipFile, zlib.error or BrokenFile when packed bytes are damaged or cut.
    """
    packed = packing(path)
    if packed == "gzip":
        with gzip.open(path) as file:
            yield cast(BinaryIO, file)
    elif packed == "zstd":
        with _ZstdFile(path) as raw, io.BufferedReader(raw, _BUFFER_BYTES) as buffered:
            yield buffered
    else:
        with path.open("rb", buffering=_BUFFER_BYTES) as plain:
            yield plain


class _ZstdFile(io.RawIOBase):
    """Arrow's streaming decompressor as a file."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._invalid = pa.ArrowInvalid
        self._stream: Any = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._stream.readinto(buffer))
        except (OSError, self._invalid) as error:
            raise BrokenFile(f"the zstd file is broken: {error}") from error

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
