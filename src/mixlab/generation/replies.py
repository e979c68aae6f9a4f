"""What a chat endpoint replied, read by hand: endpoints differ in what they leave out, and some send anything."""

import json
from dataclasses import dataclass
from typing import Any

LARGEST_COUNT = 2**40
"""What says more is read as this, which nobody believes either and SQLite, whose integers end at 2**63, can hold."""


@dataclass(frozen=True)
class ChatReply:
    """What a model replied, why it ended (stop, length, content_filter …), and the tokens counted by its endpoint."""

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    response_tokens: int = 0


def parse_body(body: bytes) -> Any:
    """Parse what a server sent; raises ValueError for what is no JSON, or nested too deeply to be parsed."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"the reply is no JSON ({len(body)} bytes)") from None


def read_reply(body: bytes, *, is_plain: bool = False) -> ChatReply:
    """Read a reply; text and token counts may be missing. Raises ValueError saying what else is wrong with it.

    `is_plain`: it is of /completions, which has a text and no message.
    """
    reply = parse_body(body)
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("the reply has no choices")
    message = {"content": choices[0].get("text")} if is_plain else choices[0].get("message")
    if not isinstance(message, dict):
        raise ValueError("the reply's choice has no message")
    reason, usage = choices[0].get("finish_reason"), reply.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return ChatReply(
        _read_text(message.get("content")),
        reason if isinstance(reason, str) and reason else "unknown",
        _read_count(counts.get("prompt_tokens")),
        _read_count(counts.get("completion_tokens")),
    )


def read_models(body: bytes) -> list[str]:
    """Read the names in a list of models; empty where it is none."""
    try:
        listed = parse_body(body)["data"]
        return sorted(model["id"] for model in listed if isinstance(model["id"], str))
    except (ValueError, KeyError, TypeError):
        return []


def read_error(body: bytes) -> str:
    """Read what a server says of a request that it did not take: its message where there is one, else its own words."""
    try:
        said = parse_body(body)
        said = said.get("error", said.get("detail", said)) if isinstance(said, dict) else said
        return str(said["message"] if isinstance(said, dict) and "message" in said else said)
    except (ValueError, RecursionError):
        return body[:4_000].decode(errors="replace")


def _read_text(content: Any) -> str:
    """The text of a message: a string, or a list of parts of which those of text count."""
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if part.get("type", "text") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _read_count(value: Any) -> int:
    return min(value, LARGEST_COUNT) if type(value) is int and value >= 0 else 0
