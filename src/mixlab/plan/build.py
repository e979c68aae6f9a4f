"""From studies to a plan: read, check everything, expand; every problem at once, before any job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixlab.config.base_models import HubModel, ModelFiles, ScratchModelConfig
from mixlab.config.editing import Edit
from mixlab.config.loading import Document, sort_problems
from mixlab.config.machine import MachineSettings, MainConfig
from mixlab.config.model_facts import ModelFacts
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.sources import GeneratorOrigin
from mixlab.config.studies import (
    CONFIG,
    StudyFile,
    list_every_study,
    list_studies,
    read_main_config,
    read_study,
)
from mixlab.config.study import Study
from mixlab.plan.base_model_lock import BASE_MODEL, list_facts
from mixlab.plan.checks import check_study
from mixlab.plan.checks_endpoints import locate_endpoints
from mixlab.plan.expand import expand_study
from mixlab.plan.graph import Plan
from mixlab.plan.judge_texts import read_judge_texts
from mixlab.plan.source_files import find_files
from mixlab.plan.sources_lock import LockedSource, check_sources, locate_files, read_lock
from mixlab.plan.stages import STAGES

_WILDCARDS = frozenset("*?[")
_SHOWN = 3


@dataclass(frozen=True)
class Planned:
    """A plan with what it was made from."""

    plan: Plan
    config: MainConfig
    studies: Mapping[str, Study]
    files: Mapping[str, str]
    """Digest of a locked source file -> its path here; place of a labeller or judge -> endpoint's name, or
    folder; place of a served model -> endpoint's name. What studies name two endpoints for is not in it."""
    facts: Mapping[ModelFiles | HubModel, ModelFacts]
    """Sizes of base models that are read, as far as the lock notes them."""
    reads: Mapping[str, StudyFile]
    """The studies as they were written."""
    document: Document
    """`config.yaml` as it was written."""
    warnings: tuple[str, ...] = ()
    """What is no mistake, and may not be what is meant."""


def split_names(names: str) -> list[str]:
    """Split `demo,real_small` into study names, each once."""
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def check_stages(config: MainConfig) -> list[Problem]:
    """Return a problem for each stage that `machine.stages` names and the pipeline does not have."""
    return [
        Problem(f"no stage is named '{name}'{did_you_mean(name, STAGES)}", CONFIG, key=f"machine.stages.{name}")
        for name in config.machine.stages
        if name not in STAGES
    ]


def check_budgets(config: MainConfig, root: Path) -> list[Problem]:
    """Return a problem for each study that `machine.judging.budgets` names and the working folder does not have."""
    budgets = config.machine.judging.budgets
    studies = list_every_study(root) if budgets else []
    known = ", ".join(studies) or "none"
    address = "machine.judging.budgets"
    return [
        Problem(
            f"no study is named '{name}'{did_you_mean(name, studies)} (studies: {known})",
            CONFIG,
            key=f"{address}.{name}",
        )
        for name in budgets
        if name not in studies
    ]


def list_locked(study: Study) -> list[str]:
    """Name what a study takes from `sources.lock`: sources not generated, tokenizers and base models not trained."""
    used = study.used_sources()
    named = ((name, one) for name, one in study.sources.items() if name in used)
    sources = [name for name, one in named if not isinstance(one.origin, GeneratorOrigin)]
    files = [f"tokenizer/{name}" for name, one in study.tokenizers.items() if not one.source_names()]
    scratch = ScratchModelConfig
    models = [f"{BASE_MODEL}{name}" for name, one in study.base_models.items() if not isinstance(one, scratch)]
    return sources + files + models


def find_new_files(sources: Mapping[str, LockedSource], machine: MachineSettings, root: Path) -> list[str]:
    """Say which files of this machine are named by the patterns of locked sources and were not there to be locked.

    They take no part until they are locked. A path without wildcards names no new file.
    """
    told = []
    for name, source in sorted(sources.items()):
        if source.root not in machine.data_roots:
            continue
        base = machine.root(source.root, root)
        known = {(file.path, file.joined) for file in source.files}
        new: dict[str, None] = {}
        for is_joined, patterns in ((False, source.paths), (True, source.joined_paths)):
            for pattern in (one for one in patterns if not _WILDCARDS.isdisjoint(one)):
                try:
                    found = [path.relative_to(base).as_posix() for path in find_files(base, pattern)]
                except (OSError, ValueError) as error:
                    told.append(f"source '{name}': whether '{pattern}' names new files cannot be seen: {error}")
                    continue
                new |= dict.fromkeys(path for path in found if (path, is_joined) not in known)
        if new:
            some = ", ".join([*list(new)[:_SHOWN], *(["..."] if len(new) > _SHOWN else [])])
            count = "1 file" if len(new) == 1 else f"{len(new)} files"
            told.append(
                f"source '{name}': its patterns name {count} more than sources.lock ({some}), left out so far; run "
                f"`mixlab lock {name}` to use what is there now"
            )
    return told


def list_startable(root: Path) -> list[str]:
    """Name every study that can have made something here; what is not locked was never planned.

    A study in a folder whose sources are not all in `sources.lock` is left out; one with mistakes is not, so that they
    are told.
    """
    lock, top = read_lock(root), list_studies(root)
    found = list(top)
    for name in list_every_study(root):
        if name not in top:
            read = read_study(root, name)
            if read.missing or lock.keys() >= set(list_locked(read.study)):
                found.append(name)
    return found


def build_plan(
    root: Path,
    names: Sequence[str] = (),
    check_files: bool = True,
    data_base: Path | None = None,
    edits: Sequence[Edit] = (),
) -> Planned:
    """Plan the named studies, or the one `config.yaml` names.

    `check_files: False` leaves the source files on this machine unlooked at. `data_base` is what data roots are
    relative to, where that is not `root`. `edits` are what the studies' files do not say and are read as saying. Raises
    ConfigError with every problem.
    """
    config, document = read_main_config(root)
    lock = read_lock(root)
    studies: dict[str, Study] = {}
    reads: dict[str, StudyFile] = {}
    plan = Plan()
    problems = [*check_stages(config), *check_budgets(config, root)]
    used: dict[str, LockedSource] = {}
    chosen = list(names) or split_names(config.study)
    if not chosen:
        problems.append(Problem(f"names no study, got {config.study!r}", CONFIG, key="study"))
    for name in chosen:
        try:
            read = read_study(root, name, edits)
        except ConfigError as error:
            problems += error.problems
            continue
        study, unread = read_judge_texts(read, config.machine, root, data_base or root)
        found = [*read.problems, *check_study(read, lock), *unread]
        problems += found
        studies[name], reads[name] = study, read
        if not found:
            expand_study(plan, name, study, lock, read.assumptions)
            used.update({source: lock[source] for source in list_locked(study)})
    warnings: list[str] = []
    if check_files and not problems:
        problems += check_sources(used, config.machine, root, root / "work")
        warnings += find_new_files(used, config.machine, root)
    if problems:
        raise ConfigError(sort_problems(problems))
    files = dict(locate_files(used.values(), config.machine, root))
    for study in studies.values():
        for labeller in study.labellers.values():
            files |= labeller.locate(config.machine, root)
    files |= locate_endpoints(studies.values())
    facts = {origin: one for study in studies.values() for origin, one in list_facts(study, lock).items()}
    return Planned(plan, config, studies, files, facts, reads, document, tuple(warnings))
