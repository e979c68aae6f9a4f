"""A study that cannot be meant: every problem with its address, exit code 2, and nothing written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import copy_checkout, run_python
from click.testing import Result
from mistakes import MISTAKES, SEVERAL, SEVERAL_TOLD, STUDY, Change
from mistakes_data import DATA_MISTAKES

Invoke = Callable[..., Result]


def change_study(root: Path, *changes: Change) -> str:
    """Make changes in the study; return the line of the first as `studies/micro.yaml:7`."""
    path = root / STUDY
    text = path.read_text()
    for old, _ in changes:
        assert old in text, f"mend the test: {old!r} is not in {STUDY}"
    # the line of the first word that differs, as `EVEN` and others span several
    old, new = changes[0]
    at = text.index(old)
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    for old, new in changes:
        text = text.replace(old, new)
    path.write_text(text)
    return f"{STUDY}:{text.count(chr(10), 0, at + same) + 1}"


def list_tree(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


ALL_MISTAKES = {**MISTAKES, **DATA_MISTAKES}


@pytest.mark.parametrize("name", ALL_MISTAKES)
def test_a_mistake_is_told_with_its_address_and_nothing_is_written(name: str, micro: Path, invoke: Invoke) -> None:
    change, expected = ALL_MISTAKES[name]
    line = change_study(micro, change)
    before = list_tree(micro)
    result = invoke("plan")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{STUDY}:" in result.stderr
    for text in expected:
        assert text.replace("{line}", line).replace("{line_number}", line.split(":")[1]) in result.stderr
    assert "Traceback" not in result.stderr
    assert list_tree(micro) == before


def test_mistakes_of_form_and_of_meaning_are_told_together_in_the_order_of_lines(micro: Path, invoke: Invoke) -> None:
    change_study(micro, *SEVERAL)
    result = invoke("plan")
    assert result.exit_code == 2
    head, *lines = result.stderr.splitlines()
    assert head == f"mixlab: {len(SEVERAL_TOLD)} problems"
    for text in SEVERAL_TOLD:
        assert sum(text in line for line in lines) == 1
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)


def test_a_mistake_leads_to_no_second_one(micro: Path, invoke: Invoke) -> None:
    """What refers to an entry with a mistake does not refer to nothing."""
    change_study(micro, ("kind: instruction\n    language: en", "kind: instructions\n    language: en"))
    result = invoke("plan")
    assert result.stderr.count("\n") == 1
    assert "sources.math_file.kind" in result.stderr


def test_mistakes_of_several_studies_and_of_the_main_configuration_are_told(micro: Path, invoke: Invoke) -> None:
    (micro / "studies/other.yaml").write_text("title: Other\nsorces: {}\n")
    change_study(micro, SEVERAL[0])
    result = invoke("plan", "micro", "other", "mcro")
    assert result.exit_code == 2
    for text in (
        "studies/other.yaml:2: sorces: unknown key",
        "micro.yaml:100: average.last",
        "mcro.yaml: no such study; did you mean 'micro'?",
    ):
        assert text in result.stderr
    (micro / "config.yaml").write_text("study: micro\nmachin: {}\n")
    result = invoke("plan")
    assert result.exit_code == 2
    assert "config.yaml:2: machin: unknown key 'machin'; did you mean 'machine'?" in result.stderr


def test_snakemake_tells_the_same_and_starts_nothing(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "checkout")
    change_study(root, *SEVERAL)
    done = run_python(root, "-m", "snakemake", "--profile", "local", "-n", "all")
    assert done.returncode == 2
    for text in SEVERAL_TOLD:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / "work").exists()
    assert not (root / "artifacts").exists()


def test_snakemake_refuses_a_config_key_that_is_not_study(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "checkout")
    done = run_python(root, "-m", "snakemake", "--profile", "local", "-n", "all", "--config", "studdy=micro")
    assert done.returncode == 2
    assert "did you mean 'study'?" in done.stderr
    assert not (root / "work").exists()


@pytest.mark.parametrize("command", [("plan",), ("judge", "cost"), ("judge", "spent")], ids=" ".join)
def test_a_budget_of_no_study_is_told(command: tuple[str, ...], micro: Path, invoke: Invoke) -> None:
    """It would cap nothing: the study would spend by the caps of all the others."""
    config = micro / "config.yaml"
    budgets = "  judging:\n    budgets: {micro: {max_calls: 5}, micr: {max_calls: 5}}\n"
    config.write_text(f"study: micro\nmachine:\n{budgets}")
    result = invoke(*command)
    assert result.exit_code == 2
    assert "config.yaml: machine.judging.budgets.micr: no study is named 'micr'; did you mean 'micro'?" in result.stderr
    assert result.stderr.count("\n") == 1
    config.write_text(f"study: micro\nmachine:\n{budgets.replace(', micr: {max_calls: 5}', '')}")
    assert invoke(*command).exit_code == 0
