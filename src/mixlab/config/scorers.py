"""How a response is scored: one settings model per scorer. All of it enters the key of `score`, none of `generate`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.generation import FieldName, OptionsSettings
from mixlab.config.lm_eval_task import TaskSettings

_VERSION = Field(default=1, ge=1, description="raised by hand when this scorer's code changes a result")
_VERSION_2 = Field(default=2, ge=1, description="raised by hand when this scorer's code changes a result")
Text = Annotated[str, Field(min_length=1)]


class _Scorer(Settings):
    """What every scorer may be asked where each item is answered several times (`prompt.samples`)."""

    pass_at: tuple[Annotated[int, Field(ge=1)], ...] = added(
        (), description="k for which pass@k is estimated from the samples of each item, e.g. [1, 10]"
    )

    @model_validator(mode="after")
    def _pass_at_rises(self) -> Self:
        if list(self.pass_at) != sorted(set(self.pass_at)):
            raise ValueError(f"pass_at {list(self.pass_at)} must rise, and name each k once")
        return self


class _Voting(_Scorer):
    """A scorer whose answers can be counted."""

    majority: bool = added(
        False, description="also score the most frequent answer of each item's samples (maj@k); of a tie, the first"
    )


class ExactMatchSettings(_Voting):
    """Right when the response equals the reference after NFKC, casefold and trimming."""

    scorer: Literal["exact_match"] = "exact_match"
    version: int = _VERSION
    answer_field: FieldName = Field(default="answer", description="field of the item with the reference answer")
    take: Literal["whole", "first_line"] = Field(default="first_line", description="part of the response compared")
    strip: str = Field(default=" .。、,!！\"'「」", description="characters trimmed from both ends, beside white space")
    normalise: Literal["plain", "squad"] = added(
        "plain", description="plain: NFKC, casefold, `strip`; squad: lower case, no punctuation, no a, an, the"
    )
    markers: tuple[Text, ...] = added((), description="what follows the last of these, case aside, is the answer")


class FinalNumberSettings(_Voting):
    """Right when the number the response ends in equals the reference's."""

    scorer: Literal["final_number"] = "final_number"
    version: int = _VERSION_2
    answer_field: FieldName = Field(default="answer", description="field of the item with the reference answer")
    markers: tuple[Text, ...] = Field(
        default=("####",), description="the first number after the last of these is the answer"
    )
    fallback: Literal["last_number", "none"] = Field(
        default="last_number", description="what counts where the response has no marker with a number"
    )


class LetterChoiceSettings(_Voting):
    """Right when the letter that the response gives as its answer is that of a right option."""

    scorer: Literal["letter_choice"] = "letter_choice"
    version: int = _VERSION_2
    options: OptionsSettings = Field(description="the options and which are right; the same as in `prompt`")
    markers: tuple[Text, ...] = Field(
        default=(
            "answer is",
            "answer:",
            "option is",
            "choice is",
            "\\boxed{",
            "答えは",
            "答え:",
            "正解は",
            "正解:",
            "正答は",
            "正答:",
            "答案是",
            "答案:",
            "选择",
        ),
        description="the letter right behind the last of these is the answer, case and width aside",
    )


class WordChoiceSettings(_Voting):
    """Right when the one word of several that the response gives is the reference."""

    scorer: Literal["word_choice"] = "word_choice"
    version: int = _VERSION_2
    answer_field: FieldName = Field(default="answer", description="field with the reference, a key of `words`")
    words: dict[Text, tuple[Text, ...]] = Field(
        min_length=2, description="the answers there are, each with the words that mean it"
    )
    markers: tuple[Text, ...] = Field(
        default=("answer is", "answer:"), description="the first word after the last of these is the answer"
    )

    @model_validator(mode="after")
    def _words_differ(self) -> Self:
        every = [word.casefold() for words in self.words.values() for word in words]
        if len(set(every)) != len(every) or any(not word.isalpha() for word in every):
            raise ValueError("words: each must be one word of letters, and mean one answer alone")
        return self


class MathAnswerSettings(_Voting):
    r"""Right when the last \boxed answer is mathematically equal to the reference's."""

    scorer: Literal["math_answer"] = "math_answer"
    version: int = _VERSION_2
    answer_field: FieldName = Field(default="solution", description="field with the worked solution, its answer boxed")
    markers: tuple[Text, ...] = Field(
        default=("answer is", "answer:"),
        description="where nothing is boxed, the formula or sentence after the last of these is the answer, case aside",
    )
    seconds: float = Field(default=5.0, gt=0, le=60, description="longest comparison; beyond it, answers differ")


class LmEvalScorerSettings(_Voting):
    """Right as a task of lm-eval says: one of its filters, then one of its metrics."""

    scorer: Literal["lm_eval"] = "lm_eval"
    version: int = _VERSION
    task: TaskSettings = Field(description="the part of the task that scores; filled in from its files")
    filter: Text = Field(description="name of the filter")
    metric: Text = Field(description="name of the metric")


class SandboxLimits(Settings):
    """What one tested program may use; beyond it, the program is stopped and has failed."""

    wall_seconds: float = Field(default=10.0, gt=0, le=600, description="time from start to end")
    cpu_seconds: int = Field(default=5, ge=1, le=600, description="processor time")
    memory_bytes: int = Field(default=512 * 2**20, ge=64 * 2**20, description="address space of each process")
    file_bytes: int = Field(default=2**20, ge=0, description="longest file, in a private /tmp of 16 MiB")
    output_bytes: int = Field(default=64 * 2**10, ge=1, description="standard output and error together")
    processes: int = Field(default=16, ge=1, le=1024, description="processes and threads at one time")


class PythonTestsSettings(_Scorer):
    """Right when the program made from the response passes the item's tests in the sandbox."""

    scorer: Literal["python_tests"] = "python_tests"
    version: int = _VERSION_2
    form: Literal["completion", "program"] = Field(
        default="completion", description="completion: continues prompt_field; program: stands alone"
    )
    prompt_field: FieldName = Field(default="prompt", description="field continued by a completion")
    test_field: FieldName = Field(default="test", description="field with Python source that defines check(candidate)")
    entry_point_field: FieldName = Field(default="entry_point", description="field with the tested function's name")
    reference_field: FieldName | None = Field(
        default="canonical_solution", description="field with a right solution; finds items no response can solve"
    )
    stop: tuple[Text, ...] = Field(default=(), description="strings before which the response is cut before it is run")
    limits: SandboxLimits = Field(default=SandboxLimits(), description="what one program may use")
    repair_prompts: bool = Field(
        default=False,
        description="insert the line break a published Python prompt lacks; off: prompts as published",
    )
    tests: Literal["check", "asserts"] = added(
        "check", description="check: test_field defines check(candidate); asserts: it holds statements, run as they are"
    )
    setup_field: FieldName | None = added(
        None, description="asserts: field with code that stands between the response and the tests"
    )

    @model_validator(mode="after")
    def _setup_belongs_to_asserts(self) -> Self:
        if self.setup_field is not None and self.tests != "asserts":
            raise ValueError("setup_field belongs to tests: asserts; remove it")
        return self

    def item_fields(self) -> frozenset[str]:
        """Return the fields each item must have to be scored."""
        wanted = {self.test_field, *([self.setup_field] if self.setup_field is not None else [])}
        wanted |= {self.entry_point_field} if self.tests == "check" else set()
        return frozenset(wanted | ({self.prompt_field} if self.form == "completion" else set()))


ScorerSettings = Annotated[
    ExactMatchSettings
    | FinalNumberSettings
    | LetterChoiceSettings
    | WordChoiceSettings
    | LmEvalScorerSettings
    | MathAnswerSettings
    | PythonTestsSettings,
    Field(discriminator="scorer"),
]
"""The scorers there are, told apart by `scorer`."""
