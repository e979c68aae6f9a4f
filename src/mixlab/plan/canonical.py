"""The one JSON text of a spec: all of it is hashed; a field added later is absent where it means what was."""

from fractions import Fraction
from functools import cache
from typing import Any

from pydantic import BaseModel

from mixlab.artifacts.keys import canonical_json
from mixlab.config.base import is_added

_PLAIN = frozenset({str, int, bool, type(None)})


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, bool, Any], ...]:
    """Name of each field, whether it was added later, and the value its absence means."""
    return tuple(
        (name, is_added(field), field.get_default(call_default_factory=True) if is_added(field) else None)
        for name, field in model.model_fields.items()
    )


def to_plain(value: Any) -> Any:
    """Turn a settings model into JSON values, leaving out each added field that equals what its absence meant.

    Fractions become "p/q", so that they stay exact. Raises TypeError for a type without a canonical form.
    """
    kind: type[Any] = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, BaseModel):
        plain = {}
        for name, added, absent in _fields(type(value)):
            item = getattr(value, name)
            if not (added and item == absent):
                plain[name] = item if type(item) in _PLAIN else to_plain(item)
        return plain
    if kind is tuple or kind is list:
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, float):
        return float(value) + 0.0  # -0.0 means 0.0
    raise TypeError(f"no canonical form for {kind.__name__}: {value!r}")


def render_spec(spec: BaseModel) -> str:
    """Render the canonical JSON of a spec."""
    return canonical_json(to_plain(spec))
