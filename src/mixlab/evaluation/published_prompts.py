"""Published judge prompts: filled in, and their replies read, as FastChat and llm-jp-judge do.

FastChat (commit 007ecd0): llm_judge/common.py, `run_judge_single`, and gen_judgment.py. llm-jp-judge (commit 05e3133):
evaluator/mt_bench.py, `conv_to_query`, and evaluator/base.py, `BaseScoreExtractor`.
"""

import re
from collections.abc import Sequence
from typing import Literal

from mixlab.config.judge_templates import PublishedPairPrompts, PublishedPrompts, PublishedTemplate


def render_published(
    prompts: PublishedPrompts, questions: Sequence[str], answers: Sequence[str], references: Sequence[str | None]
) -> tuple[PublishedTemplate, str]:
    """Return the template that rates the last of one or two answers, and its text filled in.

    `references` are those of the same turns; None: none is shown. Texts are filled in as they are: braces in them mean
    nothing. Raises ValueError for a turn that no template rates.
    """
    template = prompts.choose(len(questions), has_reference=None not in references)
    return template, template.template.format(**_name(questions, references), **_number("answer", answers))


def render_published_pair(
    prompts: PublishedPairPrompts,
    questions: Sequence[str],
    shown: tuple[Sequence[str], Sequence[str]],
    references: Sequence[str | None],
) -> tuple[PublishedTemplate, str]:
    """Return the template that compares the last of the answers, and its text; `shown[0]` are those of assistant A."""
    template = prompts.choose(len(questions), has_reference=None not in references)
    answers = _number("answer_a", shown[0]) | _number("answer_b", shown[1])
    return template, template.template.format(**_name(questions, references), **answers)


def _name(questions: Sequence[str], references: Sequence[str | None]) -> dict[str, str]:
    shown = {f"ref_answer_{number}": text or "" for number, text in enumerate(references, start=1)}
    return _number("question", questions) | shown


def _number(name: str, texts: Sequence[str]) -> dict[str, str]:
    """Name the texts of turns: by number, where there is more than one."""
    return {name: texts[0]} if len(texts) == 1 else {f"{name}_{turn}": text for turn, text in enumerate(texts, start=1)}


def read_published_rating(ratings: Sequence[str], reply: str) -> float | None:
    """Return the rating a reply gives by the first of `ratings` that is found in it, or None: never a guess.

    Of several matches the first counts, as in the published code. None where nothing is found, and for what is no
    number from 1 to 10 in plain digits: the published code would count it, or fail.
    """
    found = next(filter(None, (re.search(pattern, reply) for pattern in ratings)), None)
    text = "" if found is None else found[1] or ""
    if not re.fullmatch(r"(?:0|[1-9][0-9]*)(?:\.[0-9]*)?", text, re.ASCII):
        return None
    rating = float(text)
    return rating if 1 <= rating <= 10 else None


def read_published_preference(reply: str) -> Literal["A", "B", "C"] | None:
    """Return what a reply says as [[A]], [[B]] or [[C]]; of several, as in FastChat, the first of the alphabet."""
    said: tuple[Literal["A", "B", "C"], ...] = ("A", "B", "C")
    return next((one for one in said if f"[[{one}]]" in reply), None)
