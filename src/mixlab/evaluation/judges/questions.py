"""What a model judge is asked, attempt by attempt, and how its reply is read."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from mixlab.artifacts.keys import canonical_json
from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.judge_templates import PublishedPrompts
from mixlab.config.judging import AskedJudgeSettings, ModelJudgeSettings
from mixlab.data.records import Message
from mixlab.data.replies import REFUSED, WITHHELD, Reply
from mixlab.data.thoughts import strip_thoughts
from mixlab.evaluation.judge_prompts import parse_rating
from mixlab.evaluation.judges.request import Request
from mixlab.evaluation.published_prompts import read_published_rating
from mixlab.generation.openai import build_request

if TYPE_CHECKING:
    from mixlab.evaluation.judging import JudgePrompt

SEED_STEP = 1_000
"""What a further attempt adds to the seed, so that no judge run sends the seed of another's."""

T = TypeVar("T")


@dataclass(frozen=True)
class Form(Generic[T]):
    """What a reply is to hold: what it is called, how it is read (None: not to be read), what a study calls prompts."""

    word: str
    parse: Callable[[str], T | None]
    prompts: str


RATING = Form("rating", parse_rating, "judge.prompts")


def rating_form(settings: ModelJudgeSettings) -> Form[float]:
    """Return how replies with a rating are read: in our own form, or as the published prompts' authors read them."""
    if not isinstance(settings.prompts, PublishedPrompts):
        return RATING
    return Form(RATING.word, partial(read_published_rating, settings.prompts.ratings), RATING.prompts)


class Questions:
    """Builds the requests of one judge run."""

    def __init__(self, settings: AskedJudgeSettings, run: int) -> None:
        self._settings, self._run = settings, run
        self._sampled: dict[int, ChatModelSettings] = {}

    def build(self, read: "JudgePrompt", earlier: Sequence[Reply]) -> Request:
        """Build the request of the attempt after `earlier` ones in which nothing could be read.

        Its name is sha256 over the request's own fields (model, messages, sampling), the judge run and the attempt:
        what else is in a study's settings does not matter, so that studies share verdicts. A stated revision of the
        model is in the name too, though not in the request.
        """
        settings, attempt = self._settings, len(earlier) + 1
        body = build_request(build_messages(settings, read, earlier), self._sample(attempt))
        text = canonical_json(body)
        # canonical JSON of attempt, judge_run, request and, where one is stated, revision; the body is rendered once
        revision = "" if settings.revision is None else f',"revision":{canonical_json(settings.revision)}'
        named = f'{{"attempt":{attempt},"judge_run":{self._run},"request":{text}{revision}}}'
        question = hashlib.sha256(named.encode()).digest()
        return Request(question, attempt, body, text.encode(), settings.max_tokens)

    def _sample(self, attempt: int) -> ChatModelSettings:
        """How an attempt is sampled: made once for all requests, since checking settings takes its time."""
        if attempt not in self._sampled:
            settings = self._settings
            fields = {name: getattr(settings, name) for name in ChatModelSettings.model_fields}
            if settings.seed is not None:
                fields["seed"] = (settings.seed + self._run + SEED_STEP * (attempt - 1)) % 2**31
            self._sampled[attempt] = ChatModelSettings(**fields)
        return self._sampled[attempt]


def build_messages(settings: AskedJudgeSettings, read: "JudgePrompt", earlier: Sequence[Reply]) -> list[Message]:
    """Build the messages: the prompt, then each reply that could not be read and the reminder; no empty reply."""
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


def read_reply(reply: Reply, form: Form[T]) -> T | None:
    """Return what a reply holds, or None: never a guess; thoughts are none, nor is a reply that was withheld."""
    if reply.finish_reason.lower() in WITHHELD:
        return None
    text = strip_thoughts(reply.text)
    return None if text is None else form.parse(text)


def is_open(settings: AskedJudgeSettings, replies: Sequence[Reply], value: object) -> bool:
    """Whether something is to be judged (again), of whose replies the last holds `value`: no refused request is."""
    if not replies:
        return True
    return value is None and len(replies) < settings.attempts and replies[-1].finish_reason != REFUSED


def _storable(text: str) -> str:
    """A lone surrogate in a response has no UTF-8; it is judged as a question mark."""
    return text.encode("utf-8", "replace").decode()
