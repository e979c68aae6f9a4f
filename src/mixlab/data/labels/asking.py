"""Answers to questions about dialogues: from the store as far as they are there, else asked for and stored."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from mixlab.config.labelling import LabelSettings
from mixlab.config.problems import DataError
from mixlab.data.labels.questions import REFUSED, UNANSWERED, Question, Reply, parse_reply
from mixlab.data.labels.store import LabelStore

Ask = Callable[[Sequence[Question]], Iterable[Sequence[tuple[int, Reply]]]]
"""Asks questions; yields lists of (position of the question, reply) as they arrive."""

_REFUSALS_BEFORE_DOUBT = 50


def is_open(settings: LabelSettings, replies: Sequence[Reply]) -> bool:
    """Whether a question with these replies is to be asked (again): a refusal is not repeated."""
    return len(replies) < settings.attempts and not any(
        reply.finish_reason == REFUSED or parse_reply(reply) is not None for reply in replies
    )


@dataclass
class Answers:
    """One run over a source: who answers, what was answered, and what it has cost so far."""

    settings: LabelSettings
    store: LabelStore
    ask: Ask
    asked: int = 0
    prompt_tokens: int = 0
    response_tokens: int = 0
    unanswered: dict[bytes, str] = field(default_factory=dict)
    """Questions that no try could get answered, and why; they are not stored."""
    on_arrival: Callable[[], None] = lambda: None
    _held: list[tuple[bytes, int, Reply]] = field(default_factory=list)
    _has_answered: bool = False

    def find(self, questions: Sequence[Question]) -> dict[bytes, list[Reply]]:
        """Return the replies to `questions` in the order of the attempts, asking for those that are missing.

        What is returned was read back from the store, so that two jobs that ask the same see the same. Raises
        DataError where every question was refused and none was ever answered.
        """
        one_each = {question.digest: question for question in questions}
        while True:
            stored = self.store.read(list(one_each))
            self._watch(chain.from_iterable(stored.values()))
            coming = [
                replace(question, attempt=len(stored.get(digest, [])) + 1)
                for digest, question in one_each.items()
                if digest not in self.unanswered and is_open(self.settings, stored.get(digest, []))
            ]
            if not coming:
                return stored
            for arrived in self.ask(coming):
                self._keep([(coming[position], reply) for position, reply in arrived])
                self.on_arrival()
            if self._held:
                raise self._build_doubt()

    def _keep(self, arrived: Sequence[tuple[Question, Reply]]) -> None:
        self._watch(reply for _, reply in arrived)
        for question, reply in arrived:
            if reply.finish_reason == UNANSWERED:
                self.unanswered[question.digest] = reply.text
                continue
            self._held.append((question.digest, question.attempt, reply))
            self.asked += 1
            self.prompt_tokens += reply.prompt_tokens
            self.response_tokens += reply.response_tokens
        # until something was answered, refusals wait: the request's form may be wrong, and a refusal is not repeated
        if self._has_answered and self._held:
            self.store.add(self._held)
            self._held = []
        elif len(self._held) >= _REFUSALS_BEFORE_DOUBT:
            raise self._build_doubt()

    def _watch(self, replies: Iterable[Reply]) -> None:
        without = (REFUSED, UNANSWERED)
        self._has_answered = self._has_answered or any(reply.finish_reason not in without for reply in replies)

    def _build_doubt(self) -> DataError:
        count = len(self._held)
        said = "the only question was" if count == 1 else f"all of the first {count} questions were"
        return DataError(
            f"{self.settings.label}: {said} refused, so that the request itself may be wrong; mend the labeller's "
            f"engine, or the shown characters. The last refusal: {self._held[-1][2].text}"
        )
