"""A task of lm-eval (the Language Model Evaluation Harness) as a benchmark of a study."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, StringConstraints, ValidationError, model_validator

from mixlab.config import lm_eval_rules as rules
from mixlab.config.base import Settings
from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.categories import BenchmarkLanguage, Category
from mixlab.config.generation import FieldName, PromptSettings
from mixlab.config.lm_eval_files import TaskFile, read_task
from mixlab.config.lm_eval_task import LIKELIHOODS, TaskRequests, TaskSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.scorers import LmEvalScorerSettings

PROMPT = "prompt"
"""The field that holds the context which a task built for an item."""


class LmEvalDeclaration(BenchmarkDeclaration):
    """A benchmark whose prompts a task of lm-eval builds, and whose responses it scores."""

    requests: TaskRequests = Field(description="what of the task decides what is asked")
    shows_examples: bool = Field(description="worked examples come from the source that is named as `examples`")

    @model_validator(mode="after")
    def _likelihoods_are_not_drawn(self) -> Self:
        sampling = self.prompt.sampling
        if not self.asks_likelihoods():
            return self
        if self.prompt.chat:
            raise ValueError("chat: likelihoods are of texts that continue the context as it is; remove it")
        if sampling.temperature or self.prompt.samples > 1:
            raise ValueError("a task of likelihoods draws nothing; remove samples and temperature")
        if sampling.max_new_tokens != 1:
            raise ValueError("max_new_tokens: a task of likelihoods writes no response; remove it")
        if sampling.long_prompts == "skip":
            raise ValueError("long_prompts: skip leaves an item without likelihoods; write refuse or truncate_left")
        return self

    def task_requests(self) -> TaskRequests:
        """Return what builds its prompts."""
        return self.requests

    def asks_likelihoods(self) -> bool:
        """Whether it asks how likely given texts are."""
        return self.requests.task.output_type in LIKELIHOODS

    def count_examples(self) -> int:
        """Return how many examples from a source stand before each question."""
        return self.requests.num_fewshot if self.shows_examples else 0

    def item_fields(self) -> frozenset[str]:
        """Return no field: templates and functions of the task take what they find."""
        return frozenset()


class LmEvalUse(Settings):
    """A task file of lm-eval as a benchmark; its data are the benchmark's `data`, nothing is read from a hub."""

    task: str = Field(min_length=1, description="name of the task, as its file says it")
    include_path: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, description="folder of task files, from the working folder; absent: the tasks of lm-eval itself"
    )
    language: BenchmarkLanguage = Field(description="language of the questions")
    category: Category = Field(description="column of the tables it fills")
    description: str = Field(default="", description="one sentence for the report; absent: the name of the task")
    num_fewshot: int | None = Field(default=None, ge=0, le=64, description="worked examples; absent: as the task says")
    fewshot_seed: int = Field(default=1234, ge=0, description="draws the worked examples; lm-eval's own is 1234")
    filter: str | None = Field(default=None, description="name of a filter of the task; absent: its first")
    metric: str | None = Field(default=None, description="name of a metric of the task; absent: its first")
    chat: bool = Field(default=False, description="wrap the context as one message in the chat template")
    json_fields: tuple[FieldName, ...] = Field(
        default=(), description="fields of an item that hold JSON: numbers, lists or objects, which items keep as text"
    )

    _root: Path | None = PrivateAttr(default=None)
    _declared: LmEvalDeclaration | None = PrivateAttr(default=None)

    def place(self, root: Path) -> None:
        """Say from which folder `include_path` counts."""
        self._root = root

    def declare(self) -> LmEvalDeclaration:
        """Read the task's files and return the benchmark they make.

        Raises ConfigError with every reason for which the task cannot be run here.
        """
        if self._declared is None:
            if self._root is None:
                raise ConfigError("lm_eval: task files are found for a study that was read from its own file")
            read = read_task(self.task, self._root / self.include_path if self.include_path is not None else None)
            # what is of the wrong form is told before anything is looked for in it
            for found in (rules.find_problems(read.config), self._find(read.config)):
                if problems := [Problem(f"lm_eval: {_name(read, self._root)}: {one}") for one in found]:
                    raise ConfigError(problems)
            self._declared = self._build(read)
        return self._declared

    def _find(self, config: Mapping[str, Any]) -> Iterator[str]:
        """Yield what this use asks of the task that it does not have, or that cannot be had here."""
        filters, metrics = rules.name_filters(config), rules.name_metrics(config)
        for what, got, known in (("filter", self.filter, filters), ("metric", self.metric, metrics)):
            if got is not None and got not in known:
                yield f"{what}: the task has no '{got}'{did_you_mean(got, known)}; there are {', '.join(known)}"
        if len(set(filters)) < len(filters):
            yield "filter_list: two filters have one name"
        yield from rules.find_metric_problems(config, self.metric or metrics[0])
        if self.chat and config.get("gen_prefix"):
            yield "gen_prefix: begins the answer, which a message cannot; remove chat: true"
        try:
            rules.read_sampling(config)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                place = ".".join(map(str, one["loc"]))
                yield f"generation_kwargs: {place}: {one['msg']}, got {one['input']!r:.60}"
        except (ValueError, TypeError) as error:
            yield str(error)

    def _build(self, read: TaskFile) -> LmEvalDeclaration:
        config = read.config
        shots = self.num_fewshot if self.num_fewshot is not None else int(config.get("num_fewshot") or 0)
        chosen_filter = self.filter or rules.name_filters(config)[0]
        metric = self.metric or rules.name_metrics(config)[0]
        asking = self._part(rules.select_asking(config, shots), read)
        scoring = self._part(rules.select_scoring(config, chosen_filter, metric), read)
        return LmEvalDeclaration(
            version=1,
            description=self.description or f"Task {self.task} of lm-eval, by {chosen_filter} and {metric}.",
            language=self.language,
            category=self.category,
            measure="accuracy",
            prompt=PromptSettings(template=f"{{{PROMPT}}}", chat=self.chat, sampling=rules.read_sampling(config)),
            scoring=LmEvalScorerSettings(task=scoring, filter=chosen_filter, metric=metric),
            requests=TaskRequests(task=asking, num_fewshot=shots, fewshot_seed=self.fewshot_seed if shots else 0),
            shows_examples=rules.needs_examples(config, shots),
        )

    def _part(self, config: dict[str, Any], read: TaskFile) -> TaskSettings:
        return TaskSettings(config=config, code=rules.select_code(config, read.code), json_fields=self.json_fields)


def _name(read: TaskFile, root: Path) -> Path:
    return read.path.relative_to(root) if read.path.is_relative_to(root) else Path(read.path.name)
