"""Find and read the study files and `config.yaml`, every mistake with its address."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from mixlab.config.loading import Document, load_document
from mixlab.config.machine import MainConfig
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.study import Study
from mixlab.config.validation import validate

STUDIES = "studies"
CONFIG = "config.yaml"
DEFAULTS = "variant_defaults"
VARIANTS = "variants"

Model = TypeVar("Model", bound=BaseModel)


def load_main_config(root: Path) -> MainConfig:
    """Read `config.yaml` of a working folder; raises ConfigError with every problem."""
    document = load_document(_relative(root / CONFIG))
    return _validated(MainConfig, document)


@dataclass(frozen=True)
class StudyFile:
    """A study as far as it can be understood.

    `study` leaves out the entries, and lacks the sections named in `missing`, that `problems` are about.
    """

    study: Study
    document: Document
    problems: tuple[Problem, ...] = ()
    missing: frozenset[str] = frozenset()

    def names(self, section: str) -> list[str]:
        """Name the entries of a section as they were written, those with mistakes as well."""
        written = self.document.data.get(section)
        return [str(name) for name in written] if isinstance(written, Mapping) else []


def load_study(root: Path, name: str) -> tuple[Study, Document]:
    """Read `studies/<name>.yaml`, with variant_defaults laid under every variant.

    Raises ConfigError with every problem: of the YAML, of unknown keys, of values out of range.
    """
    read = read_study(root, name)
    if read.problems:
        raise ConfigError(read.problems)
    return read.study, read.document


def read_study(root: Path, name: str) -> StudyFile:
    """Read what can be understood of `studies/<name>.yaml`, so that further problems can be looked for in the rest.

    Raises ConfigError when there is no such file or it is no YAML.
    """
    folder = root / STUDIES
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(other.stem for other in folder.glob("*.yaml"))
        hint = did_you_mean(name, names)
        known = ", ".join(names) or "none"
        raise ConfigError(Problem(f"no such study{hint} (studies: {known})", str(_relative(path))))
    document = _lay_defaults(load_document(_relative(path)))
    study, problems = validate(Study, document)
    if study is not None:
        return StudyFile(study, document, tuple(problems))
    parts = _understand(document.data)
    absent = [name for name in Study.model_fields if name not in parts]
    # beside an unknown key, an absent section may be the one that was meant: its default is not what the user wants
    is_clear = set(document.data) <= set(Study.model_fields)
    optional = {name for name in absent if not Study.model_fields[name].is_required() and name not in document.data}
    missing = frozenset(absent) - (optional if is_clear else set())
    return StudyFile(Study.model_construct(None, **parts), document, tuple(problems), missing)


def _understand(data: Mapping[str, Any]) -> dict[str, Any]:
    """Build the sections, and the entries of sections, that have no mistake of their own."""
    parts: dict[str, Any] = {}
    for name, field in Study.model_fields.items():
        value = data.get(name)
        if get_origin(field.annotation) is dict and isinstance(value, Mapping):
            entry = TypeAdapter(get_args(field.annotation)[1])
            built = ((key, _build(entry, one)) for key, one in value.items())
            parts[name] = {key: one for key, one in built if one is not None}
        elif value is not None:
            section = _build(TypeAdapter(cast("type[Any]", field.annotation)), value)
            if section is not None:
                parts[name] = section
    return parts


def _build(adapter: TypeAdapter[Any], value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


def _relative(path: Path) -> Path:
    """Messages name files as the user sees them from the working folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _validated(model: type[Model], document: Document) -> Model:
    instance, problems = validate(model, document)
    if problems or instance is None:
        raise ConfigError(problems)
    return instance


def _lay_defaults(document: Document) -> Document:
    """Give each variant the default keys it leaves out, with the addresses of the defaults."""
    data = dict(document.data)
    defaults = data.pop(DEFAULTS, None)
    variants = data.get(VARIANTS)
    if defaults is None:
        return document
    if not isinstance(defaults, dict):
        raise ConfigError(Problem("expected a mapping of keys", *document.address((DEFAULTS,)), DEFAULTS))
    if not isinstance(variants, dict):
        return Document(data, document.addresses, document.files)
    addresses = dict(document.addresses)
    laid: dict[str, Any] = {}
    for label, variant in variants.items():
        if not isinstance(variant, dict) and variant is not None:
            laid[label] = variant
            continue
        taken = {key: value for key, value in defaults.items() if key not in (variant or {})}
        laid[label] = {**taken, **(variant or {})}
        for path, address in document.addresses.items():
            if len(path) > 1 and path[0] == DEFAULTS and path[1] in taken:
                addresses[(VARIANTS, label, *path[1:])] = address
    data[VARIANTS] = laid
    return Document(data, addresses, document.files)
