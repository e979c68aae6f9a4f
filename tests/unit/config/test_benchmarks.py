"""Declarations of benchmarks, prompts and judges."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from mixlab.config.benchmarks import BenchmarkDeclaration, declared_benchmarks, load_declaration, read_declaration
from mixlab.config.chat import ChatTemplate
from mixlab.config.generation import PromptSettings, SamplingSettings
from mixlab.config.judging import JudgePrompts, RuleJudgeConfig
from mixlab.config.problems import ConfigError

CODE = {
    "version": 1,
    "description": "d",
    "language": "en",
    "category": "code",
    "measure": "accuracy",
    "prompt": {"template": "{prompt}"},
    "scoring": {"scorer": "python_tests"},
}


@pytest.mark.parametrize("name", declared_benchmarks())
def test_every_declared_benchmark_can_be_loaded_and_leaves_the_chat_template_to_the_study(name):
    assert load_declaration(name).prompt.chat_template is None


def test_a_misspelt_benchmark_is_refused_with_the_name_that_was_meant():
    with pytest.raises(ConfigError, match="no benchmark is declared as 'jhumanevl'; did you mean 'jhumaneval'"):
        load_declaration("jhumanevl")


def test_a_name_like_no_other_is_refused_with_all_names():
    with pytest.raises(ConfigError, match=r"declared are .*gsm8k.*mt_bench_ja"):
        load_declaration("xyz")


def write(folder, data):
    path = folder / "x.yaml"
    path.write_text(json.dumps(data))
    return path


def test_all_problems_of_a_declaration_are_named_at_once(tmp_path):
    data = CODE | {"category": "poetry", "prompt": {"template": "{prompt}", "chatt": True}}
    with pytest.raises(ConfigError) as caught:
        read_declaration(write(tmp_path, data))
    assert [problem.key for problem in caught.value.problems] == ["category", "prompt.chatt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scoring": None}, "either scoring or judged"),
        ({"judged": True}, "either scoring or judged"),
        ({"measure": "judge_score"}, "measure is judge_score exactly where"),
        ({"prompt": {"template": "{prompt}", "repair_prompts": True}}, "repair_prompts must be the same"),
        (
            {"prompt": {"template": "{prompt}", "repair_prompts": True}, "scoring": {"scorer": "exact_match"}},
            "a meaning only with the scorer python_tests",
        ),
        ({"scoring": None, "judged": True, "measure": "judge_score"}, "set prompt.turns: turns"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        read_declaration(write(tmp_path, CODE | change))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"template": "always the same"}, "no {field} placeholder"),
        ({"template": "{question}", "turns": "turns"}, "must contain {turn}"),
        ({"template": "{turn}"}, "turns does not name"),
        ({"template": "{turn}", "turns": "turns", "chat": False}, "need the chat format"),
        ({"template": "{q}", "system": "s", "chat": False}, "need the chat format"),
    ],
)
def test_prompt_settings_that_cannot_mean_anything_are_refused(prompt, message):
    with pytest.raises(ValidationError, match=message):
        PromptSettings.model_validate(prompt)


def test_nucleus_sampling_without_temperature_is_refused():
    with pytest.raises(ValidationError, match="no effect at temperature 0"):
        SamplingSettings(top_p=0.9)


def test_the_chat_template_enters_the_settings_only_where_the_chat_format_is_used():
    template = ChatTemplate(user_prefix="U:")
    assert load_declaration("gsm8k").prompt.with_chat_template(template).chat_template == template
    assert load_declaration("humaneval").prompt.with_chat_template(template).chat_template is None


def test_a_study_may_ask_for_fewer_items_and_repaired_prompts():
    changed = load_declaration("jhumaneval").with_changes(limit=5, repair_prompts=True)
    assert (changed.prompt.limit, changed.prompt.repair_prompts, changed.scoring.repair_prompts) == (5, True, True)


def test_repair_of_prompts_that_are_not_code_is_refused():
    with pytest.raises(ValidationError, match="a meaning only with the scorer python_tests"):
        load_declaration("gsm8k").with_changes(repair_prompts=True)


def test_item_fields_name_what_prompt_and_scorer_read():
    assert load_declaration("humaneval").item_fields() == {"prompt", "test", "entry_point"}
    assert load_declaration("gsm8k").item_fields() == {"question", "answer"}
    assert load_declaration("mt_bench_ja").item_fields() == {"category", "turns"}


def test_braces_that_name_no_field_stay_as_they_are():
    prompt = PromptSettings(template='{"a": 1} {question} { x }')
    assert prompt.render({"question": "{answer}"}) == '{"a": 1} {answer} { x }'


def test_another_languages_judge_prompt_does_not_enter_a_judges_settings():
    config = RuleJudgeConfig()
    changed = config.prompts["ja"].model_copy(update={"system": "別の指示"})
    edited = config.model_copy(update={"prompts": {**config.prompts, "ja": changed}})
    assert edited.to_settings("en") == config.to_settings("en")
    assert edited.to_settings("ja") != config.to_settings("ja")


def test_a_judge_prompt_without_a_marked_answer_is_refused():
    prompts = RuleJudgeConfig().prompts["en"].model_dump()
    with pytest.raises(ValidationError, match=r"first must contain \{answer\}"):
        JudgePrompts.model_validate(prompts | {"first": "<question>\n{question}\n</question>"})
    with pytest.raises(ValidationError, match=r"first must set \{answer\} between <answer> and </answer>"):
        JudgePrompts.model_validate(prompts | {"first": "<question>{question}</question> {answer}"})


def test_the_declarations_import_nothing_heavy():
    code = "import sys, mixlab.config.benchmarks, mixlab.config.judging; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "transformers", "tokenizers"} & set(loaded)


def test_a_study_may_ask_for_samples_and_say_what_is_made_of_them():
    changed = load_declaration("humaneval").with_changes(samples=10, temperature=0.8, pass_at=(1, 10))
    assert (changed.prompt.samples, changed.prompt.sampling.temperature) == (10, 0.8)
    assert changed.measures() == ("accuracy", "pass@1", "pass@10")
    voted = load_declaration("gsm8k").with_changes(samples=8, temperature=0.7, majority=True)
    assert voted.measures() == ("accuracy", "maj@8")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("humaneval", {"samples": 2, "temperature": 1.0, "majority": True}, "Extra inputs are not permitted"),
        ("mt_bench_en", {"samples": 2, "temperature": 1.0}, "samples is for items of one turn"),
        ("mt_bench_en", {"pass_at": (1,)}, "scoring"),
        ("gsm8k", {"majority": True}, "majority needs several samples"),
        ("gsm8k", {"samples": 4, "temperature": 1.0, "pass_at": (8,)}, "pass_at 8 needs as many samples"),
    ],
)
def test_what_a_benchmark_cannot_be_asked_is_refused(name, changes, message):
    with pytest.raises(ValidationError, match=message):
        load_declaration(name).with_changes(**changes)


def test_letters_mean_what_was_shown():
    data = load_declaration("truthfulqa").model_dump()
    data["scoring"]["options"]["shuffle"] = False
    with pytest.raises(ValidationError, match="options must be the same in prompt and scoring"):
        BenchmarkDeclaration.model_validate(data)


def test_questions_in_chinese_have_no_judge():
    data = load_declaration("mt_bench_en").model_dump() | {"language": "zh"}
    with pytest.raises(ValidationError, match="a judged benchmark is in en or ja"):
        BenchmarkDeclaration.model_validate(data)


PUBLISHED_TEMPERATURES = {
    **dict.fromkeys(("writing", "roleplay"), 0.7),
    **dict.fromkeys(("extraction", "math", "coding", "reasoning"), 0.0),
    **dict.fromkeys(("stem", "humanities"), 0.1),
}


@pytest.mark.parametrize("name", ["mt_bench_en", "mt_bench_ja"])
def test_mt_bench_is_sampled_by_category_as_fastchat_does_unless_the_study_says_otherwise(name):
    declared = load_declaration(name)
    assert declared.prompt.sampling.category_temperatures == PUBLISHED_TEMPERATURES
    assert declared.prompt.sampling.temperatures() == (0.0, 0.1, 0.7)
    changed = declared.with_changes(temperature=0.0).prompt.sampling
    assert (changed.temperatures(), changed.category_temperatures) == ((0.0,), None)
    assert changed == SamplingSettings(max_new_tokens=512)


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"temperature": 0.5, "category_temperatures": {"math": 0}}, "temperature has no effect beside category_temp"),
        ({"top_p": 0.9, "category_temperatures": {"math": 0}}, "top_p 0.9 has no effect at temperature 0"),
        ({"category_temperatures": {}}, "at least 1 item"),
        ({"category_temperatures": {"math": 5.1}}, "less than or equal to 5"),
        ({"category_temperatures": {"math": -0.1}}, "greater than or equal to 0"),
    ],
)
def test_temperatures_by_category_that_mean_nothing_are_refused(sampling, message):
    with pytest.raises(ValidationError, match=message):
        SamplingSettings(**sampling)


def test_samples_that_would_be_equal_in_a_greedy_category_are_refused():
    sampling = SamplingSettings(category_temperatures={"math": 0.0, "writing": 0.7})
    with pytest.raises(ValidationError, match=r"at temperature 0 \(greedy\) all would be equal"):
        PromptSettings(template="{question}", samples=2, sampling=sampling)
    assert SamplingSettings(top_p=0.9, category_temperatures={"math": 0.0, "writing": 0.7}).top_p == 0.9
