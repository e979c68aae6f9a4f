"""Renders what a judge reads, and reads the rating in its reply."""

import re
from collections.abc import Sequence

from mixlab.config.judging import JudgePrompts

_MARK = re.compile(r"<(/?(?:earlier_)?(?:question|answer|reference))>")
_VERDICT = re.compile(r"\[\[\s*([^\[\]]*?)\s*\]\]")


def hide_marks(text: str, mark: re.Pattern[str] = _MARK) -> str:
    """Return `text` with our section marks made harmless, so that an answer cannot pass for another section."""
    return mark.sub(r"‹\1›", text) if "<" in text else text


def render_judge_prompt(
    prompts: JudgePrompts, questions: Sequence[str], answers: Sequence[str], reference: str | None
) -> str:
    """Render the prompt that asks for a rating of the last of `answers`, in the light of those before it."""
    name = ("first" if len(questions) == 1 else "later") + ("" if reference is None else "_with_reference")
    earlier = [
        fill_places(prompts.exchange, question=hide_marks(question), answer=hide_marks(answer))
        for question, answer in zip(questions[:-1], answers[:-1], strict=True)
    ]
    return fill_places(
        str(getattr(prompts, name)),
        earlier="\n".join(earlier),
        question=hide_marks(questions[-1]),
        answer=hide_marks(answers[-1]),
        reference=hide_marks(reference or ""),
    )


def fill_places(template: str, **values: str) -> str:
    """Return a template with its places `{name}` filled in, all at once: what is filled in is not looked at again."""
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda place: values[place[1]], template)


def find_verdict(reply: str) -> str | None:
    """Return the one text that a reply sets in double square brackets, None where there is none or several differ."""
    verdicts = set(_VERDICT.findall(reply))
    return verdicts.pop() if len(verdicts) == 1 else None


def parse_rating(reply: str) -> float | None:
    """Return the rating a reply gives as [[n]], or None: never a guess.

    None where there is no rating, one outside 1 to 10 or no number, or several that differ: [[5]] and [[5.0]] do not.
    """
    texts = set(_VERDICT.findall(reply))
    if not all(re.fullmatch(r"\d{1,2}(?:\.\d+)?", text) for text in texts):
        return None
    ratings = {float(text) for text in texts}
    return next((rating for rating in ratings if 1 <= rating <= 10), None) if len(ratings) == 1 else None
