"""From records to a token store: one flat file of tokens, with the borders of documents and responses."""

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from mixlab.config.chat import ChatTemplate
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import END_TOKEN, SPECIAL_TOKENS, TokenizeSettings
from mixlab.data.chat import Piece, render
from mixlab.data.records import Record, find_fault, texts_of
from mixlab.data.tokenizer import load_tokenizer
from mixlab.data.writing import write_json, write_line

_BATCH_RECORDS = 1024
SMALL_VOCABULARY = 65536
"""Up to so many entries a token takes two bytes."""

_Document = tuple[list[int], list[tuple[int, int]]]


def token_dtype(vocab_size: int) -> np.dtype:
    """Little-endian uint16 while ids fit, else uint32."""
    return np.dtype("<u2" if vocab_size <= SMALL_VOCABULARY else "<u4")


def write_token_store(settings: TokenizeSettings, records: Iterable[Record], tokenizer_folder: Path, out: Path) -> None:
    """Tokenize `records` into the token store `out`.

    Writes `tokens.bin`, `document_offsets.npy` int64 [D+1], `response_spans.npy` int64 [S, 2] (absolute, the
    closing token included), `exclusions.jsonl` and `index.json`. Every document ends with `<|end|>`. A dialogue
    that holds a special token as text is excluded, since it would end or open a turn. Raises DataError for a
    record of the wrong form and for a source without a document.
    """
    tokenizer = load_tokenizer(tokenizer_folder)
    dtype = token_dtype(tokenizer.get_vocab_size())
    ends, spans = array("q", [0]), array("q")
    number = excluded = tokens = 0
    with (
        (out / "tokens.bin").open("wb") as store,
        (out / "exclusions.jsonl").open("w", encoding="utf-8", newline="\n") as exclusions,
    ):
        for batch in _batches(records):
            accepted = []
            for record in batch:
                number += 1
                if reason := _refusal(settings, record, number):
                    write_line(exclusions, {"record": number, "reason": reason})
                    excluded += 1
                else:
                    accepted.append(record)
            for ids, responses in _encode(tokenizer, settings.chat, accepted):
                store.write(np.array(ids, dtype=dtype).tobytes())
                for start, end in responses:
                    spans.extend((tokens + start, tokens + end))
                tokens += len(ids)
                ends.append(tokens)
    if len(ends) == 1:
        raise DataError(f"no document to tokenize: {number} records, {excluded} excluded")
    _write_index(out, ends, spans, excluded, tokenizer.get_vocab_size())


def _write_index(out: Path, ends: "array[int]", spans: "array[int]", excluded: int, vocab_size: int) -> None:
    response_spans = np.array(spans, dtype="<i8").reshape(-1, 2)
    np.save(out / "document_offsets.npy", np.array(ends, dtype="<i8"), allow_pickle=False)
    np.save(out / "response_spans.npy", response_spans, allow_pickle=False)
    index = {
        "documents": len(ends) - 1,
        "tokens": ends[-1],
        "response_tokens": int((response_spans[:, 1] - response_spans[:, 0]).sum()),
        "dtype": token_dtype(vocab_size).name,
        "vocab_size": vocab_size,
        "excluded": excluded,
    }
    write_json(out / "index.json", index)


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    source = iter(records)
    while batch := list(islice(source, _BATCH_RECORDS)):
        yield batch


def _refusal(settings: TokenizeSettings, record: Record, number: int) -> str | None:
    kind = "raw" if settings.chat is None else "instruction"
    if fault := find_fault(kind, record):
        cure = "instruction records need `chat`, raw text takes none"
        raise DataError(f"record {number}: {fault} ({cure})")
    if settings.chat is None:
        return None
    held = [token for token in SPECIAL_TOKENS if any(token in text for text in texts_of(record))]
    return f"holds the special token {held[0]} as text" if held else None


def _encode(tokenizer: Tokenizer, chat: ChatTemplate | None, records: list[Record]) -> list[_Document]:
    end: int = SPECIAL_TOKENS.index(END_TOKEN)
    # raw text is only text: "<|end|>" in it becomes its bytes; in a template it is the token
    tokenizer.encode_special_tokens = chat is None
    if chat is None:
        encoded = tokenizer.encode_batch_fast([record["text"] for record in records], add_special_tokens=False)
        return [([*encoding.ids, end], []) for encoding in encoded]
    rendered = [render(record["messages"], chat) for record in records]
    flat = [piece.text for pieces in rendered for piece in pieces]
    ids = iter(tokenizer.encode_batch_fast(flat, add_special_tokens=False))
    return [_joined(pieces, [next(ids).ids for _ in pieces], end) for pieces in rendered]


def _joined(pieces: list[Piece], encoded: list[list[int]], end: int) -> _Document:
    tokens: list[int] = []
    responses = []
    for piece, ids in zip(pieces, encoded, strict=True):
        if piece.is_response:
            responses.append((len(tokens), len(tokens) + len(ids)))
        tokens.extend(ids)
    if tokens[-1] != end:
        tokens.append(end)
    return tokens, responses
