"""What a user may write, rendered from the models: a JSON schema for editors, a reference for people."""

import inspect
import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from mixlab.config.assumed import ASSUMED, VALUE
from mixlab.config.loading import EXTENDS
from mixlab.config.wording import list_options, render_bounds, render_type, union_members, unwrap

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_EXTENDS_SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    "description": "another file, relative to this one, whose keys this one changes, or a list of them: "
    "mappings merge, lists and scalars replace, null removes, or stays where it is a value of its own",
}
_ASSUMED = "Assumed"
_ASSUMED_SCHEMA = {
    "type": "object",
    "description": "a value without a source, and why it was taken",
    "properties": {VALUE: {}, ASSUMED: {"type": "string", "minLength": 1}},
    "required": [VALUE, ASSUMED],
    "additionalProperties": False,
}
_COLUMNS = ("key", "type", "default", "allowed", "description")


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Build the JSON schema (2020-12) of a file that holds `model`; `extends` is a key of every such file."""
    schema = model.model_json_schema(mode="validation")
    schema["properties"] = {EXTENDS: _EXTENDS_SCHEMA, **schema.get("properties", {})}
    return {"$schema": DIALECT, **schema}


def allow_assumed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with every value allowed to be written `{value: …, assumed: reason}`."""
    defs = {name: _wrap_values(one) for name, one in schema.get("$defs", {}).items()}
    return {**_wrap_values(schema), "$defs": {**defs, _ASSUMED: _ASSUMED_SCHEMA}}


def _wrap_values(schema: dict[str, Any]) -> dict[str, Any]:
    wrapped = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            wrapped[key] = _or_assumed(_wrap_values(schema[key]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            wrapped[key] = [_wrap_values(one) for one in schema[key]]
    if "properties" in schema:
        values = schema["properties"].items()
        wrapped["properties"] = {
            name: one if name == EXTENDS else _or_assumed(_wrap_values(one)) for name, one in values
        }
    return wrapped


def _or_assumed(schema: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {key: schema[key] for key in ("description", "title", "default") if key in schema}
    return {**told, "anyOf": [schema, {"$ref": f"#/$defs/{_ASSUMED}"}]}


def render_reference(models: Sequence[type[BaseModel]]) -> str:
    """Render the reference of `models` and of every model within them as Markdown, one table each.

    The models come first in the order given, each followed by those that it is the first to mention.
    """
    return "\n".join(_render_section(model) for model in _list_models(models))


def _list_models(roots: Sequence[type[BaseModel]]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {}

    def visit(model: type[BaseModel]) -> None:
        if model not in found:
            found[model] = None
            for field in model.model_fields.values():
                for inner in _models_in(field.annotation):
                    visit(inner)

    for root in roots:
        visit(root)
    return list(found)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    kind, _ = unwrap(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for argument in get_args(kind):
        yield from _models_in(argument)


def _render_section(model: type[BaseModel]) -> str:
    lines = [f"## {model.__name__}", ""]
    if own := model.__dict__.get("__doc__"):
        lines += [inspect.cleandoc(own), ""]
    lines += [_render_row(_COLUMNS), _render_row(("---",) * len(_COLUMNS))]
    for name, field in model.model_fields.items():
        lines.append(_render_row(_describe(field.alias or name, field)))
    return "\n".join(lines) + "\n"


def _describe(name: str, field: FieldInfo) -> tuple[str, ...]:
    kind, metadata = unwrap(field.annotation, tuple(field.metadata))
    return (
        f"`{name}`",
        _render_links(kind, metadata),
        _render_default(field),
        _render_allowed(kind, metadata),
        (field.description or "").strip(),
    )


def _render_links(kind: Any, metadata: tuple[Any, ...]) -> str:
    """Render a type without its outermost bounds; a model is a link to its section."""
    members = union_members(kind)
    if members is not None:
        words = [_render_links(*unwrap(member, _item_metadata(metadata))) for member in members]
        null = ["null"] if type(None) in get_args(kind) else []
        return " or ".join(dict.fromkeys([*words, *null]))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if list_options(kind):
        return "word" if all(isinstance(option, str) for option in get_args(kind)) else "number"
    inner = list(dict.fromkeys(_models_in(kind)))
    if inner:
        links = " or ".join(_render_links(model, ()) for model in inner)
        return f"{render_type(kind).split(' (')[0].removeprefix('a ')} of {links}"
    return render_type(kind).removesuffix(render_bounds(kind, ())).strip().removeprefix("a ")


def _item_metadata(metadata: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(item for item in metadata if not isinstance(item, FieldInfo))


def _render_allowed(kind: Any, metadata: tuple[Any, ...]) -> str:
    members = union_members(kind)
    if members is not None:
        return "; ".join(filter(None, (_render_allowed(*unwrap(member, metadata)) for member in members)))
    if options := list_options(kind):
        return ", ".join(f"`{option}`" for option in options)
    return render_bounds(kind, metadata)


def _render_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "its defaults" if value == _try_default(type(value)) else f"`{value.model_dump_json()}`"
    plain = to_jsonable_python(value, fallback=str)
    text = plain if isinstance(plain, str) and plain else json.dumps(plain, ensure_ascii=False, sort_keys=True)
    return f"`{text}`"


def _try_default(model: type[BaseModel]) -> BaseModel | None:
    return None if any(field.is_required() for field in model.model_fields.values()) else model()


def _render_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
