"""Published judge prompts: filled in, and their replies read, as FastChat and llm-jp-judge do.

FastChat (commit 007ecd0): llm_judge/common.py, `run_judge_single`, and gen_judgment.py. llm-jp-judge (commit 05e3133):
evaluator/mt_bench.py, `conv_to_query`, and evaluator/base.py, `BaseScoreExtractor`.
"""

import re
from collections.abc import Sequence

from mixlab.config.judge_templates import PublishedPrompts, PublishedTemplate


def render_published(
    prompts: PublishedPrompts, questions: Sequence[str], answers: Sequence[str], references: Sequence[str]
) -> tuple[PublishedTemplate, str]:
    """Return the template that rates the last of one or two answers, and its text filled in.

    `references` are those of the same turns; empty: none is shown. Texts are filled in as they are: braces in them mean
    nothing. Raises ValueError for a turn that no template rates.
    """
    turn = len(questions)
    later, later_with_reference = prompts.later, prompts.later_with_reference
    shown = {f"ref_answer_{number}": text for number, text in enumerate(references, start=1)}
    if turn == 1:
        template = prompts.first_with_reference if references else prompts.first
        places = {"question": questions[0], "answer": answers[0]}
    elif turn == 2 and later is not None and later_with_reference is not None:
        template = later_with_reference if references else later
        places = {f"question_{number}": text for number, text in enumerate(questions, start=1)}
        places |= {f"answer_{number}": text for number, text in enumerate(answers, start=1)}
    else:
        raise ValueError(f"no template rates turn {turn}")
    return template, template.template.format(**places, **shown)


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
