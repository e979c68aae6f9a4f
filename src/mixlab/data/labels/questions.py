"""What a labeller is asked about a dialogue, and how its reply is read."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from mixlab.artifacts.keys import canonical_json
from mixlab.config.categories import CATEGORIES
from mixlab.config.labelling import DIALOGUE, LabelSettings, ShownSettings
from mixlab.config.problems import DataError
from mixlab.data.records import Record
from mixlab.data.replies import REFUSED as REFUSED
from mixlab.data.replies import UNANSWERED as UNANSWERED
from mixlab.data.replies import WITHHELD
from mixlab.data.replies import Reply as Reply
from mixlab.data.thoughts import cut_thoughts

OMITTED = "\n[…]\n"
"""Stands where the middle of a long dialogue is not shown."""

_CUT = frozenset({"length", "max_tokens", "max_length", "model_length", "model_context_window_exceeded", "incomplete"})
"""What servers call a reply that is not whole: OpenAI, Anthropic, TGI, Mistral."""
_MARK = re.compile(r"<(/?dialogue)>", re.IGNORECASE)
_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}
_ANSWER = re.compile(
    r"""[\s>*_`"'\[({<「『【-]*                                              # a list's dash, marks of emphasis, quotes
        (?:(?:category|answer|label|カテゴリー?|分類|答え)[\s*_`"']*[:：は][\s*_`"'\[({<「『【]*)?
        (?P<category>code|general|math|reasoning)
        [\s*_`"'\])}>」』】.。]*""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Question:
    """One dialogue to label: the messages, the number of the attempt from 1 on, and the key of its answers."""

    digest: bytes
    system: str
    text: str
    attempt: int = 1


def render_dialogue(shown: ShownSettings, record: Record) -> str:
    """Render what a labeller sees of a dialogue; a longer text keeps its first three quarters and its end.

    Raises DataError for a record that is no dialogue.
    """
    messages = record.get("messages")
    if not messages:
        raise DataError("labels are for dialogues, but a record has no messages: its source must be kind instruction")
    if shown.turns == "all":
        text = "\n\n".join(f"{_SPEAKERS[one['role']]}: {one['content']}" for one in messages)
    else:
        said = [one["content"] for one in messages if one["role"] == "user"]
        text = said[0] if shown.turns == "first" else "\n\n".join(said)
    if len(text) <= shown.max_characters:
        return text
    tail = shown.max_characters // 4
    return text[: shown.max_characters - tail] + OMITTED + text[-tail:]


class QuestionWriter:
    """Renders the questions of a labeller, each with the key of its answers.

    The key is sha256 over the engine's settings, the prompt and the dialogue as shown: a source's name, the number of
    attempts and what is done with an unparsable answer are not in it, so that sources share answers.
    """

    def __init__(self, settings: LabelSettings) -> None:
        if settings.prompt is None:
            raise ValueError("keyword rules are not asked questions")
        self._shown = settings.shown
        self._system = settings.prompt.system
        self._before, self._after = settings.prompt.question.split(DIALOGUE)
        asked = {"engine": settings.engine.model_dump(mode="json"), "prompt": settings.prompt.model_dump(mode="json")}
        self._base = hashlib.sha256(canonical_json(asked).encode() + b"\n")

    def write(self, record: Record) -> Question:
        """Render the question about a record; our marks in its text are made harmless."""
        dialogue = _MARK.sub(r"‹\1›", render_dialogue(self._shown, record))
        digest = self._base.copy()
        # a lone surrogate in a text has no UTF-8; it is asked about as a question mark
        dialogue = dialogue.encode("utf-8", "replace").decode()
        digest.update(dialogue.encode())
        return Question(digest.digest(), self._system, f"{self._before}{dialogue}{self._after}")


def parse_reply(reply: Reply) -> int | None:
    """Return the position in CATEGORIES of the category that a reply names, or None: never a guess.

    A line is an answer when it is one of the four words, alone or after `Category:`, with or without marks around it.
    What counts is the last line with text; of a reply that was cut off, the first, since its last may be half a line.
    Thoughts between <think> and </think> are no answer, nor is a reply that was withheld, broken off or calls a tool.
    """
    reason = reply.finish_reason.lower()
    text = unicodedata.normalize("NFKC", cut_thoughts(reply.text))
    if "<think>" in text:
        return None
    # models whose chat template opens the thought reply with its end alone
    lines = [line for line in text.rpartition("</think>")[2].splitlines() if line.strip()]
    if not lines or reason in WITHHELD:
        return None
    found = _ANSWER.fullmatch(lines[0 if reason in _CUT else -1])
    categories: list[str] = [*CATEGORIES]
    return categories.index(found["category"].lower()) if found else None
