"""What a model judge is asked about a turn, attempt by attempt, and how its reply is read."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixlab.artifacts.keys import canonical_json
from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.judging import ModelJudgeSettings
from mixlab.data.records import Message
from mixlab.data.replies import REFUSED, WITHHELD, Reply
from mixlab.data.thoughts import strip_thoughts
from mixlab.evaluation.judge_prompts import parse_rating
from mixlab.evaluation.judges.asking import Request
from mixlab.evaluation.published_prompts import read_published_rating
from mixlab.generation.openai import build_request

if TYPE_CHECKING:
    from mixlab.evaluation.judging import JudgePrompt

SEED_STEP = 1_000
"""What a further attempt adds to the seed, so that no judge run sends the seed of another's."""


def build_judge_request(
    settings: ModelJudgeSettings, read: "JudgePrompt", run: int, earlier: Sequence[Reply]
) -> Request:
    """Build the request of the attempt after `earlier` ones in which no rating could be read.

    Its name is sha256 over the request's own fields (model, messages, sampling), the judge run and the attempt: what
    else is in a study's settings does not matter, so that studies share verdicts. A stated revision of the model is in
    the name too, though not in the request.
    """
    attempt = len(earlier) + 1
    fields = {name: getattr(settings, name) for name in ChatModelSettings.model_fields}
    if settings.seed is not None:
        fields["seed"] = (settings.seed + run + SEED_STEP * (attempt - 1)) % 2**31
    sampled = ChatModelSettings(**fields)
    body = build_request(build_messages(settings, read, earlier), sampled)
    named = {"request": body, "judge_run": run, "attempt": attempt}
    if settings.revision is not None:
        named["revision"] = settings.revision
    return Request(hashlib.sha256(canonical_json(named).encode()).digest(), attempt, body, settings.max_tokens)


def build_messages(settings: ModelJudgeSettings, read: "JudgePrompt", earlier: Sequence[Reply]) -> list[Message]:
    """Build the messages: the prompt, then each reply without a rating and the reminder; an empty one is not shown."""
    messages: list[Message] = [
        {"role": "system", "content": _storable(read.system)},
        {"role": "user", "content": _storable(read.prompt)},
    ]
    for reply in earlier:
        if reply.text.strip():
            messages.append({"role": "assistant", "content": _storable(reply.text)})
            messages.append({"role": "user", "content": settings.reminder})
        else:
            last = messages[-1]
            messages[-1] = {"role": "user", "content": f"{last['content']}\n\n{settings.reminder}"}
    return messages


def read_rating(read: "JudgePrompt", reply: Reply) -> float | None:
    """Return the rating in a reply, or None: never a guess; thoughts are none, nor is a reply that was withheld."""
    if reply.finish_reason.lower() in WITHHELD:
        return None
    text = strip_thoughts(reply.text)
    if text is None:
        return None
    return read_published_rating(read.ratings, text) if read.ratings else parse_rating(text)


def is_open(settings: ModelJudgeSettings, read: "JudgePrompt", replies: Sequence[Reply]) -> bool:
    """Whether a turn with these replies is to be judged (again): a refused request is not repeated."""
    if not replies:
        return True
    last = replies[-1]
    return len(replies) < settings.attempts and last.finish_reason != REFUSED and read_rating(read, last) is None


def _storable(text: str) -> str:
    """A lone surrogate in a response has no UTF-8; it is judged as a question mark."""
    return text.encode("utf-8", "replace").decode()
