"""The one JSON text of a spec: all of it is hashed; a field added later is absent where it means what was."""

from enum import Enum
from fractions import Fraction
from typing import Any

from pydantic import BaseModel

from mixlab.artifacts.keys import canonical_json
from mixlab.config.base import is_added


def to_plain(value: Any) -> Any:
    """Turn a settings model into JSON values, leaving out each added field that equals what its absence meant.

    Fractions become "p/q", so that they stay exact. Raises TypeError for a type without a canonical form.
    """
    if isinstance(value, BaseModel):
        plain = {}
        for name, field in type(value).model_fields.items():
            item = getattr(value, name)
            if not (is_added(field) and item == field.get_default(call_default_factory=True)):
                plain[name] = to_plain(item)
        return plain
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, float):
        return float(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"no canonical form for {type(value).__name__}: {value!r}")


def render_spec(spec: BaseModel) -> str:
    """Render the canonical JSON of a spec."""
    return canonical_json(to_plain(spec))
