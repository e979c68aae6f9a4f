"""Formulas in config/: what counts as one, what uses it, and who is told to compute by it."""

import pytest

from mixlab.plan import formulas
from mixlab.plan.formulas import find_changed, find_users, name_module, read_module, spread_changes

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


def test_files_are_known_by_the_names_that_provenance_gives_them() -> None:
    assert name_module("mixlab/config/training.py") == "mixlab.config.training"
    assert name_module("mixlab/config/__init__.py") == "mixlab.config"
    users = find_users(["mixlab/training/run.py", "mixlab/gone.py"], {"mixlab.config.training": {"TrainSettings"}})
    assert users == ["mixlab/training/run.py"]
