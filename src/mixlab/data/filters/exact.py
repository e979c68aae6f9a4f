"""Records whose normalised text came before, found by digests on disk: memory does not grow with the source."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixlab.config.filters import ExactDuplicates
from mixlab.data.filters.exclusion import Exclusion, Numbered, Others, render_earlier
from mixlab.data.overlap.invisible import drop_invisible
from mixlab.data.overlap.units import BLOCK_CHARACTERS
from mixlab.data.records import Record

BUCKETS = 64
"""Equal digests meet in one bucket; 64 hold 10^8 records in buckets of 40 MB."""
_ROWS_AT_ONCE = 1 << 16
_ROW = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<i8")])
_SPACES = re.compile(r"\s+")


def find_exact_duplicates(
    settings: ExactDuplicates, records: Numbered, against: Others, scratch: Path
) -> Iterator[Exclusion]:
    """Yield the records whose text is that of an earlier one, or of one of another source; by ordinal."""
    table = _DigestTable(scratch)
    starts, document = [], 0
    for open_source in against:
        starts.append(document)
        for record in open_source():
            table.add(digest_record(record, ignore_case=settings.ignore_case), document)
            document += 1
    starts.append(document)
    for ordinal, record in records():
        table.add(digest_record(record, ignore_case=settings.ignore_case), document + ordinal)
    begins = np.array(starts, np.int64)
    for later, first in table.pairs(own_from=document):
        reason, details = render_earlier(begins, first)
        yield Exclusion(later - document, reason, details)


def digest_record(record: Record, *, ignore_case: bool) -> bytes:
    """Digest a record's text after NFKC, runs of white space as one space, nothing invisible; 16 bytes.

    The roles of a dialogue's turns are part of it.
    """
    digest = hashlib.blake2b(digest_size=16)
    turns = record.get("messages") or [{"role": "", "content": record.get("text", "")}]
    for turn in turns:
        digest.update(f"\x1e{turn['role']}\x1f".encode())  # both count as white space, so no text holds them
        text = drop_invisible(turn["content"])
        pending = b""
        for start in range(0, len(text), BLOCK_CHARACTERS):
            piece = unicodedata.normalize("NFKC", text[start : start + BLOCK_CHARACTERS])
            piece = _SPACES.sub(" ", piece.lower() if ignore_case else piece)
            encoded = piece.encode("utf-8", "surrogatepass")
            joined = pending + (encoded.lstrip() if pending.endswith(b" ") or not start else encoded)
            pending = joined[-1:]
            digest.update(joined[:-1])
        digest.update(pending.rstrip())
    return digest.digest()


class _DigestTable:
    """Digests with the numbers of their documents, in bucket files below `scratch`."""

    def __init__(self, scratch: Path) -> None:
        self._folder = scratch / "digests"
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            path.unlink()
        self._rows = np.empty(_ROWS_AT_ONCE, _ROW)
        self._count = 0

    def add(self, digest: bytes, document: int) -> None:
        high, low = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
        self._rows[self._count] = (high, low, document)
        self._count += 1
        if self._count == len(self._rows):
            self._flush()

    def _flush(self) -> None:
        rows = self._rows[: self._count]
        bucket = rows["high"] % BUCKETS
        for number in np.unique(bucket).tolist():
            with (self._folder / f"{number:02}").open("ab") as file:
                file.write(rows[bucket == number].tobytes())
        self._count = 0

    def pairs(self, own_from: int) -> Iterator[tuple[int, int]]:
        """Yield (document, first document with its digest) for documents from `own_from` on, ascending."""
        self._flush()
        found = [np.zeros((0, 2), np.int64)]
        for path in sorted(self._folder.iterdir()):
            found.append(_find_repeated(np.fromfile(path, _ROW), own_from))
            path.unlink()
        pairs = np.concatenate(found)
        for later, first in pairs[np.argsort(pairs[:, 0], kind="stable")]:
            yield int(later), int(first)


def _find_repeated(rows: npt.NDArray[np.void], own_from: int) -> npt.NDArray[np.int64]:
    rows = rows[np.lexsort((rows["document"], rows["low"], rows["high"]))]
    same = (rows["high"][1:] == rows["high"][:-1]) & (rows["low"][1:] == rows["low"][:-1])
    is_first = np.concatenate([[True], ~same])
    first = rows["document"][np.flatnonzero(is_first)][np.cumsum(is_first) - 1]
    later = ~is_first & (rows["document"] >= own_from)
    return np.stack([rows["document"][later], first[later]], axis=1)
