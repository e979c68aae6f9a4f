"""Ways of writing a study that decide nothing: pools, assumptions, overrides that say what the study says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan

REPOSITORY = Path(__file__).resolve().parents[3]

Keys = set[tuple[str, str]]
ListKeys = Callable[[str], Keys]


@pytest.fixture
def list_keys(tmp_path: Path) -> ListKeys:
    """Plan the micro study with a text that extends it; stages and keys, but of those that hold names."""
    (tmp_path / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")

    def plan(text: str) -> Keys:
        (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
        nodes = build_plan(tmp_path, ["other"], check_files=False).plan.nodes.values()
        return {(node.stage, node.key) for node in nodes if node.stage not in ("report", "counts")}

    return plan


def test_an_override_equal_to_what_the_study_says_changes_no_key(list_keys: ListKeys) -> None:
    overrides = "{ipt: {sequence_tokens: 64}, average: {last: 4}, variants: {even: {budget: {tokens: 1.6e4}}}}"
    assert list_keys(f"base_models: {{tiny: {{overrides: {overrides}}}}}\n") == list_keys("")


def test_an_override_changes_what_it_says_and_its_descendants_alone(list_keys: ListKeys) -> None:
    before = list_keys("")
    after = list_keys("base_models: {tiny: {overrides: {variants: {even: {budget: {tokens: 15000}}}}}}\n")
    gone = {stage for stage, _ in before - after}
    assert {"mixture", "ipt", "average", "sft", "generate"} <= gone
    assert gone.isdisjoint({"source", "tokenizer", "tokenize", "pack", "pretrain"})
    assert len([1 for stage, _ in before - after if stage == "mixture"]) == 1
    assert after == list_keys("variants: {even: {budget: {tokens: 15000}}}\n")


def test_an_assumed_value_has_the_keys_of_the_value(list_keys: ListKeys) -> None:
    assert list_keys("variant_defaults: {max_epochs: {value: 8, assumed: because}}\n") == list_keys("")


def test_a_pool_has_the_keys_of_the_sources_in_it_and_its_name_is_none(list_keys: ListKeys) -> None:
    def pool(name: str, members: str = "raw_file, raw_ja") -> str:
        listed = f"[{name}, math_file, reasoning_ja]"
        return f"pools: {{{name}: {{sources: [{members}]}}}}\nvariant_defaults: {{sources: {listed}}}\n"

    assert list_keys(pool("raw")) == list_keys("") == list_keys(pool("生", "raw_ja, raw_file"))


def test_a_source_of_a_registry_that_takes_no_part_needs_no_lock_and_changes_no_key(list_keys: ListKeys) -> None:
    unused = "{kind: raw, language: zh, licence: unknown, origin: {type: hub, id: a/b, preset: text}}"
    assert list_keys(f"sources: {{unused: {unused}}}\n") == list_keys("")


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (
            "base_models: {tiny: {overrides: {average: {last: 5}}}}",
            "base_models.tiny.overrides.average.last",
            "averages 5 snapshots, but ipt keeps 4",
        ),
        (
            "base_models: {tiny: {overrides: {variants: {even: {sources: [raw_file, maths]}}}}}",
            "base_models.tiny.overrides.variants.even.sources[1]",
            "no source is named 'maths'",
        ),
        (
            "variant_defaults: {sources: [raw_file, test_math_en]}",
            "variants.even.sources[1]",
            "'test_math_en' is a benchmark; a mixture takes raw and instruction sources",
        ),
        (
            "sources: {chats: {kind: instruction, language: en, category: to_be_labelled, labeller: rulez, "
            "licence: CC0-1.0, origin: {type: generator, name: invented_world, size: 9, "
            "options: {language: en, category: math, world_seed: 1}}}}\nvariant_defaults: {sources: [raw_file, chats]}",
            "sources.chats.labeller",
            "no labeller is named 'rulez'; did you mean 'rules'?",
        ),
    ],
)
def test_what_cannot_be_is_told_where_it_was_written(list_keys: ListKeys, text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        list_keys(f"{text}\n")
    told = {problem.key: problem.message for problem in raised.value.problems}
    assert words in told[key]
