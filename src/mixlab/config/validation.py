"""Check a document against a settings model and say what is wrong in our own words, each mistake once.

Pydantic's errors are led down the model's types beside the user's data: names of union members are taken out of their
locations, and of an undiscriminated union only the member that the user meant is heard.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError
from pydantic.fields import FieldInfo

from mixlab.config.loading import Document, problem_at, sort_problems
from mixlab.config.mistakes import (
    ABSENT,
    PYDANTIC_ERRORS,
    Error,
    Finding,
    Place,
    child_value,
    find_discriminator,
    list_tags,
    render_error,
    render_key_error,
    render_mismatch,
)
from mixlab.config.problems import Problem, did_you_mean
from mixlab.config.wording import KeyPath, render_type, render_value, union_members, unwrap

Model = TypeVar("Model", bound=BaseModel)

_STRUCTURAL = frozenset({"missing", "extra_forbidden"})


def validate(model: type[Model], document: Document, at: KeyPath = ()) -> tuple[Model | None, list[Problem]]:
    """Build `model` from the part of the document at `at`.

    Returns the instance and no problems, or None and all problems, sorted by file and line.
    """
    value: Any = document.data
    for part in at:
        value = child_value(value, part)
    if value is ABSENT:
        return None, [problem_at(document, at, f"missing; expected {render_type(model)}")]
    root = Place(at, value, model)
    try:
        instance = model.model_validate(value)
    except ValidationError as error:
        errors = [Error(details["loc"], details) for details in error.errors(include_url=False)]
        findings: Iterable[Finding] = _explain(root, errors)
    else:
        findings = _find_coerced(at, value, instance)
    problems = sort_problems([problem_at(document, path, message) for path, message in findings])
    return (None, problems) if problems else (instance, [])


def _explain(place: Place, errors: Sequence[Error]) -> Iterator[Finding]:
    """Say what `errors`, all located at or below `place`, mean there."""
    yield from (render_error(place, error) for error in errors if not error.rest and not _is_long_enough(error))
    below = [error for error in errors if error.rest]
    if not below:
        return
    kind, metadata = unwrap(place.annotation, place.metadata)
    members = union_members(kind)
    if members is not None:
        yield from _explain_union(place, members, find_discriminator(metadata), below)
    elif isinstance(kind, type) and issubclass(kind, RootModel):
        yield from _explain(place.as_type(kind.model_fields["root"].annotation), below)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _explain_model(place, kind, below)
    else:
        for part, group in _group(below).items():
            yield from _explain_entry(place, kind, part, group)


def _is_long_enough(error: Error) -> bool:
    """Whether a list is told to be too short because of its wrong entries, which pydantic does not count."""
    details = error.details
    return error.kind == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _group(errors: Iterable[Error]) -> dict[str | int, list[Error]]:
    groups: dict[str | int, list[Error]] = {}
    for error in errors:
        groups.setdefault(error.rest[0], []).append(error.step())
    return groups


def _explain_model(place: Place, model: type[BaseModel], errors: Sequence[Error]) -> Iterator[Finding]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    groups = _group(errors)
    unknown = [str(part) for part, group in groups.items() if group[0].kind == "extra_forbidden" and part not in fields]
    absent = [name for name, group in groups.items() if group[0].kind == "missing" and not group[0].rest]
    suggested = set()
    for key in unknown:
        hint = _suggest_key(key, absent, fields, place.value)
        suggested |= {name for name in absent if hint == f"; did you mean '{name}'?"}
        yield (*place.path, key), f"unknown key {key!r}{hint or _render_allowed_keys(fields)}"
    for part, group in groups.items():
        if str(part) in unknown or part in suggested:
            continue
        field = fields.get(str(part))
        annotation, metadata = (Any, ()) if field is None else (field.annotation, _field_metadata(field))
        yield from _explain(place.child(part, annotation, metadata), group)


def _suggest_key(key: str, absent: Sequence[Any], fields: Mapping[str, Any], value: Any) -> str:
    """Suggest a missing key before one that merely exists, and never one that is already written."""
    free = [name for name in fields if child_value(value, name) is ABSENT]
    return did_you_mean(key, absent) or did_you_mean(key, free) or did_you_mean(key.lower(), free)


def _render_allowed_keys(fields: Iterable[str]) -> str:
    names = ", ".join(f"'{name}'" for name in fields)
    return f"; allowed: {names}" if names else "; no keys are allowed here"


def _field_metadata(field: FieldInfo) -> tuple[Any, ...]:
    return (*field.metadata, field) if field.discriminator else tuple(field.metadata)


def _explain_entry(place: Place, kind: Any, part: str | int, errors: Sequence[Error]) -> Iterator[Finding]:
    """Explain errors in one entry of a list or mapping, or of a type that is not known here."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
        for error in errors:
            if error.rest == ("[key]",):
                yield render_key_error(place, str(part), arguments[0])
        below = [error for error in errors if error.rest != ("[key]",)]
        yield from _explain(place.child(part, arguments[1]), below)
    elif origin is tuple and isinstance(part, int) and arguments[-1:] != (...,):
        annotation = arguments[part] if part < len(arguments) else Any
        yield from _explain(place.child(part, annotation), errors)
    elif origin in (list, tuple, set, frozenset) or child_value(place.value, part) is not ABSENT:
        yield from _explain(place.child(part, arguments[0] if arguments else Any), errors)
    else:
        yield from _explain(place, errors)


def _explain_union(
    place: Place, members: tuple[Any, ...], discriminator: str | None, errors: Sequence[Error]
) -> Iterator[Finding]:
    if len(members) == 1:  # X | None: pydantic adds nothing to the location
        yield from _explain(Place(place.path, place.value, members[0], place.metadata), errors)
        return
    groups = _group(errors)
    if discriminator:
        for tag, group in groups.items():
            chosen = [member for member in members if str(tag) in list_tags(member, discriminator)]
            yield from _explain(place.as_type(chosen[0] if chosen else Any), group)
        return
    if len(groups) != len(members):  # two members of one name: the user cannot tell them apart either
        yield place.path, render_mismatch(place, place.value)
        return
    named = zip(members, groups.values(), strict=True)
    branches = [(place.as_type(member), group) for member, group in named if _is_like(member, place.value)]
    if not branches or (len(branches) > 1 and not isinstance(place.value, dict | list)):
        yield place.path, render_mismatch(place, place.value)
        return
    nearest, group = min(branches, key=lambda branch: _distance(*branch))
    if all(not error.rest and error.kind in PYDANTIC_ERRORS for error in group):
        yield place.path, render_mismatch(place, place.value)
    else:
        yield from _explain(nearest, group)


def _is_like(member: Any, value: Any) -> bool:
    """Whether a value has the shape of a union's member: mapping, list or scalar."""
    kind, _ = unwrap(member)
    if members := union_members(kind):
        return any(_is_like(inner, value) for inner in members)
    origin = get_origin(kind) or kind
    is_type = isinstance(origin, type)
    if is_type and issubclass(origin, RootModel):
        return _is_like(origin.model_fields["root"].annotation, value)
    if is_type and issubclass(origin, BaseModel | Mapping):
        return isinstance(value, dict)
    if is_type and issubclass(origin, list | tuple | set | frozenset):
        return isinstance(value, list)
    return not isinstance(value, dict | list)


def _distance(place: Place, errors: Sequence[Error]) -> tuple[int, int]:
    """Rank how far a user's value is from a union's member: keys that do not fit first, then errors."""
    messages = [message for _, message in _explain(place, errors)]
    misfits = sum(error.kind in _STRUCTURAL for error in errors)
    suggestions = sum("did you mean" in message for message in messages)
    return misfits - 2 * suggestions, len(messages)


def _find_coerced(path: KeyPath, value: Any, result: Any) -> Iterator[Finding]:
    """Find what pydantic let pass although the user wrote another thing: `yes` for true, true for 1."""
    if isinstance(result, BaseModel) and isinstance(value, Mapping):
        for name, field in type(result).model_fields.items():
            if (key := field.alias or name) in value:
                yield from _find_coerced((*path, key), value[key], getattr(result, name))
    elif isinstance(result, Mapping) and isinstance(value, Mapping):
        for key in value:
            if key in result:
                yield from _find_coerced((*path, key), value[key], result[key])
    elif isinstance(result, list | tuple) and isinstance(value, list) and len(value) == len(result):
        for index, item in enumerate(value):
            yield from _find_coerced((*path, index), item, result[index])
    elif isinstance(result, bool) and not isinstance(value, bool) and isinstance(value, str | int | float):
        yield path, f"expected true or false, got {render_value(value, path)}"
    elif isinstance(value, bool) and isinstance(result, int | float) and not isinstance(result, bool):
        yield path, f"expected a number, got {render_value(value, path)}"
