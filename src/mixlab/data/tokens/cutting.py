"""Cutting a long text into pieces that a tokenizer reads as it reads the whole.

Hugging Face's tokenizers take about 120 bytes of memory for each byte of a text encoded at once, so that a document
of 10 MB would take more than a gigabyte.
"""

import re
from collections.abc import Iterator

from tokenizers import Tokenizer

LONGEST_CHARACTERS = 1 << 17
"""A text up to this length is never cut."""
_CONTEXT_CHARACTERS = 1 << 11
_TRIED = 16
_PLACES = (
    re.compile(r"(?<=\S)\n(?=\S)()"),  # after a line break
    re.compile(r"(?<=\S)()(?= \S)"),  # before a blank
    re.compile(r"(?<=[。！？、])()(?=\S)"),
)


def cut_text(tokenizer: Tokenizer, text: str, longest: int = LONGEST_CHARACTERS) -> list[str]:
    """Cut `text` into pieces of at most `longest` characters whose ids, one after the other, are those of the whole.

    A place is taken only where the tokenizer's own words have a border and both sides, encoded apart, give the ids
    they give together. Where there is none, a piece stays longer: always for a tokenizer that knows no words.
    """
    pieces = []
    start = 0
    while len(text) - start > longest:
        place = _find_place(tokenizer, text, start, start + longest)
        if place is None:
            break
        pieces.append(text[start:place])
        start = place
    return [*pieces, text[start:]] if start else [text]


def _find_place(tokenizer: Tokenizer, text: str, start: int, stop: int) -> int | None:
    """The last place in the second half of [start, stop) where `text` may be cut, or the first one beyond it."""
    if tokenizer.pre_tokenizer is None:
        return None
    for low, high, last in (((start + stop) // 2, stop, True), (stop, len(text), False)):
        for pattern in _PLACES:
            found = _places(pattern, text, low, high, last)
            if (place := next((at for at in found if _is_border(tokenizer, text, at)), None)) is not None:
                return place
    return None


def _places(pattern: re.Pattern[str], text: str, low: int, high: int, last: bool) -> Iterator[int]:
    found = []
    for match in pattern.finditer(text, low, high):
        found.append(match.end())
        if not last and len(found) == _TRIED:
            break
    return iter(found[: -_TRIED - 1 : -1] if last else found)


def _is_border(tokenizer: Tokenizer, text: str, place: int) -> bool:
    left, right = text[max(place - _CONTEXT_CHARACTERS, 0) : place], text[place : place + _CONTEXT_CHARACTERS]
    both = left + right
    if tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str(both) != both:
        return False
    words = tokenizer.pre_tokenizer.pre_tokenize_str(both)
    if all(begin != len(left) for _, (begin, _) in words):
        return False
    if not tokenizer.get_vocab_size():  # in training: there are no ids yet
        return True
    ids = [tokenizer.encode(part, add_special_tokens=False).ids for part in (left, right, both)]
    return [*ids[0], *ids[1]] == ids[2]
