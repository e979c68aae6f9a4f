"""What the validation of a training run cannot mean: sources that are not there, or that a model learns from."""

from collections.abc import Iterator, Mapping

from mixlab.config.base_models import ScratchModelConfig
from mixlab.config.held_out import ValidationConfig
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.config.training import TrainSettings
from mixlab.config.wording import render_key
from mixlab.plan.checks_data import Found, Path, list_drawn, list_repeated, unknown
from mixlab.plan.sources_lock import LockedSource


def check_validation(study: Study, read: StudyFile, lock: Mapping[str, LockedSource]) -> Found:
    """Look whether validation names sources that are there, have something to learn, and are in no mixture."""
    found = list(_list_validations(study))
    if not found:
        return
    expansion = study.expansion()
    known = {*read.names("sources"), *read.names("pools"), *expansion}
    learnt = _list_learnt(study, lock)
    for path, config, training in found:
        if training.trainer is not None:
            yield path, "a trainer that is not ours is not told of validation; remove it"
        for position, name in enumerate(config.sources):
            place = (*path, "sources", position)
            if name not in known:
                yield place, unknown("source", name, sorted(known))
                continue
            if name in study.sources and study.sources[name].kind == "benchmark":
                yield place, f"'{name}' is a benchmark; validation takes raw and instruction sources"
                continue
            for source in sorted({part.partition("/")[0] for part in expansion.get(name, ())}):
                if study.sources[source].kind == "raw" and training.loss == "response":
                    yield place, f"'{source}' is raw text; with `loss: response` there is nothing to learn in it"
                if source in learnt:
                    yield place, f"'{source}' {learnt[source]}; hold out other records, by `select` or another source"


def _list_validations(study: Study) -> Iterator[tuple[Path, ValidationConfig, TrainSettings]]:
    for name, model in study.base_models.items():
        if isinstance(model, ScratchModelConfig) and model.validation is not None:
            yield ("base_models", name, "validation"), model.validation, model.training
    if study.ipt is not None and study.ipt.validation is not None:
        yield ("ipt", "validation"), study.ipt.validation, study.ipt.training
    if study.sft is not None and study.sft.validation is not None:
        for training in (study.sft.training, *(one.training for one in study.sft.others.values())):
            yield ("sft", "validation"), study.sft.validation, training


def _list_learnt(study: Study, lock: Mapping[str, LockedSource]) -> dict[str, str]:
    """Say of each source that a model learns from, itself or under another name, in which mixture."""
    repeated = list_repeated(study, lock)
    learnt: dict[str, str] = {}
    for path, drawn in list_drawn(study):
        where = render_key(path)
        for name in sorted(drawn):
            learnt.setdefault(name, f"is in the mixture of {where} too, so it is not held out")
        for one, other in [*repeated, *((other, one) for one, other in repeated)]:
            if other in drawn:
                learnt.setdefault(one, f"has records of '{other}', which is in the mixture of {where}")
    return learnt
