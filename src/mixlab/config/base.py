"""The base of every settings model: frozen, closed, and exact about what absence means."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


class Settings(BaseModel):
    """A frozen section of the configuration; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


def require_one(settings: Settings, what: str, *names: str) -> str:
    """Return the one field of `names` that is given; raises ValueError, which begins with `what`, unless it is one."""
    given = [name for name in names if getattr(settings, name) is not None]
    if len(given) != 1:
        raise ValueError(f"{what} one of {', '.join(names[:-1])} or {names[-1]}, got {' and '.join(given) or 'none'}")
    return given[0]


def added(absent_means: Any, **constraints: Any) -> Any:
    """Declare a field that was added after keys were in use.

    `absent_means` is the behaviour of the code before the field existed. It is the field's default, and a spec
    whose field equals it has the same canonical JSON, hence the same key, as before.
    """
    return Field(default=absent_means, json_schema_extra={"absent_means": True}, **constraints)


def is_added(field: FieldInfo) -> bool:
    """Whether `field` was declared with `added`."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("absent_means"))
