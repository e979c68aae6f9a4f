"""Ways of writing a study that decide nothing: pools, assumptions, overrides that say what the study says."""

import json
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


FEW = (
    "{kind: raw, language: en, licence: CC0-1.0, "
    'origin: {type: files, root: micro, paths: [raw_en.jsonl], format: jsonl, limit: 9, fields: {text: "{text}"}}}'
)


def with_few(mixture: str, filters: str = "") -> str:
    """The file of `raw_file` once more, with a limit."""
    return f"sources: {{few: {FEW}}}\n{filters}variant_defaults: {{{mixture}}}\n"


def lock_few(root: Path) -> None:
    lock = json.loads((root / "sources.lock").read_text(encoding="utf-8"))
    lock["sources"]["few"] = lock["sources"]["raw_file"]
    (root / "sources.lock").write_text(json.dumps(lock), encoding="utf-8")


def test_a_mixture_that_draws_a_file_twice_under_two_limits_is_refused(list_keys: ListKeys, tmp_path: Path) -> None:
    lock_few(tmp_path)
    with pytest.raises(ConfigError) as raised:
        list_keys(with_few("sources: [raw_file, few, math_file, reasoning_ja]"))
    assert {problem.key for problem in raised.value.problems} == {
        "variants.even.sources",
        "variants['math heavy 数学'].sources",
    }
    assert all("'raw_file' has records that 'few' has too" in problem.message for problem in raised.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        with_few("sources: [few, math_file, reasoning_ja]"),
        with_few("sources: {raw_file: 1, few: 0, math_file: 1, reasoning_ja: 1}"),
        with_few(
            "sources: [raw_file, few, math_file, reasoning_ja]",
            "filters: [{type: exact_duplicates, against: [few, raw_file]}]\n",
        ),
    ],
    ids=["alone", "one without a share", "one compared with the other"],
)
def test_a_file_under_two_limits_of_which_a_mixture_draws_each_record_once_is_no_mistake(
    list_keys: ListKeys, tmp_path: Path, text: str
) -> None:
    lock_few(tmp_path)
    assert list_keys(text)


def test_a_source_named_by_the_filters_is_never_compared_with_itself_or_with_one_named_later(
    list_keys: ListKeys,
) -> None:
    def against(names: str) -> Keys:
        return {one for one in list_keys(f"filters: [{{type: exact_duplicates{names}}}]\n") if one[0] == "filter"}

    plain, one, two = against(""), against(", against: [raw_file]"), against(", against: [raw_file, math_file]")
    assert len(plain & one) == 1  # raw_file
    assert len(one & two) == 1 + 1  # raw_file, and math_file against it
    assert plain & two == plain & one


def other_model(overrides: str, positions: int = 1024) -> str:
    return (
        "effects: []\nbase_models:\n  tiny2:\n    tokenizer: bpe\n"
        f"    model: {{hidden_size: 32, layers: 1, heads: 2, feed_forward: 64, max_positions: {positions}}}\n"
        "    mixture: {sources: [raw_file, raw_ja], budget: {tokens: 12000}, max_epochs: 8}\n"
        "    sequence_tokens: 64\n    training:\n      optimizer: {name: adamw, learning_rate: 0.004}\n"
        "      schedule: {name: constant, warmup_steps: 5}\n      global_batch_windows: 8\n"
        f"    overrides: {overrides}\n"
    )


LONG = "{ipt: {sequence_tokens: 512, training: {global_batch_windows: 1}}, sft: {sequence_tokens: 512}}"


def test_what_one_base_model_sees_is_held_against_that_model_alone(list_keys: ListKeys) -> None:
    before, after = ({one for one in list_keys(text) if one[0] == "ipt"} for text in ("", other_model(LONG)))
    assert before < after
    with pytest.raises(ConfigError) as raised:
        list_keys(other_model(LONG, positions=128))
    root = "base_models.tiny2.overrides"
    assert {problem.key for problem in raised.value.problems} == {
        f"{root}.{section}.sequence_tokens" for section in ("ipt", "sft")
    }
    assert all("'tiny2'" in problem.message for problem in raised.value.problems)


def test_what_a_study_says_is_held_against_base_models_without_overrides(list_keys: ListKeys) -> None:
    long = "ipt: {sequence_tokens: 512, training: {global_batch_windows: 1}}\n"
    assert list_keys(f"{long}base_models: {{tiny: {{overrides: {{ipt: {{sequence_tokens: 64}}}}}}}}\n")
    with pytest.raises(ConfigError, match="512 tokens are more than max_positions 256 of 'tiny'"):
        list_keys(f"{long}{other_model('{ipt: {sequence_tokens: 64}}')}")


def test_too_few_steps_are_told_of_variants_of_the_base_model_alone(list_keys: ListKeys) -> None:
    fewer = "variants: {even: {budget: {tokens: 2000}, base_models: [tiny2]}, math heavy 数学: {base_models: [tiny]}}\n"
    enough = other_model("{ipt: {training: {global_batch_windows: 1}}}")
    assert list_keys(f"{enough}{fewer}")
    with pytest.raises(ConfigError, match="2000 tokens give at most about 8 steps of ipt"):
        list_keys(f"{other_model('{average: {last: 3}}')}{fewer}")


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
            "sources: {raw_ja: {filters: [{type: exact_duplicates, against: [raw_ja]}]}}",
            "sources.raw_ja.filters[0].against[0]",
            "'raw_ja' is compared with its own records in any case",
        ),
        (
            "sources: {raw_ja: {filters: [{type: exact_duplicates, against: [raw_file]}]},"
            " raw_file: {filters: [{type: near_duplicates, against: [raw_ja]}]}}",
            "sources.raw_ja.filters[0].against[0]",
            "'raw_ja' is compared with 'raw_file', and 'raw_file' in turn with 'raw_ja'",
        ),
        (
            "filters: [{type: exact_duplicates, against: [raw_file]}]\n"
            "sources: {raw_file: {filters: [{type: exact_duplicates, against: [raw_ja]}]}}",
            "sources.raw_file.filters[0].against[0]",
            "'raw_file' is compared with 'raw_ja', and 'raw_ja' in turn with 'raw_file'",
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
