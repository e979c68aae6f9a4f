"""The three forms of a record, and the check that one has its form."""

import unicodedata
from typing import Any, Literal, TypedDict

Record = dict[str, Any]
"""A JSON object: raw, instruction or benchmark."""
ROLES = ("system", "user", "assistant")


class Message(TypedDict):
    """One turn of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: str


def find_fault(kind: str, record: Any) -> str | None:
    """Say what keeps `record` from being a record of `kind`, or None.

    raw: {"text"}, not blank (`is_blank`). instruction: {"messages"}, at least one non-blank assistant turn after a
    user turn, no turn blank, user and assistant in turn, ending with the assistant. benchmark: {"id", fields: text or
    list of texts}. No text holds a NUL or half of a surrogate pair.
    """
    if not isinstance(record, dict):
        return f"is a {type(record).__name__}, not an object"
    if kind == "raw":
        return _fault_of_text(record)
    if kind == "instruction":
        return _fault_of_messages(record)
    return _fault_of_item(record)


def _fault_of_text(record: Record) -> str | None:
    text = record.get("text")
    if not isinstance(text, str):
        return f"`text` is {text!r}, not a text"
    if is_blank(text):
        return "`text` is empty"
    return _fault_of_characters("`text`", text)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space and invisible format characters such as U+200B and U+FEFF alone."""
    if not text or text.isspace():
        return True
    if text[0].isprintable() and text[0] != " ":
        return False
    return all(one.isspace() or unicodedata.category(one) == "Cf" for one in text)


def is_plain_dialogue(record: Any) -> bool:
    """Whether a record has the form of a dialogue beyond doubt; five times as fast as finding out what is wrong."""
    messages = record.get("messages") if type(record) is dict else None
    if type(messages) is not list:
        return False
    awaited = "user"
    for at, message in enumerate(messages):
        if type(message) is not dict:
            return False
        role, content = message.get("role"), message.get("content")
        # nearly every turn begins with a character that shows: one look at it, and no call, is what speed asks for
        if type(content) is not str or ((content[:1] < "!" or not content[0].isprintable()) and is_blank(content)):
            return False
        if role == awaited:
            awaited = "assistant" if role == "user" else "user"
        elif at or role != "system":
            return False
    return awaited == "user" and len(messages) > 1


def _fault_of_messages(record: Record) -> str | None:
    if is_plain_dialogue(record) and _fault_of_characters("", "".join(texts_of(record))) is None:
        return None
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        return "`messages` is no list of turns"
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            return f"turn {at + 1} has no role of {', '.join(ROLES)}"
        content = message.get("content")
        if not isinstance(content, str) or is_blank(content):
            return f"turn {at + 1} ({message['role']}) is empty"
        if fault := _fault_of_characters(f"turn {at + 1} ({message['role']})", content):
            return fault
    roles = [message["role"] for message in messages]
    spoken = roles[1:] if roles[0] == "system" else roles
    if not spoken or len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2):
        return f"turns are {', '.join(roles)}: user and assistant must take turns, assistant last"
    return None


def _fault_of_item(record: Record) -> str | None:
    if not isinstance(record.get("id"), str) or not record["id"]:
        return f"`id` is {record.get('id')!r}, not a text"
    for name, value in record.items():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            return f"`{name}` is {value!r}, not a text or a list of texts"
        if fault := _fault_of_characters(f"`{name}`", "".join(texts)):
            return fault
    return None


def _fault_of_characters(name: str, text: str) -> str | None:
    """JSON can name NUL, which no text needs, and half of a character beyond U+FFFF, which no tokenizer takes."""
    if "\0" in text:
        return f"{name} holds a NUL character (U+0000): the record is damaged or binary"
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"{name} holds half of a surrogate pair (U+{ord(text[error.start]):04X}), which is no character"
    return None


def texts_of(record: Record) -> list[str]:
    """The texts of a raw or an instruction record, in order."""
    if "messages" in record:
        return [message["content"] for message in record["messages"]]
    return [record["text"]]
