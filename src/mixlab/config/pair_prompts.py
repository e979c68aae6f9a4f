"""The texts by which a judge compares two answers; verdicts are [[A]], [[B]] and [[C]] for a tie."""

from functools import cache
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.judge_texts import TurnTexts, load_texts
from mixlab.config.sources import Language

_FIRST = {"question", "answer_a", "answer_b"}
_LATER = {*_FIRST, "earlier_a", "earlier_b"}
_SECTIONS = {
    "exchange": {"question", "answer"},
    "first": _FIRST,
    "first_with_reference": {*_FIRST, "reference"},
    "later": _LATER,
    "later_with_reference": {*_LATER, "reference"},
}
_REPEATABLE = "question"
"""A later turn may show its question in both dialogues."""


class PairPrompts(TurnTexts):
    """What a judge reads that compares two answers, in one language.

    Filled in are {question}, {answer_a}, {answer_b}, {reference}, and {earlier_a}, {earlier_b}: the exchanges before,
    each by `exchange` with its {question}, {answer} and, where wanted, {side}: A or B.
    """

    exchange: str = Field(description="one earlier question and answer, as {earlier_a} and {earlier_b} show it")

    @model_validator(mode="after")
    def _has_its_places(self) -> Self:
        for name, places in _SECTIONS.items():
            text = str(getattr(self, name))
            is_repeated = name.startswith("later")
            for place in sorted(places):
                count = text.count(f"{{{place}}}")
                if count == 0 or (count > 1 and not (is_repeated and place == _REPEATABLE)):
                    raise ValueError(f"{name} must contain {{{place}}} exactly once, and has it {count} times")
                if name != "exchange" and not place.startswith("earlier") and not _is_marked(text, place):
                    raise ValueError(f"{name} must set {{{place}}} between <{place}> and </{place}>")
        return self


def _is_marked(text: str, place: str) -> bool:
    """Whether a place stands between its marks wherever it stands, so that an answer cannot pass for another part."""
    pieces = text.split(f"{{{place}}}")
    opened, closed = f"<{place}>", f"</{place}>"
    return all(before.rfind(opened) > before.rfind(closed) and closed in after for before, after in pairwise(pieces))


class PairReminders(Settings):
    """What a judge is told when it was not to be read which answer it prefers, by language."""

    en: str = Field(min_length=1, description="in English")
    ja: str = Field(min_length=1, description="in Japanese")


@cache
def load_pair_prompts(language: Language) -> PairPrompts:
    """Read our own prompts for `language`."""
    return load_texts(PairPrompts, f"pair_{language}.yaml")


@cache
def load_pair_reminders() -> PairReminders:
    """Read our own reminders."""
    return load_texts(PairReminders, "pair_reminders.yaml")
