r"""A mathematical answer in a box: MATH.

A record of MATH, shortened: {"problem": "What is the sum of the roots of $x^2 - 3x + 1 = 0$?", "level": "Level 2",
"type": "Algebra", "solution": "By Vieta's formulas the sum is $\\boxed{3}$."}; "\\boxed{\\frac{6}{2}}" and "The answer
is $3$." are right.

The answer is what the last \boxed or \fbox holds; without one, what stands behind the last marker: a formula between $,
else the rest of the sentence. Answers are equal as texts, or as mathematics (`math_equality`), to the majority too.
"""

import re
from collections.abc import Sequence

from mixlab.config.problems import DataError
from mixlab.config.scorers import MathAnswerSettings
from mixlab.evaluation.scorers.answers import find_balanced, find_marked, first_line
from mixlab.evaluation.scorers.math_equality import EQUAL, MathEquality, normalise_latex
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence, read_text

_FORMULA = re.compile(r"[^$]{0,40}\$([^$]{1,500})\$")
_SENTENCE_END = re.compile(r"\.(?:\s|$)")
BOXES = ("\\boxed", "\\fbox")


def extract_math(text: str, markers: Sequence[str] = ()) -> str | None:
    """Return the LaTeX that a text gives as its answer, or None."""
    boxed = find_balanced(text, BOXES)
    if boxed is not None and boxed.strip():
        return boxed.strip()
    for behind in find_marked(text, markers):
        line = first_line(behind)
        formula = _FORMULA.match(line)
        answer = formula[1] if formula else _SENTENCE_END.split(line, maxsplit=1)[0]
        if answer := answer.strip(" :*.$"):
            return answer
    return None


def read_reference(settings: MathAnswerSettings, pair: Pair) -> str:
    """Return the boxed answer of an item's solution; raises DataError naming the item where there is none."""
    text = read_text(pair[0], settings.answer_field)
    found = extract_math(text)
    if found is None:
        raise DataError(f"item '{pair[1].item}': {settings.answer_field} has no \\boxed answer: {text!r:.80}")
    return found


def score_math_answer(settings: MathAnswerSettings, pairs: Sequence[Pair], workers: int) -> Scored:
    """Score each response 1 when its answer equals the reference's, else 0; `workers` comparisons run at a time."""
    references = [read_reference(settings, pair) for pair in pairs]
    answers = [extract_math(response.responses[-1], settings.markers) for _, response in pairs]
    asked = [(ref, got) for ref, got in zip(references, answers, strict=True) if got is not None]
    with MathEquality(workers, settings.seconds) as equality:
        words = dict(zip(asked, equality.compare_all(asked), strict=True))
    scores = []
    for (_, response), reference, got in zip(pairs, references, answers, strict=True):
        word = words[reference, got] if got is not None else None
        scores.append(
            Score(
                item=response.item,
                score=float(word == EQUAL),
                parsed=got is not None,
                extracted=None if got is None else normalise_latex(got),
                note=describe_silence(response) or word,
            )
        )
    return Scored(scores, {})
