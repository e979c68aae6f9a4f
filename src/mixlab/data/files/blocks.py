"""The index of a large file: blocks at borders of records, so that a part of it can be read and verified alone."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixlab.config.origins import FileLayout
from mixlab.config.problems import DataError
from mixlab.data.files.readers import can_seek, read_pieces
from mixlab.data.files.rows import MIB, Row

BLOCK_BYTES = 64 * MIB
"""Size of a block at least; smaller files have none."""


@dataclass(frozen=True)
class Block:
    """Bytes [offset, offset + bytes) of a file: rows read there, records among them, digest of the bytes."""

    offset: int
    bytes: int
    rows: int
    records: int
    sha256: str


@dataclass(frozen=True)
class FileCard:
    """What the index says of one file; of a file that is small or cannot be read in parts there are no blocks.

    `truncated` says why the rest of the file was not read; empty for a file that was read to its end.
    """

    digest: str
    bytes: int
    records: int
    blocks: tuple[Block, ...] = ()
    truncated: str = ""

    def to_json(self) -> dict[str, Any]:
        """The card as plain values; without blocks, or where nothing was cut off, it has no such key."""
        card = asdict(self)
        if not self.blocks:
            del card["blocks"]
        if not self.truncated:
            del card["truncated"]
        return card

    @classmethod
    def from_json(cls, card: dict[str, Any]) -> "FileCard":
        """Read what `to_json` made."""
        blocks = tuple(Block(**block) for block in card.get("blocks", ()))
        return cls(card["digest"], card["bytes"], card["records"], blocks, card.get("truncated", ""))


def has_blocks(path: Path, layout: FileLayout) -> bool:
    """Whether a file is large enough to be indexed by blocks, and can be."""
    return path.stat().st_size >= BLOCK_BYTES and can_seek(path, layout)


class BlockCutter:
    """Cuts a file into blocks while its rows go by, and hashes it on the way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whole = hashlib.sha256()
        self._offset = self._rows = self._row = self._records = 0
        self._blocks: list[Block] = []

    def see(self, row: Row, is_record: bool) -> None:
        """Hear of the next row, and whether it became a record."""
        self._row = max(self._row, row.number)
        self._records += is_record
        if row.end is not None and row.end - self._offset >= BLOCK_BYTES:
            self._cut(row.end - self._offset)

    def _cut(self, size: int | None) -> None:
        block, found = hashlib.sha256(), 0
        for piece in read_pieces(self._path, self._offset, size):
            block.update(piece)
            self._whole.update(piece)
            found += len(piece)
        if found:
            rows = self._row - self._rows
            self._blocks.append(Block(self._offset, found, rows, self._records, block.hexdigest()))
            self._offset, self._rows, self._records = self._offset + found, self._row, 0

    def finish(self) -> tuple[str, int, tuple[Block, ...]]:
        """Take what is left as the last block; return digest and size of the file, and its blocks."""
        self._cut(None)
        return self._whole.hexdigest(), self._offset, tuple(self._blocks)


def verify_block(path: Path, block: Block) -> None:
    """Raise DataError unless the bytes of a block are those that were indexed."""
    found = hashlib.sha256()
    for piece in read_pieces(path, block.offset, block.bytes):
        found.update(piece)
    if found.hexdigest() != block.sha256:
        raise DataError(
            f"{path}: bytes {block.offset} to {block.offset + block.bytes} are not those that were indexed; "
            "put the locked file back or run `mixlab lock`"
        )
