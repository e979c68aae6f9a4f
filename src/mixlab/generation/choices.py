"""The options of a choice behind letters, in the order in which they are shown, and which letters are right.

A record of MMLU: {"question": "...", "subject": "anatomy", "choices": ["0", "4", "2", "6"], "answer": "1"} (the index,
from 0); one of CMMLU: {"Question": "...", "A": "...", ..., "D": "...", "Answer": "B"}; one of TruthfulQA:
{"question": "...", "choices": [...], "labels": ["1", "0", "0"]}, whose right option always comes first, so that it must
be shuffled.
"""

import hashlib
import string
from collections.abc import Mapping
from typing import Any

from mixlab.config.generation import OptionsSettings
from mixlab.config.problems import DataError

LETTERS = string.ascii_uppercase


def list_options(settings: OptionsSettings, item: Mapping[str, Any]) -> list[str]:
    """Return the options in the order in which letters name them; raises DataError naming the item."""
    published = _published(settings, item)
    return [published[at] for at in _order(settings, item, len(published))]


def render_options(settings: OptionsSettings, item: Mapping[str, Any]) -> str:
    """Render one line an option: `A. 4`."""
    options = list_options(settings, item)
    return "\n".join(f"{letter}. {text.strip()}" for letter, text in zip(LETTERS, options, strict=False))


def find_right(settings: OptionsSettings, item: Mapping[str, Any]) -> list[str]:
    """Return the letters of the right options; raises DataError naming the item where the reference names none."""
    count = len(_published(settings, item))
    right = _right_positions(settings, item, count)
    if not right or not right <= set(range(count)):
        told = item.get(settings.answer_field)
        raise DataError(
            f"item '{item.get('id')}': {settings.answer_field} is {told!r:.80}, which as {settings.answer_as} names "
            f"none of its {count} options"
        )
    return [letter for letter, at in zip(LETTERS, _order(settings, item, count), strict=False) if at in right]


def _published(settings: OptionsSettings, item: Mapping[str, Any]) -> list[str]:
    values = [item.get(name) for name in settings.fields]
    texts = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not all(isinstance(text, str) for text in texts) or not 2 <= len(texts) <= len(LETTERS):
        raise DataError(f"item '{item.get('id')}': {', '.join(settings.fields)} must hold 2 to 26 options as texts")
    return list(texts)


def _order(settings: OptionsSettings, item: Mapping[str, Any], count: int) -> list[int]:
    """Published positions in the order shown; a shuffle depends on the item's id alone, so it is always the same."""
    if not settings.shuffle:
        return list(range(count))
    return sorted(range(count), key=lambda at: hashlib.sha256(f"{at}/{item.get('id')}".encode()).digest())


def _right_positions(settings: OptionsSettings, item: Mapping[str, Any], count: int) -> set[int]:
    value = item.get(settings.answer_field)
    if settings.answer_as == "marks":
        marks = value if isinstance(value, list) and len(value) == count else []
        return {at for at, mark in enumerate(marks) if mark == "1"}
    if not isinstance(value, str):
        return set()
    text = value.strip()
    if settings.answer_as == "index":
        return {int(text)} if text.isdecimal() and len(text) <= 2 else set()
    return {LETTERS.index(text.upper())} if len(text) == 1 and text.upper() in LETTERS else set()
