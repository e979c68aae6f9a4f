"""Reading what was indexed: only the files and blocks asked for, each compared with the index first."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from mixlab.config.origins import FilesOrigin
from mixlab.config.problems import DataError
from mixlab.config.sources import SourceSettings
from mixlab.data.files.blocks import Block, FileCard, verify_block
from mixlab.data.files.readers import check_digest, read_rows
from mixlab.data.files.rows import WHOLE, Stretch
from mixlab.data.records import Record
from mixlab.data.sources.reading import Faults, RecordMaker, match_files

_HEAD_FIRST = ("csv", "tsv", "arrow")
"""Formats whose first bytes say how the rest is read: names of columns, a schema."""
_FOOT_FIRST = ("parquet",)


def read_indexed(
    settings: SourceSettings, cards: Sequence[FileCard], files: Sequence[tuple[str, Path]], first: int, last: int
) -> Iterator[Record]:
    """Yield records [first, last) of the files of a source, which `cards` tells in reading order.

    Files and blocks without a wanted record are not read; the others are hashed first. A packed file and a json list
    are read from the start. Raises DataError when bytes or records are not those that were indexed.
    """
    origin = settings.origin
    if not isinstance(origin, FilesOrigin):
        raise DataError("this source is made by a generator; it has no files to read")
    paths = match_files(origin.digests, files)
    before = 0
    for card in cards:
        here = range(max(first - before, 0), min(last - before, card.records))
        before += card.records
        if here:
            yield from _FileReader(settings, origin, card, paths[card.digest]).read(here)
        if before >= last:
            return


class _FileReader:
    """Reads stretches of one indexed file."""

    def __init__(self, settings: SourceSettings, origin: FilesOrigin, card: FileCard, path: Path) -> None:
        self._settings, self._origin, self._card, self._path = settings, origin, card, path

    def read(self, wanted: range) -> Iterator[Record]:
        blocks = self._card.blocks
        if not blocks:
            check_digest(self._path, self._card.digest)
            yield from self._stretch(WHOLE, self._card.records, wanted)
            return
        if not self._path.is_file() or self._path.stat().st_size != self._card.bytes:
            raise DataError(f"{self._path}: not there, or not of the size that was indexed; put the locked file back")
        verified: set[int] = set()
        records = rows = 0
        for number, block in enumerate(blocks):
            here = range(max(wanted.start - records, 0), min(wanted.stop - records, block.records))
            if here:
                for needed in (*self._context(blocks), number):
                    if needed not in verified:
                        verify_block(self._path, blocks[needed])
                        verified.add(needed)
                end = None if number == len(blocks) - 1 else block.offset + block.bytes
                yield from self._stretch(Stretch(block.offset, end, rows), block.records, here)
            records, rows = records + block.records, rows + block.rows

    def _context(self, blocks: Sequence[Block]) -> tuple[int, ...]:
        if self._origin.format in _HEAD_FIRST:
            return (0,)
        return (len(blocks) - 1,) if self._origin.format in _FOOT_FIRST else ()

    def _stretch(self, stretch: Stretch, records: int, wanted: range) -> Iterator[Record]:
        maker, count = RecordMaker(self._settings), 0
        faults = Faults(self._settings, lambda exclusion: None)
        columns = self._origin.fields.columns(self._origin.select)
        for row in read_rows(self._path, self._origin, columns, stretch):
            if count == records or count >= wanted.stop:
                break
            fault, record = maker.make(row)
            if fault is not None:
                faults.add(self._card.digest, str(self._path), row.number, fault)
            if record is not None:
                if count >= wanted.start:
                    yield record
                count += 1
        faults.close()
        if count < min(records, wanted.stop):
            raise DataError(
                f"{self._path}: {count} records were found where {records} were indexed; run `mixlab verify`, "
                "or make the source again"
            )


class RecordDigest:
    """Digest of a run of records, for sources whose bytes are not ours to hash."""

    def __init__(self) -> None:
        self._found = hashlib.sha256()
        self.bytes = self.records = 0

    def add(self, line: str) -> None:
        """Take one more record, as its line of JSON."""
        data = line.encode("utf-8")
        self._found.update(data)
        self.bytes += len(data)
        self.records += 1

    def hexdigest(self) -> str:
        """Digest of all lines taken."""
        return self._found.hexdigest()
