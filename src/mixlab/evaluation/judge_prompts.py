"""Renders what a judge reads, and reads the rating in its reply."""

import re
from collections.abc import Sequence

from mixlab.config.judging import JudgePrompts

_MARK = re.compile(r"<(/?(?:earlier_)?(?:question|answer|reference))>")
_PLACE = re.compile(r"\{(question|answer|reference|earlier)\}")
_RATING = re.compile(r"\[\[\s*([^\[\]]*?)\s*\]\]")


def hide_marks(text: str) -> str:
    """Return `text` with our section marks made harmless, so that an answer cannot pass for another section."""
    return _MARK.sub(r"‹\1›", text)


def render_judge_prompt(
    prompts: JudgePrompts, questions: Sequence[str], answers: Sequence[str], reference: str | None
) -> str:
    """Render the prompt that asks for a rating of the last of `answers`, in the light of those before it."""
    name = ("first" if len(questions) == 1 else "later") + ("" if reference is None else "_with_reference")
    earlier = [
        _fill(prompts.exchange, question=hide_marks(question), answer=hide_marks(answer))
        for question, answer in zip(questions[:-1], answers[:-1], strict=True)
    ]
    return _fill(
        str(getattr(prompts, name)),
        earlier="\n".join(earlier),
        question=hide_marks(questions[-1]),
        answer=hide_marks(answers[-1]),
        reference=hide_marks(reference or ""),
    )


def _fill(template: str, **values: str) -> str:
    return _PLACE.sub(lambda place: values[place[1]], template)


def parse_rating(reply: str) -> float | None:
    """Return the rating a reply gives as [[n]], or None: never a guess.

    None where there is no rating, one outside 1 to 10 or no number, or several that differ.
    """
    ratings = set(_RATING.findall(reply))
    if len(ratings) != 1 or not re.fullmatch(r"\d{1,2}(?:\.\d+)?", text := ratings.pop()):
        return None
    rating = float(text)
    return rating if 1 <= rating <= 10 else None
