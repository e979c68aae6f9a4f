"""The world's promises: knowledge in raw text only, nothing asked that was taught, everything seeded."""

import itertools
from typing import Any

import pytest

from mixlab.config.problems import DataError
from mixlab.config.sources import CATEGORIES, GeneratorOrigin, InventedWorld
from mixlab.data.records import find_fault
from mixlab.data.sources.generators import generate_records
from mixlab.data.sources.invented_world.people import FACTS, build_world
from mixlab.data.sources.invented_world.tasks import select_tasks

SEED = 7


def _records(kind: str, size: int, *, seed: int = 0, **options: Any) -> list[dict[str, Any]]:
    world = InventedWorld(**{"world_seed": SEED} | options)
    origin = GeneratorOrigin(type="generator", name="invented_world", seed=seed, size=size, options=world)
    return list(generate_records(kind, origin))


def _every(kind: str, language: str, category: str, *, world_seed: int = SEED) -> int:
    held_out = kind == "benchmark"
    return len(select_tasks(build_world(world_seed), language, category, "tasks", held_out=held_out))


cells = pytest.mark.parametrize(("language", "category"), list(itertools.product(("en", "ja"), CATEGORIES)))


@cells
def test_no_training_prompt_is_a_benchmark_prompt(language: str, category: str) -> None:
    options = {"language": language, "category": category}
    taught = _records("instruction", _every("instruction", language, category), **options)
    asked = _records("benchmark", _every("benchmark", language, category), **options)
    prompts = {record["messages"][0]["content"] for record in taught}
    assert prompts and asked
    assert not prompts & {item["prompt"] for item in asked}
    assert len({item["id"] for item in asked}) == len(asked)


@cells
def test_every_world_holds_out_equally_many(language: str, category: str) -> None:
    for kind in ("instruction", "benchmark"):
        assert len({_every(kind, language, category, world_seed=seed) for seed in range(5)}) == 1


@cells
def test_every_record_has_the_form_of_its_kind_and_comes_again_from_the_same_seed(language: str, category: str) -> None:
    for kind in ("instruction", "benchmark"):
        options = {"language": language, "category": category}
        records = _records(kind, 48, **options)
        assert [find_fault(kind, record) for record in records] == [None] * 48
        assert records == _records(kind, 48, **options)
        assert records[:30] == _records(kind, 30, **options)
        assert records != _records(kind, 48, seed=1, **options)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_raw_text_tells_every_fact_and_names_no_stranger(language: str) -> None:
    world = build_world(SEED)
    texts = [record["text"] for record in _records("raw", 600, language=language)]
    for person, fact in itertools.product(world.people, FACTS):
        name, value = person.names[language], person.value(fact, language)
        assert sum(name in text and value in text for text in texts) >= 3
    assert not [one for one in world.strangers if any(one.names[language] in text for text in texts)]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_raw_text_holds_neither_digits_nor_code_nor_questions(language: str) -> None:
    everything = "".join(record["text"] for record in _records("raw", 400, language=language))
    assert not [mark for mark in "0123456789?？=" if mark in everything]
    assert "def " not in everything


@pytest.mark.parametrize("language", ["en", "ja"])
def test_instructions_ask_about_nobody_of_whom_a_benchmark_asks(language: str) -> None:
    world = build_world(SEED)
    size = _every("instruction", language, "general")
    taught = str(_records("instruction", size, language=language, category="general"))
    assert not [one for one in (*world.held_out, *world.strangers) if one.names[language] in taught]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_code_solutions_pass_their_tests_and_another_constant_fails(language: str) -> None:
    items = _records("benchmark", 48, language=language, category="code")
    for item in items:
        for digit, passes in ((None, True), ("1", False)):
            body = item["solution"].removeprefix("def f(x): return ")
            if digit is not None:
                body = "".join(digit if character.isdigit() else character for character in body)
            scope: dict[str, Any] = {}
            exec(f"def f(x): return {body}\n{item['test']}", scope)
            try:
                scope["check"](scope["f"])
            except AssertionError:
                assert not passes, item
            except ZeroDivisionError:
                raise AssertionError(item) from None
            else:
                assert passes, item


@pytest.mark.parametrize("language", ["en", "ja"])
def test_sums_and_orders_are_right(language: str) -> None:
    for item in _records("benchmark", 100, language=language, category="math"):
        left, right = item["solution"].split("=")
        assert str(eval(left)) == right == item["answer"]
    for item in _records("benchmark", 100, language=language, category="reasoning"):
        digits = [int(digit) for digit in item["answer"]]
        assert digits in (sorted(digits), sorted(digits, reverse=True))
        assert sorted(digits) == sorted(int(digit) for digit in item["prompt"] if digit.isdigit())


@pytest.mark.parametrize("language", ["en", "ja"])
def test_dialogues_have_two_turns_with_references_and_take_the_categories_in_turn(language: str) -> None:
    items = _records("benchmark", 40, language=language, part="dialogue")
    assert [item["category"] for item in items[:8]] == [*CATEGORIES, *CATEGORIES]
    assert all(len(item["turns"]) == len(item["reference"]) == 2 for item in items)
    taught = _records("instruction", 20, language=language, category="general", part="dialogue")
    assert [turn["role"] for turn in taught[0]["messages"]] == ["user", "assistant"] * 2


def test_an_english_answer_from_knowledge_starts_with_a_space() -> None:
    taught = _records("instruction", 50, language="en", category="general")
    assert all(record["messages"][1]["content"].startswith(" ") for record in taught)


def test_more_records_than_distinct_prompts_is_an_error_that_says_how_many_there_are() -> None:
    there = _every("benchmark", "en", "general")
    with pytest.raises(DataError, match=f"there are {there} distinct prompts of benchmark en/general"):
        _records("benchmark", there + 1, language="en", category="general")


def test_another_world_has_other_people_and_facts() -> None:
    one, other = build_world(1), build_world(2)
    assert {person.names["en"] for person in one.people} != {person.names["en"] for person in other.people}
    assert [sorted(person.values[fact] for person in one.people) for fact in FACTS] == [sorted([*range(8)] * 3)] * 3
