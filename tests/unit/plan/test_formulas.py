"""Formulas in config/: what counts as one, what uses it, and who is told to compute by it."""

import re
from collections import Counter

import pytest

from mixlab.artifacts.code import PACKAGE
from mixlab.plan import formulas
from mixlab.plan.formulas import find_changed, find_users, name_module, read_module, spread_changes

EXPERTS = ("data", "training", "generation", "evaluation", "analysis", "report")
"""Rooms of which no file is loaded by every stage."""
DEFINED = re.compile(r"(?:\bdef |^ +(?:self\.)?)([a-z]\w+)(?=\(|: | = )", re.M)
READ = re.compile(r"(?:\b[a-z_]\w*|[\])])\.([a-z]\w+)")

OLD = b"""
from pydantic import Field, field_validator
from mixlab.config.base import Settings

FIXED = 60.0
Kind = Literal["a", "b"]

class Steps(Settings):
    count: int = Field(description="steps")

    @field_validator("count")
    def _is_even(cls, value):
        return value

    def half(self):
        'Say it.'
        return self.count / 2

def scale(value):
    return value * FIXED
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (b"self.count / 2", b"self.count / 3", {"Steps.half"}),
        (b"value * FIXED", b"value + FIXED", {"scale"}),
        (b"60.0", b"61.0", {"FIXED"}),
        (b"def scale", b"def scaled", {"scale"}),
        (b"'Say it.'", b"'Say more.'", set()),
        (b'"steps"', b'"all steps"', set()),
        (b"        return value\n", b"        return value + 1\n", set()),
        (b'"b"]', b'"b", "c"]', set()),
        (b"def scale", b"def new():\n    return 1\n\ndef scale", set()),
        (b"def scale", b"def scale(", set()),
    ],
    ids=[
        "method",
        "function",
        "constant",
        "renamed",
        "docstring",
        "field",
        "validator",
        "type",
        "new one",
        "no syntax",
    ],
)
def test_what_is_computed_is_a_formula_and_what_is_declared_is_none(old: bytes, new: bytes, changed: set[str]) -> None:
    assert old in OLD
    assert find_changed(OLD, OLD.replace(old, new)) == changed


def test_a_change_is_followed_to_what_uses_it_and_to_who_imports_that(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "mixlab.config.sums": b"def add(a, b):\n    return a + b\ndef other():\n    return 1\n",
        "mixlab.config.steps": b"from mixlab.config.sums import add as plus\n"
        b"class Steps:\n    def total(self):\n        return plus(1, 2)\n    def name(self):\n        return 'a'\n"
        b"class Longer(Steps):\n    pass\nclass Apart:\n    def one(self):\n        return 1\n",
        "mixlab.config.problems": b"from mixlab.config.sums import add\ndef tell():\n    return add(1, 2)\n",
    }
    files = {
        "mixlab/training/a.py": b"from mixlab.config.steps import Longer\n",
        "mixlab/training/b.py": b"from mixlab.config.steps import Apart\nfrom mixlab.config.sums import other\n",
        "mixlab/training/c.py": b"def late():\n    from mixlab.config import sums\n    return sums.other()\n",
        "mixlab/training/d.py": b"from mixlab.config.problems import tell\n",
    }
    monkeypatch.setattr(formulas, "_read_config", lambda: {name: read_module(text) for name, text in texts.items()})
    monkeypatch.setattr(formulas, "_read_file", lambda file: read_module(files[file]))
    affected = spread_changes({"mixlab.config.sums": {"add"}})
    assert affected == {"mixlab.config.sums": {"add"}, "mixlab.config.steps": {"Steps.total", "Steps", "Longer"}}
    # of a module that is imported as a whole nobody knows what is used
    assert find_users(files, affected) == ["mixlab/training/a.py", "mixlab/training/c.py"]
    assert spread_changes({"mixlab.config.problems": {"tell"}}) == {}


def test_a_change_is_followed_through_the_types_of_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "mixlab.config.parts": b"""
class Part:
    def half(self):
        return self.count / 2
def check(value):
    return Part(value)
""",
        "mixlab.config.kinds": b"""
from mixlab.config.parts import Part, check
__all__ = ["Part"]
Either = Annotated[Part | int, Field()]
Checked = Annotated[int, AfterValidator(check)]
FIRST = TABLE["two words"]
""",
        "mixlab.config.wholes": b"""
from mixlab.config.kinds import Checked, Either
from mixlab.config.kinds import Part as Part
class Aliased:
    parts: tuple[Either, ...] = ()
class Quoted:
    part: "list[Part] | None" = None
class Outer:
    inner: Annotated["Quoted", Field(description="Part")]
class Apart:
    name: Literal["Part"]
    value: Checked
    def count(self):
        return 1
""",
    }
    monkeypatch.setattr(formulas, "_read_config", lambda: {name: read_module(text) for name, text in texts.items()})
    assert spread_changes({"mixlab.config.parts": {"Part.half"}}) == {
        "mixlab.config.parts": {"Part.half", "Part", "check"},
        "mixlab.config.kinds": {"Part", "Either"},
        "mixlab.config.wholes": {"Part", "Aliased", "Quoted", "Outer"},
    }


@pytest.mark.parametrize(
    ("module", "formula", "users"),
    [
        ("axes", "MixtureSource.cell", ["data/mixtures/certificate.py", "data/mixtures/shares.py"]),
        ("lm_eval_task", "TaskSettings.output_type", ["evaluation/scorers/lm_eval.py", "stages/asked.py"]),
    ],
)
def test_who_reaches_a_formula_through_fields_of_settings_or_of_a_spec_uses_it(
    module: str, formula: str, users: list[str]
) -> None:
    files = [f"mixlab/{file}" for file in [*users, "training/averaging/mean.py"]]
    assert find_users(files, spread_changes({f"mixlab.config.{module}": {formula}})) == files[:-1]


def test_whoever_reads_a_method_whose_name_nothing_else_has_is_among_its_users() -> None:
    texts = {path.relative_to(PACKAGE.parent).as_posix(): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    defined = Counter(name for text in texts.values() for name in DEFINED.findall(text))
    readers: dict[str, list[str]] = {}
    for file, text in texts.items():
        if file.split("/")[1] in EXPERTS:
            for name in set(READ.findall(text)):
                readers.setdefault(name, []).append(file)
    missed, looked_at = {}, 0
    for file in (file for file in texts if file.startswith(formulas.FOLDER)):
        for formula in read_module(texts[file].encode()).formulas:
            name = formula.partition(".")[2]
            if name in readers and defined[name] == 1:
                looked_at += 1
                found = find_users(readers[name], spread_changes({name_module(file): {formula}}))
                missed |= {formula: sorted({*readers[name]} - {*found})} if found != readers[name] else {}
    assert missed == {}
    assert looked_at > 5


def test_files_are_known_by_the_names_that_provenance_gives_them() -> None:
    assert name_module("mixlab/config/training.py") == "mixlab.config.training"
    assert name_module("mixlab/config/__init__.py") == "mixlab.config"
    users = find_users(["mixlab/training/run.py", "mixlab/gone.py"], {"mixlab.config.training": {"TrainSettings"}})
    assert users == ["mixlab/training/run.py"]
