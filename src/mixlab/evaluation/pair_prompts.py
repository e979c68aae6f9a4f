"""Renders what a judge reads that compares two answers, and reads which it prefers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mixlab.config.judge_templates import PublishedPairPrompts
from mixlab.config.pair_prompts import PairPrompts
from mixlab.config.pairwise import PairJudgeSettings
from mixlab.evaluation.judge_prompts import fill_places, find_verdict, hide_marks
from mixlab.evaluation.judging import JudgePrompt
from mixlab.evaluation.published_prompts import render_published_pair

_MARK = re.compile(r"<(/?(?:earlier_)?(?:question|answer|reference|dialogue)(?:_[ab])?)>")

Place = Literal["A", "B", "C"]
"""What a judge says: the answer shown first, the one shown second, or neither."""
_PLACES: dict[str, Place] = {"A": "A", "B": "B", "C": "C"}

Order = Literal["ab", "ba"]
"""Which of two models' answers is shown first."""
ORDERS: tuple[Order, Order] = ("ab", "ba")


@dataclass(frozen=True)
class PairPrompt(JudgePrompt):
    """What a judge reads about one turn of one item in one order of the two answers."""

    order: Order

    @property
    def place(self) -> dict[str, str | int]:
        """What it is about, as lists of what is left undone say it."""
        return {**super().place, "order": self.order}


def parse_preference(reply: str) -> Place | None:
    """Return what a reply says as [[A]], [[B]] or [[C]], or None: never a guess, not where it says several."""
    return _PLACES.get(find_verdict(reply) or "")


def render_pair_prompts(
    settings: PairJudgeSettings,
    item: str,
    questions: Sequence[str],
    answers: tuple[Sequence[str], Sequence[str]],
    references: Sequence[str | None],
) -> Iterator[PairPrompt]:
    """Render what a judge reads about the last of `questions`, with the two models' answers in both orders."""
    prompts = settings.prompts
    for order in ORDERS:
        shown = answers if order == "ab" else (answers[1], answers[0])
        if isinstance(prompts, PublishedPairPrompts):
            template, prompt = render_published_pair(prompts, questions, shown, references)
            yield PairPrompt(item, len(questions), template.system, prompt, order)
        else:
            prompt = render_pair_prompt(prompts, questions, shown, references[-1])
            yield PairPrompt(item, len(questions), prompts.system, prompt, order)


def render_pair_prompt(
    prompts: PairPrompts, questions: Sequence[str], shown: tuple[Sequence[str], Sequence[str]], reference: str | None
) -> str:
    """Render the prompt that asks which of the last answers is better, that of `shown[0]` being called A."""
    name = ("first" if len(questions) == 1 else "later") + ("" if reference is None else "_with_reference")
    earlier = [
        "\n".join(
            fill_places(prompts.exchange, question=_hide(question), answer=_hide(answer), side=side)
            for question, answer in zip(questions[:-1], answers[:-1], strict=True)
        )
        for side, answers in zip("AB", shown, strict=True)
    ]
    return fill_places(
        str(getattr(prompts, name)),
        earlier_a=earlier[0],
        earlier_b=earlier[1],
        question=_hide(questions[-1]),
        answer_a=_hide(shown[0][-1]),
        answer_b=_hide(shown[1][-1]),
        reference=_hide(reference or ""),
    )


def _hide(text: str) -> str:
    return hide_marks(text, _MARK)
