"""Which types may stand where in a file, by the annotations of its settings models."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from mixlab.config.wording import KeyPath, union_members, unwrap


def means_null(types: Mapping[str, Any], path: KeyPath) -> bool:
    """Whether null is a meaning of its own at a path: allowed there, and not what holds where nothing is said.

    So `gradient_clip: null` says that nothing is clipped, and does not take away what another file says.
    `types` are the annotations of the top-level keys.
    """
    kinds: tuple[Any, ...] = expand_kind(types.get(str(path[0]), Any)) if len(path) > 1 else ()
    for part in path[1:-1]:
        kinds = step_down(kinds, part)
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    fields = [one for kind in models for name, one in kind.model_fields.items() if (one.alias or name) == path[-1]]
    return any(not one.is_required() and one.default is not None and allows_null(one.annotation) for one in fields)


def allows_null(annotation: Any) -> bool:
    """Whether a type has null among its members."""
    kind, _ = unwrap(annotation)
    if union_members(kind) is None:
        return kind is type(None)
    return any(allows_null(member) for member in get_args(kind))


def step_down(kinds: tuple[Any, ...], part: str | int) -> tuple[Any, ...]:
    """List the types that may stand one step further down."""
    return tuple(inner for kind in kinds for below in _below(kind, part) for inner in expand_kind(below))


def _below(kind: Any, part: str | int) -> Iterator[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if (field.alias or name) == part:
                yield field.annotation
    elif is_mapping(kind) and len(arguments) == 2:
        yield arguments[1]
    elif origin in (list, tuple) and isinstance(part, int) and arguments:
        is_fixed = origin is tuple and arguments[-1] is not ...
        yield arguments[part] if is_fixed and part < len(arguments) else arguments[0]


def expand_kind(annotation: Any) -> tuple[Any, ...]:
    """List the members of a type, null left out."""
    kind, _ = unwrap(annotation)
    members = union_members(kind)
    return (kind,) if members is None else tuple(one for member in members for one in expand_kind(member))


def is_mapping(kind: Any) -> bool:
    """Whether a type is a mapping, whose keys are the user's own."""
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)
