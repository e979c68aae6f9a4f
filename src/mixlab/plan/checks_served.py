"""What the served models of a study cannot mean."""

from mixlab.config.analysis import EffectSettings
from mixlab.config.problems import ConfigError
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.plan.checks_data import Found, Path
from mixlab.plan.checks_tuning import list_tuned

_HOTTEST = 2.0
"""The highest temperature that the reference API takes."""


def check_served_models(study: Study, read: StudyFile) -> Found:
    """Look whether served models have names of their own, and can be asked the study's benchmarks."""
    points = {*read.names("variants"), *list_tuned(study, read)}
    for name in study.served_models:
        if name in points:
            yield ("served_models", name), f"a variant's point is called '{name}' too; call the served model otherwise"
    if not study.served_models:
        return
    for name, use in study.benchmarks.items():
        try:
            sampling = use.declaration(name).prompt.sampling
        except (ConfigError, ValueError):
            continue
        path = ("benchmarks", name)
        if sampling.temperature > _HOTTEST:
            yield (
                path,
                f"temperature {sampling.temperature:g}: endpoints of served models take no more than {_HOTTEST:g}",
            )
        if sampling.long_prompts == "truncate_left":
            message = "long_prompts: truncate_left needs a tokenizer, which a served model keeps to itself"
            yield path, f"{message}; write skip or refuse, or leave served_models out"


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
