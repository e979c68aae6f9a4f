"""Find and read the study files and `config.yaml`, every mistake with its address."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from mixlab.config.assumed import Assumption
from mixlab.config.editing import Edit, edit_document
from mixlab.config.laying import DEFAULTS as DEFAULTS
from mixlab.config.laying import VARIANTS as VARIANTS
from mixlab.config.laying import find_override_problems, lay_defaults, lay_overrides, list_overridden
from mixlab.config.loading import Document, load_document, problem_at, sort_problems
from mixlab.config.machine import MainConfig
from mixlab.config.pools import Registry, find_pool_problems
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.study import Study, VariantConfig
from mixlab.config.validation import validate

STUDIES = "studies"
CONFIG = "config.yaml"
_TITLE = re.compile(rb"^title:", re.MULTILINE)

Model = TypeVar("Model", bound=BaseModel)


def _types_of(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


STUDY_TYPES: Mapping[str, Any] = {**_types_of(Study), DEFAULTS: VariantConfig}
"""What stands under the keys of a study file."""


def load_main_config(root: Path) -> MainConfig:
    """Read `config.yaml` of a working folder; raises ConfigError with every problem."""
    return read_main_config(root)[0]


def read_main_config(root: Path) -> tuple[MainConfig, Document]:
    """Read `config.yaml`, and where each of its values stands; raises ConfigError with every problem."""
    document = load_document(_relative(root / CONFIG))
    return _validated(MainConfig, document), document


@dataclass(frozen=True)
class StudyFile:
    """A study as far as it can be understood.

    `study` leaves out the entries, and lacks the sections named in `missing`, that `problems` are about. `seen` holds
    the study as base models with overrides see it, by name; addresses in it are those of the overrides.
    """

    study: Study
    document: Document
    problems: tuple[Problem, ...] = ()
    missing: frozenset[str] = frozenset()
    seen: Mapping[str, "StudyFile"] = field(default_factory=dict)

    def names(self, section: str) -> list[str]:
        """Name the entries of a section as they were written, those with mistakes as well."""
        written = self.document.data.get(section)
        return [str(name) for name in written] if isinstance(written, Mapping) else []

    def used_sources(self) -> frozenset[str]:
        """Name the sources that take part; all of them where a section that could name one is missing."""
        return frozenset(self.names("sources")) if self.missing else self.study.used_sources()

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Every value that the study takes without a source, in order of address.

        What a registry assumes of sources, pools and architectures that take no part is left out.
        """
        if self.missing:
            return self.document.assumptions
        used = {
            "sources": self.used_sources(),
            "pools": self.study.used_pools(),
            "architectures": self.study.used_architectures(),
        }
        return tuple(
            one
            for one in self.document.assumptions
            if len(one.path) < 2 or one.path[0] not in used or one.path[1] in used[str(one.path[0])]
        )


def load_study(root: Path, name: str) -> tuple[Study, Document]:
    """Read `studies/<name>.yaml`, with variant_defaults laid under every variant.

    Raises ConfigError with every problem: of the YAML, of unknown keys, of values out of range.
    """
    read = read_study(root, name)
    if read.problems:
        raise ConfigError(read.problems)
    return read.study, read.document


def read_study(root: Path, name: str, edits: Sequence[Edit] = ()) -> StudyFile:
    """Read what can be understood of `studies/<name>.yaml`, so that further problems can be looked for in the rest.

    With `edits`, as if the file said them. Raises ConfigError when there is no such file or it is no YAML.
    """
    folder = root / STUDIES
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = list_studies(root)
        hint = did_you_mean(name, names)
        known = ", ".join(names) or "none"
        raise ConfigError(Problem(f"no such study{hint} (studies: {known})", str(_relative(path))))
    written = load_document(_relative(path), STUDY_TYPES)
    if is_registry(written):
        message = "this is a registry of sources, not a study; a study takes it by `extends:`"
        raise ConfigError(Problem(message, str(_relative(path)), 1))
    written = edit_document(written, edits, STUDY_TYPES) if edits else written
    read = _read(lay_defaults(written))
    seen = {base: _read(lay_defaults(lay_overrides(written, base, STUDY_TYPES))) for base in list_overridden(written)}
    found = [*read.problems, *find_override_problems(written), *_find_pool_problems(read)]
    # a mistake outside of the overrides is one problem, however many base models see it
    found += [problem for one in seen.values() for problem in one.problems]
    study = read.study.with_seen({base: one.study for base, one in seen.items()})
    for view in (read, *seen.values()):
        if "benchmarks" not in view.missing:
            view.study.place_tasks(_relative(root))
    return replace(read, study=study, problems=tuple(sort_problems(found)), seen=seen)


def list_studies(root: Path) -> list[str]:
    """Name every study of a working folder: the files of `studies/`; what lies in its folders are registries."""
    return sorted(path.stem for path in (root / STUDIES).glob("*.yaml"))


def list_every_study(root: Path) -> list[str]:
    """Name the studies of `list_studies`, and those in folders below: `kodama_oda/raw_ratio`.

    A file in a folder is a study where it has a `title:` of its own; else it is what studies extend.
    """
    folder = root / STUDIES
    files = (path for path in folder.glob("**/*.yaml") if path.parent != folder)
    nested = [path for path in files if _TITLE.search(path.read_bytes())]
    return [*list_studies(root), *sorted(path.relative_to(folder).with_suffix("").as_posix() for path in nested)]


def is_registry(document: Document) -> bool:
    """Whether a file holds sources and pools alone."""
    return set(document.data) <= set(Registry.model_fields)


def load_registry(path: Path) -> tuple[Registry, Document]:
    """Read a file of sources and pools that studies extend; raises ConfigError with every problem."""
    document = load_document(_relative(path), _types_of(Registry))
    if VARIANTS in document.data:
        message = "this is a study, not a registry of sources and pools; `mixlab plan` says what is wrong with studies"
        raise ConfigError(Problem(message, *document.address((VARIANTS,))))
    registry, problems = validate(Registry, document)
    parts = _understand(Registry, document.data)
    written = (document.data.get(section) for section in ("sources", "pools"))
    known = {str(name) for section in written if isinstance(section, Mapping) for name in section}
    found = find_pool_problems(parts.get("sources", {}), parts.get("pools", {}), known)
    problems += [problem_at(document, place, message) for place, message in found]
    if problems or registry is None:
        raise ConfigError(sort_problems(problems))
    return registry, document


def _find_pool_problems(read: StudyFile) -> list[Problem]:
    if read.missing.intersection(("sources", "pools")):
        return []
    known = {*read.names("sources"), *read.names("pools")}
    found = find_pool_problems(read.study.sources, read.study.pools, known)
    return [problem_at(read.document, place, message) for place, message in found]


def _read(document: Document) -> StudyFile:
    study, problems = validate(Study, document)
    if study is not None:
        return StudyFile(study, document)
    parts = _understand(Study, document.data)
    absent = [name for name in Study.model_fields if name not in parts]
    # beside an unknown key, an absent section may be the one that was meant: its default is not what the user wants
    is_clear = set(document.data) <= set(Study.model_fields)
    optional = {name for name in absent if not Study.model_fields[name].is_required() and name not in document.data}
    missing = frozenset(absent) - (optional if is_clear else set())
    return StudyFile(Study.model_construct(None, **parts), document, tuple(problems), missing)


def _understand(model: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """Build the sections, and the entries of sections, that have no mistake of their own."""
    parts: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        value = data.get(name)
        if get_origin(info.annotation) is dict and isinstance(value, Mapping):
            entry = TypeAdapter(get_args(info.annotation)[1])
            built = ((key, _build(entry, one)) for key, one in value.items())
            parts[name] = {key: one for key, one in built if one is not None}
        elif value is not None:
            section = _build(TypeAdapter(cast("type[Any]", info.annotation)), value)
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
