"""From records to a token store, by any number of processes; and the join of stores that were made in parts."""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from mixlab.config.problems import DataError
from mixlab.config.tokenizers import TokenizeSettings
from mixlab.data.npy import BlockFile, RowsFile
from mixlab.data.records import Record
from mixlab.data.tokens.encoding import SMALL_VOCABULARY, Block, Numbered, RecordEncoder, token_dtype
from mixlab.data.tokens.pool import encode_parallel
from mixlab.data.tokens.tokenizer import read_vocabulary
from mixlab.data.writing import read_json, write_json

__all__ = ["SMALL_VOCABULARY", "join_token_stores", "token_dtype", "write_numbered_store", "write_token_store"]

log = logging.getLogger(__name__)

_BLOCK_CHARACTERS = 1 << 17
_BLOCK_RECORDS = 1 << 10
_LOG_SECONDS = 30.0
_COPY_BYTES = 1 << 24
_JOINED_ROWS = 1 << 20


def write_token_store(
    settings: TokenizeSettings,
    records: Iterable[Record],
    tokenizer_folder: Path,
    out: Path,
    *,
    workers: int = 1,
    first_record: int = 0,
    backend: str = "hf",
) -> None:
    """Tokenize `records`, the first of which has the ordinal `first_record`; see `write_numbered_store`."""
    numbered = enumerate(records, first_record)
    write_numbered_store(settings, numbered, tokenizer_folder, out, workers=workers, backend=backend)


def write_numbered_store(
    settings: TokenizeSettings,
    records: Iterable[tuple[int, Record]],
    tokenizer_folder: Path,
    out: Path,
    *,
    workers: int = 1,
    may_be_empty: bool = False,
    backend: str = "hf",
) -> None:
    """Tokenize records, each with its ordinal from 0, into the token store `out`.

    Writes `tokens.bin`, `document_offsets.npy` int64 [D+1], `response_spans.npy` int64 [S, 2] (absolute, what closes
    the response included), `exclusions.jsonl` (record numbers from 1) and `index.json`. Every document ends with the
    tokenizer's end token. A dialogue that holds a special token as text is excluded, since it would end or open a
    turn, and so is a text that is no Unicode. `workers` processes give the bytes that one gives; memory does not grow
    with the source. Raises DataError for a record of the wrong form, for a full disk, for a process that died, and
    for a source without a document unless it `may_be_empty`, as a shard may.
    """
    blocks = _build_blocks(records)
    if workers > 1:
        vocab_size = read_vocabulary(tokenizer_folder).size
        encoded = encode_parallel(blocks, settings.chat, tokenizer_folder, backend, workers)
    else:
        encoder = RecordEncoder(settings.chat, tokenizer_folder, backend)
        vocab_size = encoder.vocabulary.size
        encoded = (encoder.encode(block) for block in blocks)
    with _StoreWriter(out, vocab_size) as writer:
        for block in encoded:
            writer.append(block)
    if not writer.documents and not may_be_empty:
        raise DataError(f"no document to tokenize: {writer.excluded} records, all of them excluded")
    writer.write_index()


def _build_blocks(records: Iterable[tuple[int, Record]]) -> Iterator[Numbered]:
    block, characters = Numbered([], []), 0
    for ordinal, record in records:
        size = _count_characters(record)
        if block.records and (characters + size > _BLOCK_CHARACTERS or len(block.records) == _BLOCK_RECORDS):
            yield block
            block, characters = Numbered([], []), 0
        block.numbers.append(ordinal + 1)
        block.records.append(record)
        characters += size
    if block.records:
        yield block


def _count_characters(record: Any) -> int:
    try:
        if "text" in record:
            return len(record["text"])
        return sum(len(message["content"]) for message in record["messages"])
    except (TypeError, KeyError):
        return 0  # of the wrong form; the encoder says so


class _StoreWriter:
    """The files of one token store, growing block by block."""

    def __init__(self, out: Path, vocab_size: int) -> None:
        self.documents = self.excluded = self.response_tokens = self.tokens = 0
        self._unknown: int | None = None
        self._out = out
        self._vocab_size = vocab_size
        self._item_bytes = token_dtype(vocab_size).itemsize
        self._started = self._told = time.monotonic()
        with ExitStack() as files:
            self._ids = files.enter_context(BlockFile(out / "tokens.bin"))
            self._offsets = files.enter_context(RowsFile(out / "document_offsets.npy"))
            self._spans = files.enter_context(RowsFile(out / "response_spans.npy", columns=2))
            self._exclusions = files.enter_context(BlockFile(out / "exclusions.jsonl"))
            self._offsets.append([0])
            self._files = files.pop_all()

    def append(self, block: Block) -> None:
        """Write a block behind those before it."""
        self._ids.write(block.ids)
        if len(block.ends):
            self._offsets.append(block.ends + self.tokens)
        if len(block.spans):
            self._spans.append(block.spans + self.tokens)
            self.response_tokens += int((block.spans[:, 1] - block.spans[:, 0]).sum())
        if block.refused:
            lines = (_render_line({"record": number, "reason": reason}) for number, reason in block.refused)
            self._exclusions.write("".join(lines).encode())
        self.documents += len(block.ends)
        self.excluded += len(block.refused)
        self.tokens += len(block.ids) // self._item_bytes
        if block.unknown is not None:
            self._unknown = (self._unknown or 0) + block.unknown
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= _LOG_SECONDS:
            rate = self.tokens / 1e6 / (now - self._started)
            log.info("%d documents, %.1f million tokens, %.2f million/s", self.documents, self.tokens / 1e6, rate)
            self._told = now

    def write_index(self) -> None:
        """Write the index, when all blocks are written."""
        index = {
            "documents": self.documents,
            "tokens": self.tokens,
            "response_tokens": self.response_tokens,
            "dtype": token_dtype(self._vocab_size).name,
            "vocab_size": self._vocab_size,
            "excluded": self.excluded,
        }
        if self._unknown is not None:
            index["unknown_tokens"] = self._unknown
        write_json(self._out / "index.json", index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)


def _render_line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n"


def join_token_stores(shards: Sequence[Path], out: Path, *, may_be_empty: bool = False) -> None:
    """Join token stores of one tokenizer, in their order, into the store that one job would have made of all records.

    Raises DataError when they were made with different tokenizers, when the disk is full, and when they hold no
    document together unless they `may_be_empty`.
    """
    cards = [read_json(shard / "index.json") for shard in shards]
    kinds = {(card["dtype"], card["vocab_size"]) for card in cards}
    if len(kinds) != 1:
        raise DataError(f"token stores of different vocabularies cannot be joined: {sorted(kinds)}")
    # a shard without a record counts no unknown tokens
    counted = {name for card in cards for name in card} - {"dtype", "vocab_size"}
    total = {name: sum(card.get(name, 0) for card in cards) for name in counted}
    if not total["documents"] and not may_be_empty:
        raise DataError(f"no document to tokenize: {total['excluded']} records, all of them excluded")
    for name in ("tokens.bin", "exclusions.jsonl"):
        with BlockFile(out / name) as joined:
            for shard in shards:
                with (shard / name).open("rb") as file:
                    while block := file.read(_COPY_BYTES):
                        joined.write(block)
    _join_rows(shards, cards, out)
    write_json(out / "index.json", {**cards[0], **total})


def _join_rows(shards: Sequence[Path], cards: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Borders and spans of all shards, each moved by the tokens before it."""
    with RowsFile(out / "document_offsets.npy") as borders, RowsFile(out / "response_spans.npy", 2) as spans:
        first = 0
        for number, (shard, card) in enumerate(zip(shards, cards, strict=True)):
            offsets = np.load(shard / "document_offsets.npy", mmap_mode="r")
            for block in _blocks_of(offsets[0 if number == 0 else 1 :]):
                borders.append(block + first)
            for block in _blocks_of(np.load(shard / "response_spans.npy", mmap_mode="r")):
                spans.append(block + first)
            first += card["tokens"]


def _blocks_of(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _JOINED_ROWS):
        yield np.asarray(rows[start : start + _JOINED_ROWS])
