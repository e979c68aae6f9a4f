"""From messages to text, by the strings of a chat template."""

from collections.abc import Sequence
from typing import NamedTuple

from mixlab.config.chat import ChatTemplate
from mixlab.data.records import Message


class Piece(NamedTuple):
    """A stretch of rendered text: prompt, or response including what closes it."""

    text: str
    is_response: bool


def render(messages: Sequence[Message], template: ChatTemplate) -> list[Piece]:
    """Render a dialogue as alternating prompt and response pieces; joined, they are the whole text."""
    pieces: list[Piece] = []
    prompt = ""
    for message in messages:
        role, content = message["role"], message["content"]
        if role == "assistant":
            pieces.append(Piece(prompt + template.assistant_prefix, False))
            pieces.append(Piece(content + template.assistant_suffix, True))
            prompt = ""
        elif role == "user":
            prompt += template.user_prefix + content + template.user_suffix
        else:
            prompt += template.system_prefix + content + template.system_suffix
    if prompt:
        pieces.append(Piece(prompt, False))
    return pieces


def render_prompt(messages: Sequence[Message], template: ChatTemplate) -> str:
    """Render a dialogue that the model shall continue: the assistant's turn is left open at the end.

    Raises ValueError when the last message is the assistant's.
    """
    if not messages or messages[-1]["role"] == "assistant":
        raise ValueError("a prompt ends with a user or system message")
    return "".join(piece.text for piece in render(messages, template)) + template.assistant_prefix
