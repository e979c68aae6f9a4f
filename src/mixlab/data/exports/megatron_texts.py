"""Megatron-LM's indexed datasets as texts: a JSON line for each document, which a raw source may name."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixlab.config.problems import DataError, Problem
from mixlab.data.exports.megatron import bin_path
from mixlab.data.exports.megatron_files import MegatronFiles
from mixlab.data.exports.text_decoder import Decoded, TextDecoder
from mixlab.data.npy import BlockFile

SUFFIX = ".jsonl"
_BATCH_TOKENS = 1 << 16
_BATCH_DOCUMENTS = 1 << 10
_TELL_SECONDS = 10.0

Tell = Callable[[str], None]
"""Takes a line on how far it is."""


@dataclass
class Imported:
    """What an import came to: documents written and their tokens, those excluded, those written with other ids."""

    documents: int = 0
    tokens: int = 0
    excluded: int = 0
    other_ids: int = 0
    first_reason: str = ""

    def add(self, decoded: Decoded, tokens: int) -> None:
        """Count one document of so many tokens, its end token included."""
        if decoded.reason is None:
            self.documents += 1
            self.tokens += tokens
            self.other_ids += decoded.has_other_ids
        else:
            self.excluded += 1
            self.first_reason = self.first_reason or decoded.reason


def exclusions_path(out: Path) -> Path:
    """The file beside `out` that tells what was left out: NAME.exclusions.jsonl beside NAME.jsonl."""
    return out.with_name(f"{out.name.removesuffix(SUFFIX)}.exclusions{SUFFIX}")


def import_texts(
    prefix: Path,
    tokenizer: Path,
    end_token: str,
    out: Path,
    *,
    begin_token: str | None = None,
    force: bool = False,
    tell: Tell = lambda line: None,
) -> Imported:
    """Write the documents of PREFIX.bin and .idx, ids of `tokenizer`, a `tokenizer.json`, as `{"text": ...}` lines.

    Documents without text, or whose ids tell of something that text cannot, are written to `exclusions_path` with
    their number, from 1, and the reason; without any there is no such file. `begin_token` is left out where a document
    begins with it. Files appear when they are whole; memory
    grows with the longest document alone. Raises DataError for what cannot be read, an id that the tokenizer has not,
    a document that does not end, for none that is left, a full disk, and what is there already, unless `force`.
    """
    _check_place(out, force)
    files, decoder = MegatronFiles(prefix), TextDecoder(tokenizer, end_token, begin_token)
    done = Imported()
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.parent) as beside:
        parts = Path(beside) / out.name, Path(beside) / exclusions_path(out).name
        with BlockFile(parts[0]) as texts, BlockFile(parts[1]) as exclusions:
            _write(files, decoder, done, (texts, exclusions), tell)
        if not done.documents:
            what = f"all {done.excluded} excluded, the first since: {done.first_reason}" if done.excluded else "empty"
            raise DataError(Problem(f"no document to import: {what}", file=str(bin_path(files.prefix))))
        if done.excluded:
            parts[1].replace(exclusions_path(out))
        else:
            exclusions_path(out).unlink(missing_ok=True)
        parts[0].replace(out)
    return done


def _check_place(out: Path, force: bool) -> None:
    if out.suffix != SUFFIX or out.name == SUFFIX:
        raise DataError(f"{out}: name a file that ends with {SUFFIX}, the format of what is written")
    if not out.parent.is_dir():
        raise DataError(f"{out}: the folder {out.parent} is not there; make it first")
    for path in (out, exclusions_path(out)):
        if path.exists() and not force:
            raise DataError(f"{path}: is there already; name another file, or say --force")


def _write(
    files: MegatronFiles, decoder: TextDecoder, done: Imported, out: tuple[BlockFile, BlockFile], tell: Tell
) -> None:
    told = time.monotonic()
    for documents in _read_batches(files, decoder):
        first = done.documents + done.excluded + 1
        decoded = decoder.decode(documents)
        for one, ids in zip(decoded, documents, strict=True):
            done.add(one, len(ids))
        numbered = list(enumerate(decoded, first))
        out[0].write(_render({"text": one.text} for _, one in numbered if one.reason is None))
        reasons = ({"record": number, "reason": one.reason} for number, one in numbered if one.reason is not None)
        out[1].write(_render(reasons))
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            tell(f"{files.prefix}: {first + len(documents) - 1} of {files.documents} documents")


def _render(rows: Iterator[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows).encode()


def _read_batches(files: MegatronFiles, decoder: TextDecoder) -> Iterator[list[np.ndarray]]:
    """Yield the documents in order, checked, as many as are decoded at once."""
    number = 1
    for lengths, ids in files.blocks():
        _check(files, decoder, number, lengths, ids)
        ends = np.cumsum(lengths, dtype="<i8")
        first = 0
        while first < len(lengths):
            begin = int(ends[first] - lengths[first])
            full = int(np.searchsorted(ends, begin + _BATCH_TOKENS, side="right"))
            last = min(max(full, first + 1), first + _BATCH_DOCUMENTS)
            yield np.split(ids[begin : ends[last - 1]], ends[first : last - 1] - begin)
            first = last
        number += len(lengths)


def _check(files: MegatronFiles, decoder: TextDecoder, first: int, lengths: np.ndarray, ids: np.ndarray) -> None:
    """Raise DataError naming the first document that holds an id of no entry, or that does not end."""
    ends = np.cumsum(lengths, dtype="<i8")
    vocabulary = decoder.vocabulary
    if (place := decoder.find_strange(ids)) is not None:
        number = first + int(np.searchsorted(ends, place, side="right"))
        raise _fault(
            files,
            f"document {number} of {files.documents} holds the id {int(ids[place])}, which the tokenizer, of "
            f"{vocabulary.size} entries, has not: give the tokenizer that made the file",
        )
    last = ids[ends[lengths > 0] - 1]
    if (open_ones := np.flatnonzero(last != vocabulary.end_id)).size:
        number = first + int(np.flatnonzero(lengths > 0)[open_ones[0]])
        raise _fault(
            files,
            f"document {number} of {files.documents} ends with the id {int(last[open_ones[0]])}, not with "
            f"{vocabulary.end_id}, the end token {vocabulary.end_token}: name the one it has with --end-token, or "
            "tokenize with --append-eod",
        )


def _fault(files: MegatronFiles, message: str) -> DataError:
    return DataError(Problem(message, file=str(bin_path(files.prefix))))
