"""What a study expects of its noise must name what it has, and say how many items there are."""

from mixlab.config.analysis import EffectSettings
from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.problems import ConfigError, did_you_mean
from mixlab.config.sources import GeneratorOrigin
from mixlab.config.study import BenchmarkUse, Study
from mixlab.plan.checks_data import Found


def check_noise(study: Study) -> Found:
    """Yield what is wrong with the study's section `noise`, by address."""
    if study.noise is None:
        return
    for name in study.noise.items:
        if name not in study.benchmarks:
            hint = did_you_mean(name, study.benchmarks)
            yield ("noise", "items", name), f"no benchmark is named '{name}'{hint}"
    counts = count_items(study)
    unknown: dict[str, str] = {}
    for effect in study.effects:
        noise = study.noise.measures.get(effect.measure)
        if noise is not None and noise.varies_by_item():
            unknown |= {name: effect.name for name in list_benchmarks(study, effect) if name not in counts}
    for name, effect_name in sorted(unknown.items()):
        said = (
            f"says how answers vary, but not how many items '{name}' has, which effect '{effect_name}' is measured on"
        )
        yield ("noise",), f"{said}; give noise.items.{name}, or remove answer and what ends in _item"


def count_items(study: Study) -> dict[str, int]:
    """Return the items of each benchmark as the study says them: `noise.items`, else its limit or a generator's size.

    A limit on files counts as what is there: the plan reads no files.
    """
    counts: dict[str, int] = {}
    for name, use in study.benchmarks.items():
        source = study.sources.get(use.data)
        size = source.origin.size if source is not None and isinstance(source.origin, GeneratorOrigin) else None
        declared = _declare(use, name)
        limit = declared.prompt.limit if declared is not None else None
        if known := [number for number in (limit, size) if number is not None]:
            counts[name] = min(known)
    return counts | (study.noise.items if study.noise is not None else {})


def _declare(use: BenchmarkUse, name: str) -> BenchmarkDeclaration | None:
    """Return the declaration of a benchmark; None where it has mistakes, which are told of the benchmark itself."""
    try:
        return use.declaration(name)
    except (ConfigError, ValueError):
        return None


def list_benchmarks(study: Study, effect: EffectSettings) -> list[str]:
    """Name the benchmarks that an effect averages over, sorted."""
    found = []
    for name, use in sorted(study.benchmarks.items()):
        declared = _declare(use, name)
        if declared is None:
            continue
        if any(effect.selects(one, name, declared.category, declared.language) for one in declared.measures()):
            found.append(name)
    return found
