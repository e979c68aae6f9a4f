"""Where a pydantic error stands in a user's data, and what it says in plain words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from mixlab.config.problems import did_you_mean
from mixlab.config.wording import KeyPath, list_options, render_type, render_value, union_members, unwrap

ABSENT: Any = object()
"""Stands for what a user did not write, which is not null."""

PYDANTIC_ERRORS = frozenset(get_args(ErrorType)) - {"value_error", "assertion_error"}
"""Errors that pydantic words; the others were worded by a validator of ours."""

Finding = tuple[KeyPath, str]
"""Where a mistake is and what it is."""


@dataclass(frozen=True)
class Error:
    """A pydantic error whose location is what is left to walk."""

    rest: tuple[str | int, ...]
    details: ErrorDetails

    @property
    def kind(self) -> str:
        """Pydantic's name for it: `missing`, `int_parsing`."""
        return self.details["type"]

    def step(self) -> "Error":
        """The same error, seen from one step further down."""
        return Error(self.rest[1:], self.details)


@dataclass(frozen=True)
class Place:
    """Where the walk stands: the path, what the user wrote there, what is expected there."""

    path: KeyPath
    value: Any
    annotation: Any
    metadata: tuple[Any, ...] = ()

    def child(self, part: str | int, annotation: Any, metadata: tuple[Any, ...] = ()) -> "Place":
        """Build the place of an entry or field, which need not have been written."""
        return Place((*self.path, part), child_value(self.value, part), annotation, metadata)

    def as_type(self, annotation: Any) -> "Place":
        """Build the same place, seen as one member of a union."""
        return Place(self.path, self.value, annotation)

    @property
    def expected(self) -> str:
        """What is allowed here, in plain words."""
        return render_type(self.annotation, self.metadata)


def child_value(value: Any, part: str | int) -> Any:
    """Look one step down into what a user wrote; ABSENT when there is nothing."""
    if isinstance(value, Mapping):
        return value.get(part, ABSENT)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return ABSENT


def render_error(place: Place, error: Error) -> Finding:
    """Say one error in plain words, with what is expected and what was got."""
    details = error.details
    value = details["input"] if error.kind != "missing" else ABSENT
    if error.kind == "missing":
        return place.path, f"missing; expected {place.expected}"
    if error.kind == "extra_forbidden":
        return place.path, f"unknown key {str(place.path[-1])!r}" if place.path else "unknown key"
    if error.kind in ("union_tag_invalid", "union_tag_not_found"):
        return _render_tag_error(place, details)
    if error.kind in ("value_error", "assertion_error"):
        return place.path, str(details["ctx"]["error"])
    if error.kind == "finite_number":
        return place.path, f"expected a finite number, got {render_value(value, place.path)}"
    if error.kind not in PYDANTIC_ERRORS:
        return place.path, details["msg"]
    return place.path, render_mismatch(place, value)


def render_mismatch(place: Place, value: Any) -> str:
    """Say what is expected at `place` and what was got instead."""
    message = f"expected {place.expected}, got {render_value(value, place.path)}"
    if isinstance(value, str):
        return message + did_you_mean(value, list_options(place.annotation))
    kind, _ = unwrap(place.annotation)
    is_word = isinstance(value, int | float) and (kind is str or str in (union_members(kind) or ()))
    return f"{message}; quotes make it text" if is_word else message


def render_key_error(place: Place, key: str, annotation: Any) -> Finding:
    """Say that a mapping of free keys has one that its type does not allow."""
    hint = did_you_mean(key, list_options(annotation))
    return (*place.path, key), f"unknown key {key!r}{hint}; expected {render_type(annotation)}"


def _render_tag_error(place: Place, details: ErrorDetails) -> Finding:
    kind, metadata = unwrap(place.annotation, place.metadata)
    name = find_discriminator(metadata) or str(details.get("ctx", {}).get("discriminator", "type")).strip("'")
    tags = [tag for member in union_members(kind) or () for tag in list_tags(member, name)]
    here = (*place.path, name)
    expected = render_type(Literal[tuple(tags)]) if tags else "a known name"
    got = child_value(place.value, name)
    if got is ABSENT:
        return here, f"missing; expected {expected}"
    hint = did_you_mean(str(got), tags) if isinstance(got, str) else ""
    return here, f"expected {expected}, got {render_value(got, here)}{hint}"


def find_discriminator(metadata: Iterable[Any]) -> str | None:
    """Find the key that says which member of a union is meant, None for a plain union."""
    names = [getattr(item, "discriminator", None) for item in metadata]
    return next((name for name in names if isinstance(name, str)), None)


def list_tags(member: Any, discriminator: str) -> tuple[str, ...]:
    """List the values of the discriminating key that choose `member`."""
    kind, metadata = unwrap(member)
    if members := union_members(kind):
        inner = find_discriminator(metadata) or discriminator
        return tuple(tag for inner_member in members for tag in list_tags(inner_member, inner))
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return ()
    field = kind.model_fields.get(discriminator)
    return list_options(field.annotation) if field else ()
