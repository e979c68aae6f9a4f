"""What the tables and figures that a study is to give cannot mean."""

from mixlab.config.problems import ConfigError
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.config.targets import RawTarget, ScoreTarget, list_names
from mixlab.plan.checks_data import Found, unknown


def check_targets(study: Study, read: StudyFile) -> Found:
    """Yield targets that name a variant or base model that is not there, or select no benchmark."""
    for name, target in study.targets.items():
        for address, variants, models in list_names(target):
            path = ("targets", name, *address.split("."))
            for label in variants:
                if label not in read.names("variants"):
                    yield path, unknown("variant", label, read.names("variants"))
            for model in models:
                if model not in read.names("base_models"):
                    yield path, unknown("base model", model, read.names("base_models"))
        if isinstance(target, RawTarget):
            yield from _check_pair(study, name, target)
        if isinstance(target, ScoreTarget):
            yield from _check_scores(study, read, name, target)


def _check_pair(study: Study, name: str, target: RawTarget) -> Found:
    chosen = study.variants[target.variant].base_models if target.variant in study.variants else None
    if chosen is not None and target.base_model not in chosen:
        message = f"variant '{target.variant}' is not for base model '{target.base_model}'"
        yield ("targets", name, "base_model"), message


def _has_points(study: Study, target: ScoreTarget) -> bool:
    """Whether the study has any point that a target shows; what it names and nobody knows is told elsewhere."""
    labels, models = target.variants or tuple(study.variants), target.base_models or tuple(study.base_models)
    if not {*labels} <= {*study.variants} or not {*models} <= {*study.base_models}:
        return True
    return any({*models} & {*(study.variants[label].base_models or models)} for label in labels)


def _check_scores(study: Study, read: StudyFile, name: str, target: ScoreTarget) -> Found:
    if not _has_points(study, target):
        message = "none of its variants is for any of its base models, so that it has no cell; name others"
        yield ("targets", name, "base_models" if target.base_models else "variants"), message
    if study.sft is None and (target.gain or "after_sft" in target.stages):
        yield ("targets", name, "stages"), "the study has no sft, so there is no score after it"
    found = []
    for label, use in study.benchmarks.items():
        try:
            found.append((label, use.declaration(label)))
        except (ConfigError, ValueError):
            return  # told where the benchmark stands
    for position, measure in enumerate(target.measures):
        if not any(
            measure.selects(one, label, declared.category, declared.language)
            for label, declared in found
            for one in declared.measures()
        ):
            message = f"'{measure.label}' selects no benchmark of the study ({measure.filters()}, {measure.measure})"
            yield ("targets", name, "measures", position), message
