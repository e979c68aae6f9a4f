"""Validation: what is wrong with a document, each mistake once, in plain words and with an address."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.exact import Exact, Ratio, Weight
from mixlab.config.loading import load_document
from mixlab.config.schema import json_schema, render_reference
from mixlab.config.validation import validate

Write = Callable[..., Path]


class Files(Settings):
    """Data in files."""

    type: Literal["files"]
    files: list[str] = Field(min_length=1, description="their names")


class Generator(Settings):
    type: Literal["generator"]
    seed: int = Field(0, ge=0)


class Tokens(Settings):
    tokens: int = Field(ge=1)


class Samples(Settings):
    samples: int = Field(ge=1)


class Limits(Settings):
    most: Exact = Field(Fraction(1), gt=0)
    least: Exact = Field(Fraction(4, 5), ge=Fraction(1, 2), le=1)
    kinds: tuple[Literal["email", "phone"], ...] = Field(("email",), min_length=1)
    pairs: tuple[int, ...] = Field((1, 2), min_length=2)


class Training(Settings):
    """How to learn."""

    learning_rate: float = Field(gt=0, description="of the optimizer")
    warmup_steps: int = Field(10, ge=0, le=100)
    shuffle: bool = True
    decay: Literal["linear", "cosine"] = "cosine"

    @model_validator(mode="after")
    def _warmup_needs_a_rate(self) -> "Training":
        if self.warmup_steps == 99:
            raise ValueError("warmup_steps 99 is unlucky; take 98")
        return self


class Study(Settings):
    training: Training | None = None
    origin: Annotated[Files | Generator, Field(discriminator="type")] | None = None
    sources: list[Annotated[Files | Generator, Field(discriminator="type")]] = Field([])
    limits: Limits | None = None
    shares: Literal["natural"] | dict[Literal["en", "ja"], Weight] = "natural"
    instruction: Ratio | Literal["natural"] = Fraction(1, 2)
    budget: Tokens | Samples | None = None
    pair: tuple[int, int] = (1, 2)
    names: tuple[str, ...] = ()
    hf_token: int | None = None
    endpoint: dict[str, str] = Field({})

    @model_validator(mode="after")
    def _no_proxy(self) -> "Study":
        if self.endpoint.get("proxy"):
            raise ValueError(f"no proxy may be given, got {dict(self.endpoint)}")
        return self


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, name: str = "study.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def problems_of(write: Write) -> Callable[[str], list[str]]:
    """The problems that a text has as a Study, as `line: key: message`."""

    def find(text: str) -> list[str]:
        instance, problems = validate(Study, load_document(write(text)))
        assert (instance is None) == bool(problems)
        return [f"{problem.line}: {problem.key}: {problem.message}" for problem in problems]

    return find


def test_nan_is_a_number_that_models_refuse_with_its_address(problems_of: Any) -> None:
    assert problems_of("training:\n  learning_rate: .nan\n") == [
        "2: training.learning_rate: expected a finite number, got .nan"
    ]


def test_what_is_missing_because_a_null_removed_it_is_addressed_at_the_null(write: Write) -> None:
    write("training: {learning_rate: 1}\n", "base.yaml")
    path = write("extends: base.yaml\ntraining:\n\n  learning_rate: null\n")
    _, (problem,) = validate(Study, load_document(path))
    assert (problem.file, problem.line, problem.key) == (str(path), 4, "training.learning_rate")


def test_a_right_document_becomes_the_model(write: Write) -> None:
    text = "training: {learning_rate: 1e-4, shuffle: false}\norigin: {type: files, files: [a]}\ninstruction: 33.33 %\n"
    study, problems = validate(Study, load_document(write(text)))
    assert problems == []
    assert study == Study(
        training=Training(learning_rate=1e-4, shuffle=False),
        origin=Files(type="files", files=["a"]),
        instruction=Fraction(3333, 10000),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trianing: {}", "1: trianing: unknown key 'trianing'; did you mean 'training'?"),
        (
            "budget:\n  tokens: 5\n  xyzzy: 1",
            "3: budget.xyzzy: unknown key 'xyzzy'; allowed: 'tokens'",
        ),
        ("training:\n  decay: linear", "1: training.learning_rate: missing; expected a number > 0"),
        ("training:\n  lerning_rate: 1", "2: training.lerning_rate: unknown key 'lerning_rate'; did you mean "
         "'learning_rate'?"),
        ("training:\n  learning_rate: 0", "2: training.learning_rate: expected a number > 0, got 0"),
        ("training: {learning_rate: 1, warmup_steps: x}", "1: training.warmup_steps: expected a whole number >= 0 "
         "and <= 100, got 'x'"),
        ("training: {learning_rate: 1, warmup_steps: 1.50}", "1: training.warmup_steps: expected a whole number >= 0 "
         "and <= 100, got 1.50"),
        ("training: {learning_rate: 1, warmup_steps: true}", "1: training.warmup_steps: expected a number, got true"),
        ("training: {learning_rate: 1, shuffle: no}", "1: training.shuffle: expected true or false, got 'no'"),
        ("training: {learning_rate: 1, shuffle: 1}", "1: training.shuffle: expected true or false, got 1"),
        ("training: {learning_rate: 1, decay: linaer}", "1: training.decay: expected 'linear' or 'cosine', got "
         "'linaer'; did you mean 'linear'?"),
        ("training:\n\n  {learning_rate: 1, warmup_steps: 99}", "1: training: warmup_steps 99 is unlucky; take 98"),
        ("training: 5", "1: training: expected a mapping with 'learning_rate', 'warmup_steps', 'shuffle', … or null, "
         "got 5"),
        ("origin: {type: flies}", "1: origin.type: expected 'files' or 'generator', got 'flies'; did you mean "
         "'files'?"),
        ("origin: {files: [a]}", "1: origin.type: missing; expected 'files' or 'generator'"),
        ("origin:\n  type: files\n  files:\n    - a\n    - 3", "5: origin.files[1]: expected text, got 3; quotes make "
         "it text"),
        ("origin: {type: files, files: []}", "1: origin.files: expected a list (each: text) that is not empty, got an "
         "empty list"),
        ("origin: {type: files}", "1: origin.files: missing; expected a list (each: text) that is not empty"),
        ("sources:\n  - {type: generator}\n  - {type: generator, sede: 3}", "3: sources[1].sede: unknown key 'sede'; "
         "did you mean 'seed'?"),
        ("shares: {en: 1, ja: -1}", "1: shares.ja: must not be negative, got -1"),
        ("shares: {en: .nan}", "1: shares.en: expected a number like 0.5, 1/2 or 50 %, got 'nan'"),
        ("shares: {en: 1, jp: 1}", "1: shares.jp: unknown key 'jp'; expected 'en' or 'ja'"),
        ("shares: natrual", "1: shares: expected 'natural' or a mapping ('en' or 'ja': a number >= 0 (like 0.5, 1/2, "
         "50 %)), got 'natrual'; did you mean 'natural'?"),
        ("instruction: natrual", "1: instruction: expected a number in [0, 1] (like 0.5, 1/2, 50 %) or 'natural', got "
         "'natrual'; did you mean 'natural'?"),
        ("budget: {tokens: 0}", "1: budget.tokens: expected a whole number >= 1, got 0"),
        ("budget: {samlpes: 5}", "1: budget.samlpes: unknown key 'samlpes'; did you mean 'samples'?"),
        ("pair: [1, 2, 3]", "1: pair: expected a list of exactly 2 (a whole number, a whole number), got a list of 3"),
        ("pair: [1, x]", "1: pair[1]: expected a whole number, got 'x'"),
        ("names: a", "1: names: expected a list (each: text), got 'a'"),
        ("endpoint: {a.b: 1}", "1: endpoint['a.b']: expected text, got 1; quotes make it text"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem_in_plain_words(problems_of: Any, text: str, expected: str) -> None:
    assert problems_of(text) == [expected]


def test_all_problems_come_at_once_sorted_by_line(problems_of: Any) -> None:
    found = problems_of("pair: [x, y]\nzzz: 1\ntraining:\n  decay: x\nbudget: {samples: 0}\n")
    assert [line.split(": ")[:2] for line in found] == [
        ["1", "pair[0]"],
        ["1", "pair[1]"],
        ["2", "zzz"],
        ["3", "training.learning_rate"],
        ["4", "training.decay"],
        ["5", "budget.samples"],
    ]


def test_a_part_of_a_document_can_be_validated_alone(write: Write) -> None:
    document = load_document(write("all:\n  - {}\n  - learning_rate: 0\n"))
    _, (problem,) = validate(Training, document, ("all", 1))
    assert (problem.key, problem.line) == ("all[1].learning_rate", 3)
    _, (absent,) = validate(Training, document, ("all", 2))
    assert absent.message.startswith("missing; expected a mapping with 'learning_rate'")
    assert (absent.key, absent.line) == ("all[2]", 1)


def test_a_long_value_is_cut(problems_of: Any) -> None:
    (problem,) = problems_of(f"pair: {'x' * 500}\n")
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("most: 0", ["most: expected a number > 0 (like 0.5, 1/2, 50 %), got 0"]),
        ("least: 1/3", ["least: expected a number >= 1/2 and <= 1 (like 0.5, 1/2, 50 %), got 1/3"]),
        ("kinds: [emails]", ["kinds[0]: expected 'email' or 'phone', got 'emails'; did you mean 'email'?"]),
        ("kinds: []", ["kinds: expected a list (each: 'email' or 'phone') that is not empty, got an empty list"]),
        (
            "pairs: [a]",
            ["pairs: expected a list (each: a whole number) of at least 2 entries, got", "pairs[0]: expected"],
        ),
        ("pairs: [a, b]", ["pairs[0]: expected a whole number, got 'a'", "pairs[1]: expected a whole number, got 'b'"]),
    ],
)
def test_a_bound_is_told_once_and_as_it_is(problems_of: Any, text: str, expected: list[str]) -> None:
    found = problems_of(f"limits: {{{text}}}\n")
    assert len(found) == len(expected)
    for told, words in zip(found, expected, strict=True):
        assert f"limits.{words}" in told


@pytest.mark.parametrize(
    "text",
    [
        "hf_token: sesame-open\n",
        "hf_token: [sesame-open]\n",
        "endpoint: {api_key: sesame-open, proxy: p}\n",
        "endpoint:\n  api-key: sesame-open\n  proxy: sesame-open\n",
        "endpoint: {PASSWORD: &p sesame-open, other: [*p]}\n",
        "hf_token: sesame-open\nsesame: sesame-open\n",
    ],
)
def test_a_secret_is_never_echoed(problems_of: Any, text: str) -> None:
    found = problems_of(text)
    assert found
    assert "sesame-open" not in "".join(found)


def test_the_schema_allows_what_the_models_allow_and_extends() -> None:
    schema = json_schema(Study)
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["properties"]) == {"extends", *Study.model_fields}
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Training"]["properties"]["warmup_steps"]["maximum"] == 100


def test_the_reference_has_each_model_once_with_type_default_and_range() -> None:
    text = render_reference([Study, Training])
    assert text.count("## Training\n") == 1
    assert "| `learning_rate` | number | required | > 0 | of the optimizer |" in text
    assert "| `warmup_steps` | whole number | `10` | >= 0 and <= 100 |  |" in text
    assert "| `decay` | word | `cosine` | `linear`, `cosine` |  |" in text
    assert "| `sources` | list of [Files](#files) or [Generator](#generator) | `[]` |  |  |" in text
    assert "| `instruction` | number or word | `1/2` | in [0, 1] (like 0.5, 1/2, 50 %); `natural` |  |" in text
    assert "How to learn." in text
