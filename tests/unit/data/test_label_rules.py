"""The keyword rules are useful where no model is: on the invented world, and on questions of MT-Bench."""

import json
from pathlib import Path

import pytest

from mixlab.config.categories import CATEGORIES, LANGUAGES, Category, Language
from mixlab.config.sources import GeneratorOrigin
from mixlab.data.labels.rules import label_by_rules
from mixlab.data.sources.generators import generate_records


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("category", CATEGORIES)
def test_the_rules_know_the_tasks_of_the_invented_world(language: Language, category: Category) -> None:
    options = {"language": language, "category": category, "world_seed": 3}
    origin = GeneratorOrigin.model_validate({"name": "invented_world", "size": 100, "options": options})
    asked = [record["messages"][0]["content"] for record in generate_records("instruction", origin)]
    found = [CATEGORIES[label_by_rules(text)] for text in asked]
    assert found.count(category) >= 95


def test_a_text_without_any_sign_is_general() -> None:
    assert CATEGORIES[label_by_rules("")] == CATEGORIES[label_by_rules("こんにちは")] == "general"


def test_a_record_player_is_no_program() -> None:
    assert CATEGORIES[label_by_rules("今でもレコードを購入できますか？")] == "general"


@pytest.mark.shared
@pytest.mark.parametrize("path", ["mt_bench_en/question.jsonl", "mt_bench_ja/question_full.jsonl"])
def test_the_rules_agree_with_the_names_of_mt_bench_far_above_chance(shared_data: Path, path: str) -> None:
    names: dict[str, Category] = {"coding": "code", "math": "math", "reasoning": "reasoning"}
    items = [json.loads(line) for line in (shared_data / "benchmarks" / path).read_text("utf-8").splitlines()]
    right = [CATEGORIES[label_by_rules(one["turns"][0])] == names.get(one["category"], "general") for one in items]
    assert sum(right) / len(right) >= 0.75
