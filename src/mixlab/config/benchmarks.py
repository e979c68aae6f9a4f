"""Benchmarks: what is asked (enters `generate`), how it is scored (enters `score`), or that a judge rates it."""

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.categories import BenchmarkLanguage, Category, Language
from mixlab.config.generation import LongPrompts, PromptSettings
from mixlab.config.lm_eval_task import TaskRequests
from mixlab.config.loading import load_document
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.scorers import LetterChoiceSettings, LmEvalScorerSettings, PythonTestsSettings, ScorerSettings
from mixlab.config.validation import validate

_DECLARED = Path(__file__).parent / "benchmarks_declared"


class BenchmarkDeclaration(Settings):
    """One benchmark: its labels, its prompt, and either its scoring or that it is judged."""

    version: int = Field(ge=1, description="raised by hand to ask every model again; enters the key of its responses")
    description: str = Field(min_length=1, description="one sentence for the report")
    language: BenchmarkLanguage = Field(description="language of the questions")
    category: Category = Field(description="column of the tables it fills")
    measure: Literal["accuracy", "judge_score"] = Field(description="what its numbers are")
    prompt: PromptSettings = Field(description="what decides the responses")
    scoring: ScorerSettings | None = Field(default=None, description="how a response is scored 0 to 1")
    judged: bool = Field(default=False, description="a judge rates each turn from 1 to 10; items hold `turns`")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.judged == (self.scoring is not None):
            raise ValueError("give either scoring or judged: true, not both and not neither")
        if self.judged != (self.measure == "judge_score"):
            raise ValueError("measure is judge_score exactly where judged is true, else accuracy")
        if self.judged and self.prompt.turns != "turns":
            raise ValueError("a judged benchmark reads its questions from the field `turns`; set prompt.turns: turns")
        if self.judged and self.language == "zh":
            raise ValueError("a judged benchmark is in en or ja, the languages of the judge's prompts")
        if isinstance(self.scoring, LmEvalScorerSettings) and self.task_requests() is None:
            raise ValueError("scorer lm_eval is not declared: name the task as `lm_eval` of the benchmark in the study")
        if isinstance(self.scoring, PythonTestsSettings):
            if self.scoring.repair_prompts != self.prompt.repair_prompts:
                raise ValueError("repair_prompts must be the same in prompt and scoring: what is run is what was asked")
        elif self.prompt.repair_prompts:
            raise ValueError("repair_prompts in prompt has a meaning only with the scorer python_tests")
        if isinstance(self.scoring, LetterChoiceSettings) and self.scoring.options != self.prompt.options:
            raise ValueError("options must be the same in prompt and scoring: letters mean what was shown")
        return self

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        samples, scoring = self.prompt.samples, self.scoring
        if self.judged and samples > 1:
            raise ValueError("samples is for benchmarks that are scored; a judged one has generation_seed")
        if scoring is not None and scoring.pass_at and scoring.pass_at[-1] > samples:
            raise ValueError(f"pass_at {scoring.pass_at[-1]} needs as many samples of each item, got {samples}")
        if getattr(scoring, "majority", False) and samples == 1:
            raise ValueError("majority needs several samples of each item; raise samples")
        return self

    def task_requests(self) -> TaskRequests | None:
        """Return what of a task of lm-eval builds its prompts; None where the prompt says it all."""
        return None

    def asks_likelihoods(self) -> bool:
        """Whether it asks how likely given texts are, not for a text."""
        return False

    def count_examples(self) -> int:
        """Return how many worked examples from a second source stand before each question."""
        return self.prompt.shots.count if self.prompt.shots is not None else 0

    def judge_language(self) -> Language:
        """Return the language of the judge's prompts; raises ValueError where there are none."""
        if self.language == "zh":
            raise ValueError("there is no judge for questions in zh")
        return self.language

    def measures(self) -> tuple[str, ...]:
        """Name the measures its scores come under: its own, and those over several samples of an item."""
        scoring = self.scoring
        combined = [f"pass@{k}" for k in scoring.pass_at] if scoring is not None else []
        voted = [f"maj@{self.prompt.samples}"] if getattr(scoring, "majority", False) else []
        return (self.measure, *combined, *voted)

    def item_fields(self) -> frozenset[str]:
        """Return the fields each item must have, beside `id`, for prompting and scoring."""
        scoring = self.scoring
        if scoring is None or isinstance(scoring, LmEvalScorerSettings):
            return self.prompt.item_fields()
        if isinstance(scoring, PythonTestsSettings):
            wanted = scoring.item_fields()
        elif isinstance(scoring, LetterChoiceSettings):
            wanted = scoring.options.item_fields()
        else:
            wanted = frozenset({scoring.answer_field})
        return self.prompt.item_fields() | wanted

    def with_changes(
        self,
        *,
        limit: int | None = None,
        repair_prompts: bool | None = None,
        samples: int | None = None,
        temperature: float | None = None,
        pass_at: tuple[int, ...] | None = None,
        majority: bool | None = None,
        long_prompts: LongPrompts | None = None,
        max_new_tokens: int | None = None,
    ) -> Self:
        """Return a checked copy as a study asks for it: fewer items, several samples, longer responses.

        A temperature holds for all items, also where the declaration has one for each category.
        Raises ValidationError where the benchmark has no such option.
        """
        data = self.model_dump()
        for name, value in (("limit", limit), ("samples", samples)):
            if value is not None:
                data["prompt"][name] = value
        sampling = {"temperature": temperature, "long_prompts": long_prompts, "max_new_tokens": max_new_tokens}
        data["prompt"]["sampling"] |= {name: chosen for name, chosen in sampling.items() if chosen is not None}
        if temperature is not None:
            data["prompt"]["sampling"]["category_temperatures"] = None
        for name, asked in (("pass_at", pass_at), ("majority", majority)):
            if asked is not None:
                # a judged benchmark has no scorer that could be asked, which the check below says
                data["scoring"] = {**(data["scoring"] or {}), name: asked}
        if repair_prompts is not None:
            data["prompt"]["repair_prompts"] = repair_prompts
            if isinstance(self.scoring, PythonTestsSettings):
                data["scoring"]["repair_prompts"] = repair_prompts
        return type(self).model_validate(data)


def declared_benchmarks() -> tuple[str, ...]:
    """Return the names of the benchmarks that are declared, sorted."""
    return tuple(sorted(path.stem for path in _DECLARED.glob("*.yaml")))


@cache
def load_declaration(name: str) -> BenchmarkDeclaration:
    """Read the declaration of the benchmark `name`.

    Raises ConfigError for a name that is not declared, naming those that are, and for a wrong declaration.
    """
    path = _DECLARED / f"{name}.yaml"
    names = declared_benchmarks()
    if name not in names:
        hint = did_you_mean(name, names) or "; declared are " + ", ".join(names)
        raise ConfigError(Problem(f"no benchmark is declared as '{name}'{hint}", key="benchmarks"))
    return read_declaration(path)


def read_declaration(path: Path) -> BenchmarkDeclaration:
    """Read a declaration from a file; raises ConfigError with every problem, each with file, line and key."""
    declaration, problems = validate(BenchmarkDeclaration, load_document(path))
    if problems or declaration is None:
        raise ConfigError(problems)
    return declaration
