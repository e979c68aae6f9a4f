"""Files that extend several files, and registries of sources."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.config.loading import load_document
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.studies import list_studies, load_registry, read_study

Write = Callable[[str, str], Path]

SOURCE = "{kind: raw, language: en, licence: MIT, origin: {type: files, paths: [a.txt], format: text}}"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, name: str = "top.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def load_failure(path: Path) -> list[Problem]:
    with pytest.raises(ConfigError) as raised:
        load_document(path)
    return list(raised.value.problems)


def test_a_file_takes_the_keys_of_all_the_files_it_lists_and_lays_its_own_over_them(write: Write) -> None:
    one, two = write("a: {x: 1}\nb: [1]\n", "one.yaml"), write("a: {y: 2}\nc: 3\n", "two.yaml")
    top = write("extends: [one.yaml, two.yaml]\na:\n  y: 5\n", "top.yaml")
    document = load_document(top)
    assert document.data == {"a": {"x": 1, "y": 5}, "b": [1], "c": 3}
    assert document.files == (top, one, two)
    files = {key: document.address(path)[0] for key, path in {"x": ("a", "x"), "y": ("a", "y"), "c": ("c",)}.items()}
    assert files == {"x": str(one), "y": str(top), "c": str(two)}


def test_two_files_side_by_side_that_give_one_name_to_different_things_are_told_with_both_places(write: Write) -> None:
    write("sources:\n  web: {kind: raw}\n  wiki: {kind: raw}\n", "one.yaml")
    write("sources:\n  books: {kind: raw}\n  web: {kind: instruction}\ntitle: t\n", "two.yaml")
    (problem,) = load_failure(write("extends: [one.yaml, two.yaml]\n", "top.yaml"))
    assert (Path(problem.file).name, problem.line, problem.key) == ("two.yaml", 3, "sources.web")
    assert "one.yaml:2 says another thing of this key" in problem.message


def test_a_file_reached_by_two_ways_is_no_conflict_and_neither_is_saying_the_same(write: Write) -> None:
    write("a: {x: {z: 1}}\n", "bottom.yaml")
    write("extends: bottom.yaml\nb: {same: 1}\n", "one.yaml")
    write("extends: bottom.yaml\nb: {same: 1}\n", "two.yaml")
    document = load_document(write("extends: [one.yaml, two.yaml]\n", "top.yaml"))
    assert document.data == {"a": {"x": {"z": 1}}, "b": {"same": 1}}


def test_mistakes_in_the_list_and_in_the_files_it_names_are_told_at_once(write: Write) -> None:
    write("a: 1\na: 2\n", "one.yaml")
    write("b: 1\nb: 2\n", "two.yaml")
    problems = load_failure(
        write("extends:\n  - one.yaml\n  - 5\n  - one.yaml\n  - oen.yaml\n  - two.yaml\n", "top.yaml")
    )
    told = [(Path(problem.file).name, problem.line, problem.message) for problem in problems]
    assert [one[:2] for one in told] == [
        ("one.yaml", 2), ("top.yaml", 3), ("top.yaml", 4), ("top.yaml", 5), ("two.yaml", 2)
    ]  # fmt: skip
    assert "expected the path of a file, got 5" in told[1][2]
    assert "'one.yaml' is named twice" in told[2][2]
    assert "did you mean 'one.yaml'" in told[3][2]


def test_a_cycle_through_a_list_is_told(write: Write) -> None:
    write("extends: [top.yaml]\n", "one.yaml")
    (problem,) = load_failure(write("extends: [one.yaml]\n", "top.yaml"))
    assert "cycle of files that extend each other: top.yaml -> one.yaml -> top.yaml" in problem.message


def test_a_registry_is_read_alone_and_told_from_a_study(write: Write, tmp_path: Path) -> None:
    path = write(f"sources:\n  a: {SOURCE}\npools:\n  all: {{sources: [a]}}\n", "studies/lab/sources.yaml")
    registry, document = load_registry(path)
    assert list(registry.sources) == ["a"]
    assert document.address(("pools", "all")).line == 4
    assert list_studies(tmp_path) == []
    with pytest.raises(ConfigError, match="registry of sources, not a study; a study takes it by `extends:`"):
        read_study(tmp_path, "lab/sources")


def test_every_mistake_of_a_registry_is_told_with_its_address(write: Write) -> None:
    text = f"sources:\n  a: {SOURCE}\npools:\n  a: {{sources: [a]}}\n  b:\n    sources: [aa]\ntitle: t\n"
    path = write(text, "lab.yaml")
    with pytest.raises(ConfigError) as raised:
        load_registry(path)
    told = {(one.line, one.key): one.message for one in raised.value.problems}
    assert "a source is named 'a' too" in told[(4, "pools.a")]
    assert "no source, part or pool is named 'aa'; did you mean 'a'?" in told[(6, "pools.b.sources[0]")]
    assert "unknown key 'title'" in told[(7, "title")]
    assert len(told) == 3


def test_a_study_given_for_a_registry_is_told_in_one_sentence(write: Write) -> None:
    with pytest.raises(ConfigError) as raised:
        load_registry(write("title: t\nvariants: {}\n", "study.yaml"))
    (problem,) = raised.value.problems
    assert "this is a study, not a registry" in problem.message
    assert problem.line == 2
