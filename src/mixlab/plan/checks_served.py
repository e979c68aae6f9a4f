"""What the served models of a study cannot mean."""

from collections.abc import Iterator

from mixlab.config.analysis import EffectSettings
from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.laying import DEFAULTS
from mixlab.config.loading import Document
from mixlab.config.problems import ConfigError
from mixlab.config.scorers import PythonTestsSettings
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.plan.checks_data import Found, Path
from mixlab.plan.checks_tuning import list_tuned

_HOTTEST = 2.0
"""The highest temperature that the reference API takes."""


_MADE = ("base_models", "variants", "ipt")
"""Sections that make models together, or not at all."""


_OF_MADE = (DEFAULTS, "architectures", "average", "chat", "engine")
"""Further sections that decide something of models that are made, and of no other."""

_SEEDS_OF_MADE = ("mixture_seed", "ipt_seed", "sft_seed")


def check_evaluated(read: StudyFile) -> Found:
    """Look whether a study evaluates anything: models that it makes, with all that makes them, or served ones."""
    data = read.document.data
    given = [section for section in _MADE if data.get(section)]
    if not given and not read.study.served_models:
        yield (), "nothing is evaluated: give base_models, variants and ipt, which make models, or served_models"
    for section in _MADE:
        if given and section not in given:
            yield (section,), f"missing; {', '.join(given)} make no model without it; give it, or served_models alone"
    if data.get("sft") and "variants" not in given:
        yield ("sft",), "there are no variants to be tuned; give base_models, variants and ipt, or remove sft"
    if not given and read.study.served_models:
        for path in _list_idle(read.document):
            yield path, "has no effect on served models, and the study makes none; remove it"


def _list_idle(document: Document) -> Iterator[Path]:
    """Yield what a study's own file says of the making of models; what it extends may say it for other studies."""
    own = str(document.files[0])
    # null, which removes, has an address as well, but nothing below it; defaults were laid, so data has them no more
    written = {path[:2] for path, address in document.addresses.items() if len(path) > 1 and address.file == own}
    yield from ((section,) for section in _OF_MADE if section in {first for first, _ in written})
    seeds = document.data.get("seeds")
    known = seeds if isinstance(seeds, dict) else {}
    yield from (("seeds", name) for name in _SEEDS_OF_MADE if name in known and ("seeds", name) in written)


def check_served_models(study: Study, read: StudyFile) -> Found:
    """Look whether served models have names of their own, and can be asked the study's benchmarks."""
    points = {*read.names("variants"), *list_tuned(study, read)}
    for name in study.served_models:
        if name in points:
            yield ("served_models", name), f"a variant's point is called '{name}' too; call the served model otherwise"
    if not study.served_models:
        return
    chats = ", ".join(f"'{name}'" for name, served in study.served_models.items() if served.api == "chat")
    for name, use in study.benchmarks.items():
        try:
            declaration = use.declaration(name)
        except (ConfigError, ValueError):
            continue
        path, sampling = ("benchmarks", name), declaration.prompt.sampling
        if chats and _continues_code(declaration):
            yield (
                path,
                f"the head of a function is to be continued, which api chat of {chats} answers as a message: write "
                "api: completions there, or leave out the benchmark",
            )
        hottest = max(sampling.temperatures())
        if hottest > _HOTTEST:
            yield (
                path,
                f"temperature {hottest:g}: endpoints of served models take no more than {_HOTTEST:g}",
            )
        if sampling.long_prompts == "truncate_left":
            message = "long_prompts: truncate_left needs a tokenizer, which a served model keeps to itself"
            yield path, f"{message}; write skip or refuse, or leave served_models out"


def _continues_code(declaration: BenchmarkDeclaration) -> bool:
    scoring = declaration.scoring
    return not declaration.prompt.chat and isinstance(scoring, PythonTestsSettings) and scoring.form == "completion"


def check_served_effect(effect: EffectSettings, path: Path, study: Study) -> Found:
    """Look whether an effect compares served models with one another, and those only."""
    for field in ("variant", "against"):
        label = getattr(effect, field)
        is_served = label in study.served_models
        if is_served and effect.stage != "served":
            yield (*path, "stage"), f"'{label}' is a served model; compare it with another one and write stage: served"
        elif effect.stage == "served" and not is_served:
            known = ", ".join(sorted(study.served_models)) or "none"
            yield (*path, field), f"'{label}' is no served model (there are: {known}), but stage is served"
