"""Short answers compared as text.

A record of the demo: {"id": "general_en/7", "question": "Where does Mira live?", "answer": "Lume"}; the response
" lume." is right. `answer` may be a list, any of which is right. One of Natural Questions: {"question": "who got the
first nobel prize in physics", "answer": ["Wilhelm Conrad Röntgen"]}; `normalise: squad` compares as SQuAD does.
"""

import re
import unicodedata
from collections.abc import Sequence

from mixlab.config.scorers import ExactMatchSettings
from mixlab.evaluation.scorers.answers import find_marked, first_line, fold_width, normalise_squad
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
    return first_line(text)


def extract_answer(settings: ExactMatchSettings, text: str) -> str:
    """Return the part of a response that is compared, behind the last marker where one is there, normalised."""
    if settings.markers:
        text = next(find_marked(fold_width(text), settings.markers), text)
    return _normalise(settings, take_answer(text, settings.take))


def _normalise(settings: ExactMatchSettings, text: str) -> str:
    return normalise_squad(text) if settings.normalise == "squad" else normalise(text, settings.strip)


def score_exact_match(settings: ExactMatchSettings, pairs: Sequence[Pair]) -> Scored:
    """Score each response 1 when it equals the reference (or one of several), else 0."""
    scores = []
    for item, response in pairs:
        right = {_normalise(settings, answer) for answer in read_texts(item, settings.answer_field)}
        got = extract_answer(settings, response.responses[-1])
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
