"""Keys, values and types in the plain words that problems and the configuration reference use."""

import enum
import math
import re
import types
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mixlab.config.exact import Ratio, Weight

KeyPath = tuple[str | int, ...]
"""The way from the top of a document to a value: ("mixtures", 2, "weights")."""

HIDDEN = "(hidden)"

_RATIO_MARK = get_args(Ratio)[-1]
_WEIGHT_MARK = get_args(Weight)[-1]

_PLAIN_KEY = re.compile(r"[^\s.\[\]'\"]+")
_SECRET = re.compile(r"(^|_)(token|password|passwd|passphrase|secret|credentials?|(api|access|private|secret)_?key)$")
_SPECIAL_TOKEN = re.compile(r"(^|_)(end|pad|start|bos|eos|unk|sep|cls|mask|special)_token$")
"""Tokens of a tokenizer, which are no secret."""
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_LONGEST_VALUE = 60


def render_key(path: KeyPath) -> str:
    """Render a path as `a.b[2].c`; a key with dots, blanks or brackets stands in brackets and quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def is_secret(path: KeyPath) -> bool:
    """Whether a value at `path` may be a token, password or key of somebody's and must never be shown."""
    names = (part.lower().replace("-", "_") for part in path if isinstance(part, str))
    return any(_SECRET.search(name) and not _SPECIAL_TOKEN.search(name) for name in names)


def find_secrets(value: Any, path: KeyPath = ()) -> Iterator[str]:
    """Yield the text of every scalar in `value` whose path says that it is a secret."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from find_secrets(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from find_secrets(child, (*path, index))
    elif value is not None and not isinstance(value, bool) and is_secret(path):
        yield getattr(value, "text", str(value))


def render_value(value: Any, path: KeyPath = ()) -> str:
    """Render a value as its user wrote it, cut to 60 characters; a secret is hidden, a collection summed up."""
    if isinstance(value, Mapping):
        if not value:
            return "an empty mapping"
        return _shorten("a mapping with " + ", ".join(repr(str(key)) for key in value))
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None:
        return "nothing (null)"
    if is_secret(path):
        return HIDDEN
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(float(value))]
    return _shorten(getattr(value, "text", str(value)) if not isinstance(value, str) else repr(value))


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def render_field(field: FieldInfo) -> str:
    """Render what a field accepts: `a whole number >= 1`."""
    return render_type(field.annotation, tuple(field.metadata))


def render_type(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Render what a type accepts, bounds included, in plain words with an article."""
    kind, metadata = unwrap(annotation, metadata)
    bounds = render_bounds(kind, metadata)
    return f"{_render_kind(kind, metadata)} {bounds}".rstrip()


def unwrap(annotation: Any, metadata: tuple[Any, ...] = ()) -> tuple[Any, tuple[Any, ...]]:
    """Take `Annotated` off a type; the metadata found on the way is put before `metadata`."""
    while get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        annotation, metadata = inner, (*_flatten(extra), *metadata)
    return annotation, metadata


def _flatten(metadata: list[Any]) -> Iterator[Any]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from item.metadata
        yield item


def union_members(annotation: Any) -> tuple[Any, ...] | None:
    """List the members of a union, null left out; None for anything that is not a union."""
    kind, _ = unwrap(annotation)
    if get_origin(kind) not in (Union, types.UnionType):
        return None
    return tuple(member for member in get_args(kind) if member is not type(None))


def list_options(annotation: Any) -> tuple[str, ...]:
    """List the words that a type allows: of a Literal, an Enum, or of the members of a union that are such."""
    kind, _ = unwrap(annotation)
    if members := union_members(kind):
        return tuple(option for member in members for option in list_options(member))
    if get_origin(kind) is Literal:
        return tuple(render_value(option).strip("'\"") for option in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return tuple(str(option.value) for option in kind)
    return ()


def render_bounds(kind: Any, metadata: tuple[Any, ...]) -> str:
    """Render the bounds in a field's metadata: `>= 1 and < 10`, `of at least 2`, or nothing."""
    if kind is type(None) or union_members(kind) is not None or list_options(kind):
        return ""  # a union's bounds are said at the member that they bind
    limits = [f"{sign} {_render_bound(item, name)}" for item in metadata for name, sign in _present(item)]
    if kind is Fraction:
        mark = ["in [0, 1]"] if _RATIO_MARK in metadata else [">= 0"] if _WEIGHT_MARK in metadata else []
        return f"{' and '.join(mark + limits)} (like 0.5, 1/2, 50 %)".lstrip()
    parts = [" and ".join(limits)]
    if step := next((item.multiple_of for item in metadata if getattr(item, "multiple_of", None)), None):
        parts.append(f"divisible by {step}")
    least = next((n for item in metadata if (n := getattr(item, "min_length", None))), None)
    most = next((n for item in metadata if (n := getattr(item, "max_length", None)) is not None), None)
    unit = "characters" if kind is str else "entries"
    if least is not None:
        parts.append("that is not empty" if least == 1 else f"of at least {least} {unit}")
    if most is not None:
        parts.append(f"of at most {most} {unit}")
    if pattern := next((item.pattern for item in metadata if getattr(item, "pattern", None)), None):
        parts.append(f"matching {getattr(pattern, 'pattern', pattern)}")
    return " ".join(part for part in parts if part)


def _present(item: Any) -> Iterator[tuple[str, str]]:
    return ((name, sign) for name, sign in _BOUNDS.items() if getattr(item, name, None) is not None)


def _render_bound(item: Any, name: str) -> str:
    bound = getattr(item, name)
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


_SIMPLE = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Fraction: "a number",
    Path: "a path",
    type(None): "null",
    Any: "any value",
}


def _render_kind(kind: Any, metadata: tuple[Any, ...]) -> str:
    if simple := _SIMPLE.get(kind) if isinstance(kind, type) or kind is Any else None:
        return simple
    origin, arguments = get_origin(kind), get_args(kind)
    if options := list_options(kind) if union_members(kind) is None else ():
        return _join([option if _is_number(kind) else repr(option) for option in options])
    if origin in (Union, types.UnionType):
        return _join([render_type(member, _for_member(metadata)) for member in arguments])
    if origin is tuple and arguments[-1:] != (...,):
        return f"a list of exactly {len(arguments)} ({', '.join(render_type(item) for item in arguments)})"
    if origin in (list, tuple, set, frozenset):
        return f"a list (each: {render_type(arguments[0])})"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping ({render_type(arguments[0])}: {render_type(arguments[1])})"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _render_model(kind)
    return {list: "a list", tuple: "a list", dict: "a mapping"}.get(kind, getattr(kind, "__name__", str(kind)))


def _for_member(metadata: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(item for item in metadata if not isinstance(item, FieldInfo))


def _render_model(model: type[BaseModel]) -> str:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return _shorten("a mapping with " + ", ".join(repr(name) for name in names)) if names else "an empty mapping"


def _is_number(kind: Any) -> bool:
    return any(isinstance(option, int | float) for option in get_args(kind))


def _join(parts: list[str]) -> str:
    unique = list(dict.fromkeys(parts))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} or {unique[-1]}"
