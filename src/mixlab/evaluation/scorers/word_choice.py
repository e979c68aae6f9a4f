"""One word of several, such as yes and no: BoolQ.

A record of BoolQ, as a source maps it: {"passage": "Property tax or 'house tax' is a local tax on buildings, ...",
"question": "is house tax and property tax are same", "answer": "yes"}; "Yes, they are." and "The answer is: true" are
right.

In this order: the first word after the last marker that one follows; the word the response begins with; the only one
it has. A response with both and neither at its start nor marked has no answer.
"""

import re
from collections.abc import Sequence

from mixlab.config.problems import DataError
from mixlab.config.scorers import WordChoiceSettings
from mixlab.evaluation.scorers.answers import find_marked, fold_width
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence, read_text


def extract_word(settings: WordChoiceSettings, text: str) -> str | None:
    """Return the key of `words` that a text gives as its answer, or None."""
    meanings = {word.casefold(): answer for answer, words in settings.words.items() for word in words}
    word = re.compile(rf"\b(?:{'|'.join(map(re.escape, meanings))})\b")
    plain = fold_width(text)
    for behind in find_marked(plain, settings.markers):
        if found := word.search(behind.casefold()):
            return meanings[found[0]]
    folded = plain.casefold()
    if found := word.match(folded.lstrip(" \t\r\n\"'*_([「")):
        return meanings[found[0]]
    answers = {meanings[one] for one in word.findall(folded)}
    return answers.pop() if len(answers) == 1 else None


def score_word_choice(settings: WordChoiceSettings, pairs: Sequence[Pair]) -> Scored:
    """Score each response 1 when its word is the reference, else 0."""
    scores = []
    for item, response in pairs:
        reference = read_text(item, settings.answer_field)
        if reference not in settings.words:
            known = ", ".join(settings.words)
            raise DataError(f"item '{response.item}': {settings.answer_field} is {reference!r:.80}, not one of {known}")
        got = extract_word(settings, response.responses[-1])
        scores.append(
            Score(
                item=response.item,
                score=float(got == reference),
                parsed=got is not None,
                extracted=got,
                note=describe_silence(response),
            )
        )
    return Scored(scores, {})
