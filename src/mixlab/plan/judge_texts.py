"""The texts of published judge prompts, read while planning: they enter the specs, their files' names do not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mixlab.config.judge_files import read_published_pair_prompts, read_published_prompts
from mixlab.config.judge_templates import PublishedFormat, PublishedPromptsConfig
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.loading import problem_at
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.sources import Language
from mixlab.config.studies import STUDIES, StudyFile
from mixlab.config.study import Study
from mixlab.config.wording import KeyPath

T = TypeVar("T")


def read_judge_texts(
    read: StudyFile, machine: MachineSettings, root: Path, data_base: Path
) -> tuple[Study, list[Problem]]:
    """Return the study with the texts of the files that its judge names, and what is wrong with those files.

    `data_base` is what data roots are relative to.
    """
    study, reader = read.study, _Reader(read, machine, root, data_base, [])
    changes: dict[str, object] = {}
    if "judge" not in read.missing and isinstance(study.judge, ModelJudgeConfig) and study.judge.list_published():
        texts = reader.read(("judge", "prompts"), study.judge.list_published(), read_published_prompts)
        changes["judge"] = study.judge.with_published(texts)
    if "pairwise" not in read.missing and study.pairwise is not None and study.pairwise.list_published():
        pair_texts = reader.read(("pairwise", "prompts"), study.pairwise.list_published(), read_published_pair_prompts)
        changes["pairwise"] = study.pairwise.with_published(pair_texts)
    return study.model_copy(update=changes) if changes else study, reader.problems


@dataclass(frozen=True)
class _Reader:
    """Reads the files that one study names; `problems` grows by what is wrong."""

    study: StudyFile
    machine: MachineSettings
    root: Path
    data_base: Path
    problems: list[Problem]

    def read(
        self,
        at: KeyPath,
        files: Mapping[Language, PublishedPromptsConfig],
        read_file: Callable[[Path, PublishedFormat, int], T],
    ) -> dict[Language, T]:
        """Read the files of some languages, those that can be read."""
        texts: dict[Language, T] = {}
        for language, given in files.items():
            try:
                path = self._locate((*at, language), given)
                texts[language] = read_file(path, given.format, given.turns)
            except ConfigError as error:
                self.problems.extend(error.problems)
        return texts

    def _locate(self, at: KeyPath, given: PublishedPromptsConfig) -> Path:
        roots = self.machine.data_roots
        if given.root is not None and given.root not in roots:
            message = f"no data root is named '{given.root}'{did_you_mean(given.root, roots)}"
            told = f"{message}; add it to machine.data_roots in config.yaml"
            raise ConfigError(problem_at(self.study.document, (*at, "root"), told))
        folder = self.root if given.root is None else self.machine.root(given.root, self.data_base)
        path = folder / given.published
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        if not path.is_file():
            siblings = sorted(other.name for other in path.parent.glob("*") if other.is_file())
            cure = "a plan needs its texts, so keep it in the working folder, or fetch the data root"
            message = f"no such file: {shown}{did_you_mean(path.name, siblings)}; {cure}"
            raise ConfigError(problem_at(self.study.document, (*at, "published"), message))
        if path.suffix == ".yaml" and path.parent.resolve() == (self.root / STUDIES).resolve():
            message = f"{shown} would be taken for a study, as every YAML file of {STUDIES}/ is"
            cure = f"move it into a folder below, such as {STUDIES}/prompts/"
            raise ConfigError(problem_at(self.study.document, (*at, "published"), f"{message}; {cure}"))
        return shown
