"""The texts of published judge prompts, read while planning: they enter the specs, their files' names do not."""

from pathlib import Path

from mixlab.config.judge_files import read_published_prompts
from mixlab.config.judge_templates import PublishedPrompts, PublishedPromptsConfig
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.loading import problem_at
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.sources import Language
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.config.wording import KeyPath


def read_judge_texts(
    read: StudyFile, machine: MachineSettings, root: Path, data_base: Path
) -> tuple[Study, list[Problem]]:
    """Return the study with the texts of the files that its judge names, and what is wrong with those files.

    `data_base` is what data roots are relative to.
    """
    study = read.study
    if "judge" in read.missing or not isinstance(study.judge, ModelJudgeConfig):
        return study, []
    texts: dict[Language, PublishedPrompts] = {}
    problems: list[Problem] = []
    for language, given in study.judge.list_published().items():
        at: KeyPath = ("judge", "prompts", language)
        if given.root is not None and given.root not in machine.data_roots:
            hint = did_you_mean(given.root, machine.data_roots)
            message = f"no data root is named '{given.root}'{hint}; add it to machine.data_roots in config.yaml"
            problems.append(problem_at(read.document, (*at, "root"), message))
            continue
        path = _locate(given, machine, root, data_base)
        if not path.is_file():
            siblings = sorted(other.name for other in path.parent.glob("*") if other.is_file())
            cure = "a plan needs its texts, so keep it in the working folder, or fetch the data root"
            message = f"no such file: {path}{did_you_mean(path.name, siblings)}; {cure}"
            problems.append(problem_at(read.document, (*at, "published"), message))
            continue
        try:
            texts[language] = read_published_prompts(path, given.format, given.turns)
        except ConfigError as error:
            problems += error.problems
    judge = study.judge.with_published(texts)
    return study.model_copy(update={"judge": judge}) if texts else study, problems


def _locate(given: PublishedPromptsConfig, machine: MachineSettings, root: Path, data_base: Path) -> Path:
    folder = root if given.root is None else machine.root(given.root, data_base)
    path = folder / given.published
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
