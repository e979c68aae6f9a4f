"""The number a solution ends in: GSM8K, MGSM and the demo's sums.

A record of GSM8K: {"question": "A robe takes 2 bolts of blue fiber and half that much white fiber.  How many bolts in
total does it take?", "answer": "It takes 2/2=<<2/2=1>>1 bolt of white fiber\\nSo the total amount of fabric is
2+1=<<2+1=3>>3 bolts of fabric\\n#### 3"}. One of MGSM: {"question": "ローブを作成するには、…", "answer": "3"}.

The answer is the first number after the last marker that a number follows; without one, the last number of the text,
where settings allow it. Numbers are compared by value, however they are written (`numbers`).
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from mixlab.config.problems import DataError
from mixlab.config.scorers import FinalNumberSettings
from mixlab.evaluation.scorers.numbers import find_last_number, find_numbers
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence, read_text


def extract_number(text: str, markers: Sequence[str], fallback: Literal["last_number", "none"]) -> Fraction | None:
    """Return the number a text gives as its answer, or None."""
    marked = [(at, marker) for marker in markers for at in _places(text, marker)]
    end = len(text)
    for at, marker in sorted(marked, reverse=True):
        # no number stands behind the next marker, else it would have been taken
        if numbers := find_numbers(text[at + len(marker) : end]):
            return numbers[0]
        end = at
    return find_last_number(text) if fallback == "last_number" else None


def _places(text: str, marker: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(marker), text)]


def read_reference(settings: FinalNumberSettings, item: Pair) -> Fraction:
    """Return the number of an item's reference answer; raises DataError naming the item where there is none."""
    text = read_text(item[0], settings.answer_field)
    number = extract_number(text, settings.markers, "last_number")
    if number is None:
        raise DataError(f"item '{item[1].item}': {settings.answer_field} holds no number: {text!r:.80}")
    return number


def score_final_number(settings: FinalNumberSettings, pairs: Sequence[Pair]) -> Scored:
    """Score each response 1 when its number equals the reference's, else 0."""
    scores = []
    for pair in pairs:
        response = pair[1]
        reference = read_reference(settings, pair)
        got = extract_number(response.responses[-1], settings.markers, settings.fallback)
        scores.append(
            Score(
                item=response.item,
                score=float(got == reference),
                parsed=got is not None,
                extracted=None if got is None else str(got),
                note=describe_silence(response),
            )
        )
    return Scored(scores, {})
