"""What a scorer says about one response."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mixlab.config.problems import DataError
from mixlab.generation.responses import Response

Pair = tuple[Mapping[str, Any], Response]
"""A benchmark item and the response to it."""


@dataclass(frozen=True)
class Score:
    """A score in [0, 1]; `parsed` is False where the response held nothing that could be scored.

    `sample` counts from 0 where items are answered several times, else it is None and not written.
    """

    item: str
    score: float
    parsed: bool
    extracted: str | None
    note: str | None
    sample: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is written of it."""
        card = asdict(self)
        if self.sample is None:
            del card["sample"]
        return card


@dataclass(frozen=True)
class Scored:
    """All scores of a benchmark, items nobody can solve with the reason, and what kept tested code apart."""

    scores: Sequence[Score]
    unsolvable: Mapping[str, str]
    sandbox: str | None = None


def read_texts(item: Mapping[str, Any], field: str) -> list[str]:
    """Return a field of an item as a list of texts; raises DataError naming the item where it is neither."""
    value = item.get(field)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(f"item '{item.get('id')}': {field} must be a text, got {value!r:.80}; see the source's fields")
    return texts


def read_text(item: Mapping[str, Any], field: str) -> str:
    """Return a field of an item as one text; raises DataError naming the item where it is not."""
    texts = read_texts(item, field)
    if len(texts) != 1:
        raise DataError(f"item '{item.get('id')}': {field} must be one text, got a list of {len(texts)}")
    return texts[0]


def describe_silence(response: Response) -> str | None:
    """Say why a response is empty, where the engine could not ask."""
    return "prompt_too_long" if response.finish_reasons[-1:] == ["prompt_too_long"] else None
