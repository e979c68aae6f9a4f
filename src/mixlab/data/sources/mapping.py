"""From a file's object to a record: the declared fields, applied."""

import json
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mixlab.config.fields import (
    Choice,
    Derived,
    FieldMapping,
    Join,
    Lookup,
    MessagesMapping,
    Replace,
    Select,
    Strip,
    element_at,
    parse_template,
)
from mixlab.data.records import Record

_SHOWN_DIGITS = 40


class FieldFault(ValueError):
    """A record lacks a field, or the field holds something else than declared."""


def build_record(kind: str, fields: FieldMapping, row: Any, number: int) -> Record:
    """Map the object `row`, record `number` of its file, to a record of `kind`.

    Raises FieldFault naming the field, its value and what was expected.
    """
    if not isinstance(row, dict):
        raise FieldFault(f"is a {type(row).__name__}, not an object with fields")
    row = row | {name: derive(rule, row) for name, rule in fields.derive.items()}
    if kind == "raw":
        return {"text": _fill_text(fields.text if fields.text is not None else "{text}", row)}
    if kind == "benchmark":
        return {"id": item_id(fields.id, row, number)} | fill_item(fields.item, row)
    if fields.messages is not None:
        return {"messages": _mapped_turns(fields.messages, row)}
    # an answer may be a number
    given = (
        ("system", fields.system, _fill_text),
        ("user", fields.user, _fill_text),
        ("assistant", fields.assistant, fill),
    )
    said = ((role, fill_one(template, row)) for role, template, fill_one in given if template is not None)
    return {"messages": [{"role": role, "content": trim(content)} for role, content in said]}


def trim(text: str) -> str:
    """Drop the blank lines around a message and white space at its end; its first line keeps its indentation."""
    text = text.rstrip()
    blank = len(text) - len(text.lstrip())
    if not blank:
        return text
    return text[max(text.rfind("\n", 0, blank), text.rfind("\r", 0, blank)) + 1 :]


def item_id(template: str | None, row: Any, number: int) -> str:
    """The name of a benchmark item: its id field, or the record number."""
    return fill(template, row) if template is not None else str(number)


def fill_item(item: dict[str, str], row: Any) -> Record:
    """Fill the templates of an item; an optional field that is absent is left out.

    A template of one place and nothing else keeps a list of texts a list.
    """
    filled: Record = {}
    for name, template in item.items():
        parts = parse_template(template)
        if len(parts) == 1 and not isinstance(parts[0], str):
            path, optional = parts[0]
            value = element_at(row, path)
            if value is None and optional:
                continue
            if isinstance(value, list):
                filled[name] = [_text(element, path) for element in value]
                continue
        filled[name] = fill(template, row)
    return filled


def fill(template: str, row: Any) -> str:
    """Fill the places of `template` from `row`; finite numbers become text."""
    return _fill(template, row, _text)


def _fill_text(template: str, row: Any) -> str:
    """Fill a template; one that is a single place and nothing else takes no number."""
    return _fill(template, row, _text if len(parse_template(template)) > 1 else _own_text)


def _fill(template: str, row: Any, read: Callable[[Any, tuple[str, ...]], str]) -> str:
    texts = []
    for part in parse_template(template):
        if isinstance(part, str):
            texts.append(part)
            continue
        path, optional = part
        value = element_at(row, path)
        texts.append("" if value is None and optional else read(value, path))
    return "".join(texts)


def _text(value: Any, path: tuple[str, ...]) -> str:
    name = ".".join(path)
    if value is None:
        raise FieldFault(f"field `{name}` is missing")
    if isinstance(value, str):
        return value
    if type(value) is int or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FieldFault(f"field `{name}` holds bytes that are no UTF-8 ({error.reason})") from None
    if isinstance(value, bool | float):
        raise FieldFault(f"field `{name}` holds {json.dumps(value)}, not a text")
    raise FieldFault(f"field `{name}` holds a {type(value).__name__}, not a text")


def _own_text(value: Any, path: tuple[str, ...]) -> str:
    """The text of a field that is a text by itself: a number there says that the wrong field was named."""
    text = _text(value, path)
    if isinstance(value, int | float):
        shown = text if len(text) <= _SHOWN_DIGITS else f"{text[:_SHOWN_DIGITS]}…"
        raise FieldFault(f"field `{'.'.join(path)}` holds the number {shown}, not a text")
    return text


def _mapped_turns(mapping: MessagesMapping, row: Record) -> list[dict[str, str]]:
    name, turns = _first_of(mapping.field, row)
    if not isinstance(turns, list):
        raise FieldFault(f"field `{name}` is {'missing' if turns is None else 'no list of turns'}")
    messages = []
    for at, turn in enumerate(turns):
        role_name, role = _first_of(mapping.role_field, turn)
        content_name, content = _first_of(mapping.content_field, turn)
        if type(role) is not str:
            role = _text(role, (name, str(at), role_name))  # it is looked up, and becomes no text
        if type(content) is not str:
            content = _own_text(content, (name, str(at), content_name))
        messages.append({"role": mapping.roles.get(role, role), "content": trim(content)})
    return messages


def _first_of(names: str, row: Any) -> tuple[str, Any]:
    """Name and value of the first of `a|b` that is there; the first name and None when none is."""
    choices = _split_names(names)
    for name, path in choices:
        value = row.get(name) if len(path) == 1 and type(row) is dict else element_at(row, path)
        if value is not None:
            return name, value
    return choices[0][0], None


@lru_cache(maxsize=1024)
def _split_names(names: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, tuple(name.split("."))) for name in names.split("|"))


def is_selected(select: Select, row: Any) -> bool:
    """Whether a record has one of the values asked for; raises FieldFault when the field is missing."""
    return _fill(select.by, row, _compared) in select.values


def _compared(value: Any, path: tuple[str, ...]) -> str:
    """What is compared becomes no text of a record, and may be a truth value: True or False."""
    return str(value) if isinstance(value, bool | float) else _text(value, path)


def derive(rule: Derived, row: Record) -> Any:
    """Apply one rule of `derive` to a record's fields."""
    if isinstance(rule, Choice):
        return _chosen(rule, row)
    value = element_at(row, tuple(rule.field.split(".")))
    if isinstance(rule, Join):
        return _joined(rule, value)
    if isinstance(rule, Lookup):
        return _looked_up(rule, value)
    text = _text(value, (rule.field,))
    if isinstance(rule, Replace):
        return re.sub(rule.pattern, rule.by, text)
    return _stripped(rule, text)


def _chosen(rule: Choice, row: Record) -> Any:
    if isinstance(rule.choices, str):
        choices = element_at(row, tuple(rule.choices.split(".")))
    else:
        choices = [element_at(row, tuple(name.split("."))) for name in rule.choices]
    if not isinstance(choices, list) or not choices:
        raise FieldFault(f"field `{rule.choices}` is no list of choices")
    index = element_at(row, tuple(rule.index.split(".")))
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    last = rule.first + len(choices) - 1
    if not isinstance(index, int) or isinstance(index, bool) or not rule.first <= index <= last:
        raise FieldFault(f"field `{rule.index}` is {index!r}, not one of {rule.first} to {last}")
    return choices[index - rule.first]


def _joined(rule: Join, value: Any) -> str:
    if not isinstance(value, list):
        raise FieldFault(f"field `{rule.field}` is {'missing' if value is None else 'no list'}")
    texts = []
    for element in value:
        parts = element if isinstance(element, list | dict) else [element]
        pairs = parts.items() if isinstance(parts, dict) else ((str(at), part) for at, part in enumerate(parts))
        texts.append(fill(rule.item, {name: _flat(part, rule.field) for name, part in pairs}))
    return rule.separator.join(texts)


def _flat(part: Any, field: str) -> Any:
    return ", ".join(_text(element, (field,)) for element in part) if isinstance(part, list) else part


def _looked_up(rule: Lookup, value: Any) -> str:
    found = _compared(value, (rule.field,))
    if found not in rule.texts:
        raise FieldFault(f"field `{rule.field}` is {found!r:.80}, not one of {', '.join(rule.texts)}")
    return rule.texts[found]


def _stripped(rule: Strip, text: str) -> str:
    if not text.startswith(rule.prefix) or not text.endswith(rule.suffix):
        raise FieldFault(f"field `{rule.field}` lacks the declared prefix or suffix: {text[:60]!r}")
    return text.removeprefix(rule.prefix).removesuffix(rule.suffix)
