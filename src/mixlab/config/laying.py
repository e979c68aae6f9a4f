"""Lay one part of a study over others: `variant_defaults` under every variant, a base model's `overrides` over all."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mixlab.config.loading import Document, problem_at
from mixlab.config.merging import is_under, merge_data
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.wording import KeyPath

DEFAULTS = "variant_defaults"
VARIANTS = "variants"
BASE_MODELS = "base_models"
OVERRIDES = "overrides"

OVERRIDABLE = (DEFAULTS, VARIANTS, "ipt", "average", "sft")
"""Sections of a study that may be different for one base model."""


def lay_defaults(document: Document) -> Document:
    """Give each variant the default keys it leaves out, with the addresses of the defaults.

    Raises ConfigError for defaults that are no mapping.
    """
    data = dict(document.data)
    defaults = data.pop(DEFAULTS, None)
    variants = data.get(VARIANTS)
    if defaults is None:
        return replace(document, data=data)
    if not isinstance(defaults, dict):
        raise ConfigError(problem_at(document, (DEFAULTS,), "expected a mapping of keys"))
    if not isinstance(variants, dict):
        return replace(document, data=data)
    addresses, written = dict(document.addresses), dict(document.written)
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
                if path in document.written:
                    written[(VARIANTS, label, *path[1:])] = document.written[path]
    data[VARIANTS] = laid
    return replace(document, data=data, addresses=addresses, written=written)


def list_overridden(document: Document) -> list[str]:
    """Name the base models that a study says something different for."""
    models = document.data.get(BASE_MODELS)
    written = models.items() if isinstance(models, dict) else ()
    return [name for name, one in written if isinstance(one, dict) and isinstance(one.get(OVERRIDES), dict)]


def lay_overrides(document: Document, base_model: str, types: Mapping[str, Any]) -> Document:
    """Return the document as one base model sees it: its overrides laid over the sections, defaults not yet laid.

    Mappings merge, lists and scalars replace, null removes or, where it is a value of its own, stays. The result has no
    overrides any more.
    """
    root: KeyPath = (BASE_MODELS, base_model, OVERRIDES)
    models = document.data[BASE_MODELS]
    said = models[base_model][OVERRIDES].items()
    over = {key: value for key, value in said if key in OVERRIDABLE and (value is None or isinstance(value, dict))}
    plain = {name: _without_overrides(one) for name, one in models.items()}
    gone: set[KeyPath] = set()
    data = merge_data({**document.data, BASE_MODELS: plain}, over, gone, types)
    addresses = {path: one for path, one in document.addresses.items() if not is_under(path, gone)}
    written = {path[3:]: path for path in document.addresses if path[:3] == root and path[3:4] and path[3] in over}
    addresses |= {path: document.addresses[place] for path, place in written.items()}
    return replace(document, data=data, addresses=addresses, written=written)


def find_override_problems(document: Document) -> Iterator[Problem]:
    """Yield what overrides cannot mean: a variant that is not there, is removed, or is not of that base model."""
    variants = document.data.get(VARIANTS)
    known = variants if isinstance(variants, dict) else {}
    for base_model in list_overridden(document):
        root: KeyPath = (BASE_MODELS, base_model, OVERRIDES)
        named = document.data[BASE_MODELS][base_model][OVERRIDES].get(VARIANTS)
        for label, variant in named.items() if isinstance(named, dict) else ():
            problem = _find_variant_problem(base_model, label, variant, known)
            if problem is not None:
                yield problem_at(document, (*root, VARIANTS, label), problem)


def _find_variant_problem(base_model: str, label: str, variant: Any, known: Mapping[str, Any]) -> str | None:
    if label not in known:
        return f"no variant is named '{label}'{did_you_mean(label, known)}; known: {', '.join(known) or 'none'}"
    if variant is None:
        return f"a variant is left out for a base model by its own `{BASE_MODELS}:`, not by an override"
    if isinstance(variant, dict) and BASE_MODELS in variant:
        return f"an override cannot say which base models a variant is for; say it in {VARIANTS}.{label}.{BASE_MODELS}"
    chosen = known[label].get(BASE_MODELS) if isinstance(known[label], dict) else None
    if isinstance(chosen, list) and base_model not in chosen:
        return f"variant '{label}' is not for base model '{base_model}'; nothing would take this override"
    return None


def _without_overrides(model: Any) -> Any:
    return {key: value for key, value in model.items() if key != OVERRIDES} if isinstance(model, dict) else model
