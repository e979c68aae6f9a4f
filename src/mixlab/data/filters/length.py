"""Records outside of limits in tokens; counting stops where the answer is known."""

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from mixlab.config.filters import Length
from mixlab.data.filters.exclusion import Exclusion, Numbered
from mixlab.data.records import Record, texts_of
from mixlab.data.tokens.tokenizer import load_tokenizer

_BATCH_RECORDS = 512
_BATCH_CHARACTERS = 1 << 20
_PIECE_CHARACTERS = 1 << 16
"""A longer text is counted in pieces cut at white space where there is some; a token at a cut may count twice."""


def find_unfit(settings: Length, records: Numbered, tokenizer_folder: Path) -> Iterator[Exclusion]:
    """Yield the records with too few or too many tokens in their texts; by ordinal."""
    tokenizer = load_tokenizer(tokenizer_folder)
    tokenizer.encode_special_tokens = True
    for batch in _batches(records):
        for (ordinal, _record), tokens in zip(batch, _count_batch(settings, tokenizer, batch), strict=True):
            if settings.min_tokens is not None and tokens < settings.min_tokens:
                yield Exclusion(ordinal, "too short", {"tokens": tokens})
            elif settings.max_tokens is not None and tokens > settings.max_tokens:
                yield Exclusion(ordinal, "too long", {"tokens": tokens})


def _batches(records: Numbered) -> Iterator[list[tuple[int, Record]]]:
    batch: list[tuple[int, Record]] = []
    characters = 0
    for ordinal, record in records():
        batch.append((ordinal, record))
        characters += sum(map(len, texts_of(record)))
        if len(batch) >= _BATCH_RECORDS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _count_batch(settings: Length, tokenizer: Tokenizer, batch: list[tuple[int, Record]]) -> list[int]:
    """Count tokens of each record; a count above the highest limit says only that it is above."""
    enough = max(settings.min_tokens or 0, (settings.max_tokens or 0) + 1)
    short = [_is_short(record) for _ordinal, record in batch]
    texts = [text for one, (_ordinal, record) in zip(short, batch, strict=True) if one for text in texts_of(record)]
    lengths = iter([len(one) for one in tokenizer.encode_batch_fast(texts, add_special_tokens=False)])
    counts = []
    for one, (_ordinal, record) in zip(short, batch, strict=True):
        if one:
            counts.append(sum(next(lengths) for _text in texts_of(record)))
        else:
            counts.append(_count_long(tokenizer, record, enough))
    return counts


def _is_short(record: Record) -> bool:
    return all(len(text) <= _PIECE_CHARACTERS for text in texts_of(record))


def _count_long(tokenizer: Tokenizer, record: Record, enough: int) -> int:
    tokens = 0
    for text in texts_of(record):
        for piece in _pieces(text):
            tokens += len(tokenizer.encode_batch_fast([piece], add_special_tokens=False)[0])
            if tokens >= enough:
                return tokens
    return tokens


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + _PIECE_CHARACTERS
        if end < len(text):
            space = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
            end = space if space > start else end
        yield text[start:end]
        start = end
