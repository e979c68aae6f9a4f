"""A task of lm-eval (the Language Model Evaluation Harness) as the stages that run it are given it."""

from pydantic import Field, JsonValue

from mixlab.config.base import Settings
from mixlab.config.generation import FieldName

RELEASE = "0.4.13"
"""The release of lm-eval whose tasks, filters and metrics are run; a test compares it with what is installed."""

FUNCTION, DIGEST = "!function", "digest"
"""Keys of the mapping that stands in a task's configuration for a function: its name, and the digest of its code."""

LIKELIHOODS = ("multiple_choice", "loglikelihood")
"""Output types that ask how likely given texts are, not for a text."""


class TaskCode(Settings):
    """A Python file that a task takes functions from: of lm-eval's own tasks its module, else the code itself."""

    digest: str = Field(description="sha256 of the file")
    module: str | None = Field(default=None, description="name of a module of lm-eval")
    source: str | None = Field(default=None, description="the file, of a task of the user's own")


class TaskSettings(Settings):
    """A part of a task: its configuration with every `include:` resolved, and the code that this part names."""

    release: str = Field(default=RELEASE, description="release of lm-eval that runs it")
    config: dict[str, JsonValue] = Field(description="keys of the task file; a function is {!function, digest}")
    code: tuple[TaskCode, ...] = Field(default=(), description="the files of its functions, by digest")
    json_fields: tuple[FieldName, ...] = Field(default=(), description="fields of an item that hold JSON")

    @property
    def output_type(self) -> str:
        """What the task asks for, such as generate_until."""
        return str(self.config.get("output_type") or "generate_until")


class TaskRequests(Settings):
    """What of a task decides what a model is asked."""

    version: int = Field(default=1, ge=1, description="raised by hand when the code that builds requests changes them")
    task: TaskSettings = Field(description="the part of the task that builds requests")
    num_fewshot: int = Field(default=0, ge=0, description="worked examples before each question")
    fewshot_seed: int = Field(default=1234, ge=0, description="draws the worked examples")
