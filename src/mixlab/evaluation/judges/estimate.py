"""What judging would ask and cost, before anything is asked: an estimate of tokens, and bounds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mixlab.config.judge_budget import JudgePrice
from mixlab.config.judging import AskedJudgeSettings, ModelJudgeSettings
from mixlab.data.replies import Reply
from mixlab.evaluation.judges.questions import Form, Questions, is_open, read_reply
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.evaluation.judging import JudgePrompt, render_prompts
from mixlab.evaluation.scorers.score import read_texts
from mixlab.generation.responses import Response

T = TypeVar("T")


@dataclass(frozen=True)
class JudgeWork:
    """Verdicts wanted, those among them to be asked for, and the tokens of the latter's first attempts.

    `prompt_tokens` are estimated; replies have at most `max_reply_tokens` together. `is_exact`: the responses are
    there, so that equal ones and those in the store were seen; else every verdict counts as one to be asked for, and
    every response as one of the longest.
    """

    verdicts: int = 0
    to_ask: int = 0
    prompt_tokens: int = 0
    max_reply_tokens: int = 0
    is_exact: bool = True

    def __add__(self, other: "JudgeWork") -> "JudgeWork":
        return JudgeWork(
            self.verdicts + other.verdicts,
            self.to_ask + other.to_ask,
            self.prompt_tokens + other.prompt_tokens,
            self.max_reply_tokens + other.max_reply_tokens,
            self.is_exact and other.is_exact,
        )

    def max_cost_pico(self, price: JudgePrice | None) -> int | None:
        """What the first attempts cost at most, by the estimate of prompts; None without a price."""
        return None if price is None else price.cost_pico(self.prompt_tokens, self.max_reply_tokens)


def estimate_text_tokens(text: str) -> int:
    """Estimate tokens: one for four ASCII characters, one for each other (Japanese has about that many)."""
    ascii_characters = sum(character.isascii() for character in text)
    return -(-ascii_characters // 4) + len(text) - ascii_characters


def estimate_prompts(
    settings: AskedJudgeSettings,
    prompts: Sequence[JudgePrompt],
    run: int,
    form: Form[T],
    store: VerdictStore,
    counted: set[bytes],
) -> JudgeWork:
    """Estimate what is left of prompts whose responses are there; equal ones are asked once.

    `counted` names the questions that others ask already, as two models may say the same; those of these are added.
    """
    questions = Questions(settings, run)
    replies: list[list[Reply]] = [[] for _ in prompts]
    coming, missing = list(range(len(prompts))), {}
    while coming:
        requests = {at: questions.build(prompts[at], replies[at]) for at in coming}
        stored = store.read(list({one.question for one in requests.values()}))
        for at, request in requests.items():
            replies[at] += stored.get(request.question, [])
            if request.question not in stored:
                missing[request.question] = request
        found = {at: read_reply(replies[at][-1], form) for at in coming if requests[at].question in stored}
        coming = [at for at, value in found.items() if is_open(settings, replies[at], value)]
    missing = {question: request for question, request in missing.items() if question not in counted}
    counted.update(missing)
    texts = [[message["content"] for message in request.body["messages"]] for request in missing.values()]
    tokens = sum(estimate_text_tokens(text) for one in texts for text in one)
    return JudgeWork(len(prompts), len(missing), tokens, len(missing) * settings.max_tokens)


def estimate_items(settings: ModelJudgeSettings, items: Iterable[Mapping[str, Any]], answer_tokens: int) -> JudgeWork:
    """Estimate what judging items takes whose responses are not there: each with the longest possible ones."""
    work = JudgeWork(is_exact=False)
    for item in items:
        turns = len(read_texts(item, "turns"))
        prompts = list(render_prompts(settings, (item, Response(str(item["id"]), [], responses=[""] * turns))))
        work += estimate_blank(settings, prompts, answer_tokens * count_shown(len(prompts)))
    return work


def count_shown(turns: int) -> int:
    """Return how many responses of a model its turns show together: turn t shows t of them."""
    return turns * (turns + 1) // 2


def estimate_blank(settings: AskedJudgeSettings, prompts: Sequence[JudgePrompt], shown_tokens: int) -> JudgeWork:
    """Estimate prompts that lack their responses, which have `shown_tokens` together at most."""
    tokens = sum(estimate_text_tokens(one.system) + estimate_text_tokens(one.prompt) for one in prompts)
    count = len(prompts)
    return JudgeWork(count, count, tokens + shown_tokens, count * settings.max_tokens, is_exact=False)
