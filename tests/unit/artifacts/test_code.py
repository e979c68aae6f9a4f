"""Which code made an artifact, and whether a file of it means something else now."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mixlab.artifacts import code
from mixlab.artifacts.code import CodeHistory, digest_code, list_code, read_code, write_code
from mixlab.artifacts.keys import build_digest
from mixlab.artifacts.store import Store

LOOP = "mixlab/training/loop.py"
BEFORE = '"""Trains."""\n\n\ndef step(rate):\n    """One step."""\n    return rate * 2  # twice\n'


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one module, committed; `mixlab` as far as its code is compared."""
    root = tmp_path / "src/mixlab"
    (root / "training").mkdir(parents=True)
    (root / "training/loop.py").write_text(BEFORE)
    (root / "training/rules.yaml").write_text("one: 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    monkeypatch.setattr(code, "PACKAGE", root)
    return root


def describe(package: Path) -> dict[str, str]:
    names = (LOOP, "mixlab/training/rules.yaml")
    return {name: build_digest((package.parent / name).read_bytes()) for name in names}


@pytest.mark.parametrize(
    ("after", "means_the_same"),
    [
        (BEFORE, True),
        ("def step( rate ):\n    # once\n\n    return rate*2\n", True),
        (BEFORE.replace("rate * 2", "rate * 3"), False),
        (BEFORE.replace("One step.", "Another."), True),
        (BEFORE.replace("2  #", "'2'  #"), False),
        (f"{BEFORE}\nx = 'text that is no docstring'\n", False),
        ("def step(rate:\n", False),
    ],
)
def test_comments_docstrings_and_layout_mean_nothing(package: Path, after: str, means_the_same: bool) -> None:
    made = describe(package)
    commit = git(package, "rev-parse", "HEAD")
    (package / "training/loop.py").write_text(after)
    changed = CodeHistory().list_changed(made, [commit])
    assert changed == ({} if means_the_same else {LOOP: "changed"})


def test_a_file_that_is_no_python_is_compared_byte_by_byte_and_one_that_is_gone_is_told(package: Path) -> None:
    made = describe(package)
    (package / "training/rules.yaml").write_text("one: 1 # the same\n")
    (package / "training/loop.py").unlink()
    changed = CodeHistory().list_changed(made, [git(package, "rev-parse", "HEAD")])
    assert changed == {LOOP: "is gone", "mixlab/training/rules.yaml": "changed"}


@pytest.mark.parametrize("commit", ["", "+changes", "0" * 40])
def test_without_the_old_text_a_file_with_other_bytes_counts_as_changed(package: Path, commit: str) -> None:
    made = describe(package)
    (package / "training/loop.py").write_text(f"{BEFORE}# a remark\n")
    assert CodeHistory().list_changed(made, [commit]) == {LOOP: "bytes differ, and git has no old text"}


def test_a_commit_whose_text_was_edited_before_it_ran_is_not_taken_for_what_ran(package: Path) -> None:
    commit = git(package, "rev-parse", "HEAD")
    (package / "training/loop.py").write_text(BEFORE.replace("2", "4"))
    ran = describe(package)
    (package / "training/loop.py").write_text(BEFORE)
    changed = CodeHistory().list_changed(ran, [f"{commit}+changes"])
    assert changed == {LOOP: "bytes differ, and git has no old text"}


def test_the_code_of_a_process_is_what_it_has_loaded_with_its_templates_and_without_what_specs_hold() -> None:
    import mixlab.report.page

    loaded = list_code()
    assert mixlab.report.page.__file__ is not None
    assert loaded["mixlab/report/page.py"] == build_digest(Path(mixlab.report.page.__file__).read_bytes())
    assert any(name.startswith("mixlab/report/templates/") for name in loaded)
    assert not any(name.startswith("mixlab/config/") and not name.endswith(".py") for name in loaded)


EDITED_ON_THE_WAY = """
import json, sys
from pathlib import Path
from mixlab.artifacts import code
code.watch_code()
root = code.PACKAGE
before = {name: code.build_digest((root.parent / name).read_bytes()) for name in ("LOADED", "LATER")}
(root.parent / "LOADED").write_text("raise SystemExit(9)")
import mixlab.report.numbers
(root.parent / "LATER").write_text("raise SystemExit(9)")
told = code.list_code()
print(json.dumps([told[name] == digest for name, digest in before.items()]))
"""


def test_code_that_is_edited_during_a_run_is_told_as_it_was_when_it_was_loaded(tmp_path: Path) -> None:
    copy = tmp_path / "src/mixlab"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    program = EDITED_ON_THE_WAY
    for word, name in (("LOADED", "mixlab/artifacts/keys.py"), ("LATER", "mixlab/report/numbers.py")):
        program = program.replace(word, name)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(copy.parent)},
    )  # fmt: skip
    assert done.stdout == "[true, true]\n", done.stderr


def test_what_a_rank_loaded_is_told_with_what_this_process_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "_seen", {})
    here = list_code()
    code.take_over_code({"mixlab/training/engines/zero.py": "a" * 64, "mixlab/artifacts/keys.py": "b" * 64})
    theirs = {"mixlab/training/engines/zero.py": "a" * 64, "mixlab/artifacts/keys.py": "b" * 64}
    assert list_code() == {**here, **theirs}


def test_equal_code_has_one_card_and_a_card_that_was_edited_is_none(tmp_path: Path) -> None:
    store, made = Store(tmp_path), {LOOP: "a" * 64}
    assert write_code(store, made) == write_code(store, dict(made)) == digest_code(made)
    (path,) = (tmp_path / "provenance/code").glob("*.json")
    assert read_code(store, digest_code(made)) == made
    path.write_text(json.dumps({LOOP: "b" * 64}))
    assert read_code(store, digest_code(made)) is None
    assert read_code(store, "0" * 64) is None


def test_a_copy_of_a_file_somewhere_else_made_nothing(tmp_path: Path) -> None:
    copied = tmp_path / "mixlab/evaluation/answerer.py"
    copied.parent.mkdir(parents=True)
    copied.write_text("")
    code.note_file(copied)
    assert not [name for name in list_code() if "answerer" in name and name != "mixlab/evaluation/answerer.py"]
    assert copied not in code._seen
