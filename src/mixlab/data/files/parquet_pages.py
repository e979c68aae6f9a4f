"""The sizes of the pages of a parquet file: what must be known before a page is unpacked whole.

A page is the least that can be read, and its size unpacked stands in its header alone, which pyarrow does not show.
Headers are structs of Thrift's compact protocol: PageHeader in
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from mixlab.data.files.rows import BrokenFile

_UNPACKED, _PACKED, _DATA, _DICTIONARY, _DATA_V2 = 2, 3, 5, 7, 8
_VALUES = 1
_PROBE_BYTES = 1 << 12
_LONGEST_HEADER_BYTES = 1 << 24


@dataclass(frozen=True)
class Page:
    """One page: its size unpacked, how many values it holds, and whether it is the dictionary of its column."""

    unpacked_bytes: int
    values: int
    is_dictionary: bool


def read_pages(file: BinaryIO, start: int, length: int) -> Iterator[Page]:
    """Yield the pages of a column chunk at bytes [start, start + length); raises BrokenFile for what is no page."""
    at = start
    while at < start + length:
        header, header_bytes = _read_header(file, at)
        try:
            details = header.get(_DATA) or header.get(_DATA_V2) or header.get(_DICTIONARY) or {}
            page = Page(header[_UNPACKED], details.get(_VALUES, 0), _DICTIONARY in header)
            packed = header[_PACKED]
        except (KeyError, AttributeError):
            raise BrokenFile(f"no page header at byte {at}") from None
        if packed < 0 or page.unpacked_bytes < 0:
            raise BrokenFile(f"a page of negative size at byte {at}")
        yield page
        at += header_bytes + packed


def _read_header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    size = _PROBE_BYTES
    while True:
        file.seek(at)
        data = file.read(size)
        compact = _Compact(data)
        try:
            return compact.struct(), compact.at
        except IndexError:
            if len(data) < size or size >= _LONGEST_HEADER_BYTES:
                raise BrokenFile(f"no page header at byte {at}") from None
            size *= 16


class _Compact:
    """Reads structs of Thrift's compact protocol into dicts by field id; raises IndexError at the end of the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 70:
                raise IndexError("no varint")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _bytes(self, length: int) -> bytes:
        if self.at + length > len(self._data):
            raise IndexError("behind the end")
        self.at += length
        return self._data[self.at - length : self.at]

    def struct(self) -> dict[int, Any]:
        """Read a struct up to its stop field."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 0x0F
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 0x0F) for _ in range(size)]
        if kind == 12:
            return self.struct()
        raise IndexError("no such type in a page header")
