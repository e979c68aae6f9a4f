"""Dialogues as whole texts whose responses are found again by counting special tokens.

What stands between two special tokens is encoded apart from all else, so that a dialogue whose prompts and responses
end with special tokens need not be encoded piece by piece.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mixlab.data.records import Record


@dataclass(frozen=True)
class Turns:
    """A chat template whose responses lie between special tokens: strings around each role, special tokens in each."""

    prefix: Mapping[str, str]
    suffix: Mapping[str, str]
    specials: Mapping[str, tuple[int, int]]


class WrittenDialogues(NamedTuple):
    """Dialogues as whole texts, and by the special tokens in them where each response begins and ends.

    `specials` counts those of each dialogue. `responses`: the dialogue, and how many special tokens of the block stand
    before the response and up to its end.
    """

    texts: list[str]
    specials: list[int]
    responses: list[tuple[int, int, int]]


def write_dialogues(records: Sequence[Record], turns: Turns) -> WrittenDialogues:
    """Write each dialogue as one text."""
    texts, specials = [], []
    responses: list[tuple[int, int, int]] = []
    seen = 0
    for number, record in enumerate(records):
        parts: list[str] = []
        before = seen
        for message in record["messages"]:
            role = message["role"]
            parts += (turns.prefix[role], message["content"], turns.suffix[role])
            opening, closing = turns.specials[role]
            if role == "assistant":
                responses.append((number, seen + opening, seen + opening + closing))
            seen += opening + closing
        texts.append("".join(parts))
        specials.append(seen - before)
    return WrittenDialogues(texts, specials, responses)
