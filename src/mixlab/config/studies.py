"""Find and read the study files and `config.yaml`, every mistake with its address."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

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


def load_study(root: Path, name: str) -> tuple[Study, Document]:
    """Read `studies/<name>.yaml`, with variant_defaults laid under every variant.

    Raises ConfigError with every problem: of the YAML, of unknown keys, of values out of range.
    """
    folder = root / STUDIES
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(other.stem for other in folder.glob("*.yaml"))
        hint = did_you_mean(name, names)
        known = ", ".join(names) or "none"
        raise ConfigError(Problem(f"no such study{hint} (studies: {known})", str(_relative(path))))
    document = _lay_defaults(load_document(_relative(path)))
    return _validated(Study, document), document


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
