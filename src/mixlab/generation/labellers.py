"""Who answers a labeller's questions: a model behind an endpoint, or one in memory."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.labelling import HfLabelEngine, OpenaiLabelEngine
from mixlab.data.labels.asking import Ask
from mixlab.data.labels.questions import Question, Reply
from mixlab.data.records import Message
from mixlab.generation.asking import ask_all
from mixlab.generation.openai import ChatClient
from mixlab.generation.replies import ChatReply

if TYPE_CHECKING:
    from mixlab.generation.hf_chat import HfChat

Arrived = list[tuple[int, Reply]]


def build_messages(question: Question) -> list[Message]:
    """Return the messages of a question."""
    return [{"role": "system", "content": question.system}, {"role": "user", "content": question.text}]


def build_attempt(engine: OpenaiLabelEngine, attempt: int) -> ChatModelSettings:
    """Return how an attempt is asked: from the second on with another seed, and the retry temperature."""
    fields = {name: getattr(engine, name) for name in ChatModelSettings.model_fields}
    if attempt > 1:
        fields["temperature"] = engine.retry_temperature
        fields["seed"] = None if engine.seed is None else engine.seed + attempt - 1
    return ChatModelSettings(**fields)


def ask_endpoint(client: ChatClient, engine: OpenaiLabelEngine) -> Ask:
    """Return what asks an endpoint, many questions at a time."""

    def ask(questions: Sequence[Question]) -> Iterable[Arrived]:
        requests = ((build_messages(one), build_attempt(engine, one.attempt)) for one in questions)
        for arrived in ask_all(client, requests):
            yield [(position, _to_reply(reply)) for position, reply in arrived]

    return ask


def ask_chat(chat: "HfChat", engine: HfLabelEngine) -> Ask:
    """Return what asks a model in memory: greedily at first, then each question and attempt with a seed of its own."""

    def ask(questions: Sequence[Question]) -> Iterable[Arrived]:
        for is_first in (True, False):
            positions = [at for at, one in enumerate(questions) if (one.attempt == 1) == is_first]
            replies = chat.reply_all(
                [build_messages(questions[at]) for at in positions],
                max_tokens=engine.max_tokens,
                temperature=0.0 if is_first else engine.retry_temperature,
                seeds=[_build_seed(engine.seed, questions[at]) for at in positions],
            )
            for arrived in replies:
                yield [(positions[at], _to_reply(reply)) for at, reply in arrived]

    return ask


def _build_seed(seed: int, question: Question) -> int:
    digest = hashlib.sha256(f"{seed}/{question.attempt}/{question.digest.hex()}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _to_reply(reply: ChatReply) -> Reply:
    return Reply(reply.text, reply.finish_reason, reply.prompt_tokens, reply.response_tokens)
