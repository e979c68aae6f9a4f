"""One word of several, such as yes and no: BoolQ.

A record of BoolQ, as a source maps it: {"passage": "Property tax or 'house tax' is a local tax on buildings, ...",
"question": "is house tax and property tax are same", "answer": "yes"}; "Yes, they are." and "The answer is: true" are
right.

In this order: the first word after the last marker that one follows; the word the response begins with; the only one
it has. A response with both and neither at its start nor marked has no answer. A word right behind not, n't, cannot or
never is its opposite where there are two answers, "That is not true." a no; where there are more it is none.
"""

import re
from collections.abc import Iterator, Sequence

from mixlab.config.problems import DataError
from mixlab.config.scorers import WordChoiceSettings
from mixlab.evaluation.scorers.answers import find_marked, fold_width
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence, read_text

_NEGATED = re.compile(
    r"(?:\b(?:not|cannot|never)|n['’]t)[\s\"'*_:(]{1,8}"
    r"(?:(?:a|the|be|always|actually|entirely|exactly|necessarily|quite|really|strictly|wholly)\s{1,4}){0,2}$"
)
_LONGEST_NEGATION = 60


def extract_word(settings: WordChoiceSettings, text: str) -> str | None:
    """Return the key of `words` that a text gives as its answer, or None."""
    meanings = {word.casefold(): answer for answer, words in settings.words.items() for word in words}
    word = re.compile(rf"\b(?:{'|'.join(map(re.escape, meanings))})\b")
    plain = fold_width(text)
    for behind in find_marked(plain, settings.markers):
        if (found := next(_find_answers(settings, word, meanings, behind.casefold()), None)) is not None:
            return found
    folded = plain.casefold()
    if first := word.match(folded.lstrip(" \t\r\n\"'*_([「")):
        return meanings[first[0]]
    answers = set(_find_answers(settings, word, meanings, folded))
    return answers.pop() if len(answers) == 1 else None


def _find_answers(
    settings: WordChoiceSettings, word: re.Pattern[str], meanings: dict[str, str], text: str
) -> Iterator[str]:
    """Yield the answer that each word of a folded text gives, where it gives one."""
    for found in word.finditer(text):
        answer = meanings[found[0]]
        if _NEGATED.search(text[max(0, found.start() - _LONGEST_NEGATION) : found.start()]) is None:
            yield answer
        elif len(settings.words) == 2:
            yield next(other for other in settings.words if other != answer)


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
