"""Benchmarks: what is asked (enters `generate`), how it is scored (enters `score`), or that a judge rates it."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.generation import FieldName, PromptSettings
from mixlab.config.loading import load_document
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.sources import Category, Language
from mixlab.config.validation import validate

_DECLARED = Path(__file__).parent / "benchmarks_declared"

_VERSION = Field(default=1, ge=1, description="raised by hand when this scorer's code changes a result")


class ExactMatchSettings(Settings):
    """Right when the response equals the reference after NFKC, casefold and trimming."""

    scorer: Literal["exact_match"] = "exact_match"
    version: int = _VERSION
    answer_field: FieldName = Field(default="answer", description="field of the item with the reference answer")
    take: Literal["whole", "first_line"] = Field(default="first_line", description="part of the response compared")
    strip: str = Field(default=" .。、,!！\"'「」", description="characters trimmed from both ends, beside white space")


class FinalNumberSettings(Settings):
    """Right when the number the response ends in equals the reference's."""

    scorer: Literal["final_number"] = "final_number"
    version: int = _VERSION
    answer_field: FieldName = Field(default="answer", description="field of the item with the reference answer")
    markers: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=("####",), description="the first number after the last of these is the answer"
    )
    fallback: Literal["last_number", "none"] = Field(
        default="last_number", description="what counts where the response has no marker with a number"
    )


class SandboxLimits(Settings):
    """What one tested program may use; beyond it, the program is stopped and has failed."""

    wall_seconds: float = Field(default=10.0, gt=0, le=600, description="time from start to end")
    cpu_seconds: int = Field(default=5, ge=1, le=600, description="processor time")
    memory_bytes: int = Field(default=512 * 2**20, ge=64 * 2**20, description="address space of each process")
    file_bytes: int = Field(default=2**20, ge=0, description="longest file, in a private /tmp of 16 MiB")
    output_bytes: int = Field(default=64 * 2**10, ge=1, description="standard output and error together")
    processes: int = Field(default=16, ge=1, le=1024, description="processes and threads at one time")


class PythonTestsSettings(Settings):
    """Right when the program made from the response passes the item's tests in the sandbox."""

    scorer: Literal["python_tests"] = "python_tests"
    version: int = _VERSION
    form: Literal["completion", "program"] = Field(
        default="completion", description="completion: continues prompt_field; program: stands alone"
    )
    prompt_field: FieldName = Field(default="prompt", description="field continued by a completion")
    test_field: FieldName = Field(default="test", description="field with Python source that defines check(candidate)")
    entry_point_field: FieldName = Field(default="entry_point", description="field with the tested function's name")
    reference_field: FieldName | None = Field(
        default="canonical_solution", description="field with a right solution; finds items no response can solve"
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="strings before which the response is cut before it is run"
    )
    limits: SandboxLimits = Field(default=SandboxLimits(), description="what one program may use")
    repair_prompts: bool = Field(
        default=False,
        description="insert the line break a published Python prompt lacks; off: prompts as published",
    )


ScorerSettings = Annotated[
    ExactMatchSettings | FinalNumberSettings | PythonTestsSettings, Field(discriminator="scorer")
]
"""The scorers there are, told apart by `scorer`."""


class BenchmarkDeclaration(Settings):
    """One benchmark: its labels, its prompt, and either its scoring or that it is judged."""

    version: int = Field(ge=1, description="raised by hand to ask every model again; enters the key of its responses")
    description: str = Field(min_length=1, description="one sentence for the report")
    language: Language = Field(description="language of the questions")
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
        if isinstance(self.scoring, PythonTestsSettings):
            if self.scoring.repair_prompts != self.prompt.repair_prompts:
                raise ValueError("repair_prompts must be the same in prompt and scoring: what is run is what was asked")
        elif self.prompt.repair_prompts:
            raise ValueError("repair_prompts in prompt has a meaning only with the scorer python_tests")
        return self

    def item_fields(self) -> frozenset[str]:
        """Return the fields each item must have, beside `id`, for prompting and scoring."""
        scoring = self.scoring
        if scoring is None:
            return self.prompt.item_fields()
        if isinstance(scoring, PythonTestsSettings):
            wanted = {scoring.test_field, scoring.entry_point_field}
            wanted |= {scoring.prompt_field} if scoring.form == "completion" else set()
        else:
            wanted = {scoring.answer_field}
        return self.prompt.item_fields() | wanted

    def with_long_prompts(self, policy: str) -> Self:
        """Return a checked copy with another policy for prompts that do not fit."""
        data = self.model_dump()
        data["prompt"]["sampling"]["long_prompts"] = policy
        return type(self).model_validate(data)

    def with_changes(self, *, limit: int | None = None, repair_prompts: bool | None = None) -> Self:
        """Return a checked copy as a study asks for it: fewer items, or repaired Python prompts.

        Raises ValidationError where the benchmark has no such option.
        """
        data = self.model_dump()
        if limit is not None:
            data["prompt"]["limit"] = limit
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
