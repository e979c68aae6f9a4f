"""Short answers compared as text.

A record of the demo: {"id": "general_en/7", "question": "Where does Mira live?", "answer": "Lume"}; the response
" lume." is right. `answer` may be a list, any of which is right.
"""

import re
import unicodedata
from collections.abc import Sequence

from mixlab.config.scorers import ExactMatchSettings
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence, read_texts


def normalise(text: str, strip: str) -> str:
    """Return `text` after NFKC and casefold, its white space single, the characters of `strip` off both ends."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    around = unicodedata.normalize("NFKC", strip).casefold()
    return re.sub(r"\s+", " ", folded).strip(around + " ")


def take_answer(text: str, take: str) -> str:
    """Return the whole text or its first line that is not blank."""
    if take == "whole":
        return text
    return next((line for line in text.splitlines() if line.strip()), "")


def score_exact_match(settings: ExactMatchSettings, pairs: Sequence[Pair]) -> Scored:
    """Score each response 1 when it equals the reference (or one of several), else 0."""
    scores = []
    for item, response in pairs:
        right = {normalise(answer, settings.strip) for answer in read_texts(item, settings.answer_field)}
        got = normalise(take_answer(response.responses[-1], settings.take), settings.strip)
        scores.append(
            Score(
                item=response.item,
                score=float(got in right and got != ""),
                parsed=got != "",
                extracted=got or None,
                note=describe_silence(response),
            )
        )
    return Scored(scores, {})
