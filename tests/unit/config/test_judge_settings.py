"""A study's judge: a rule unless a model is named; what decides a verdict enters the key, its endpoint does not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mixlab.config.judging import JudgeConfig, ModelJudgeConfig, RuleJudgeConfig
from mixlab.config.loading import load_document
from mixlab.config.problems import Problem
from mixlab.config.served_models import ServedModelConfig
from mixlab.config.study import Study
from mixlab.config.validation import validate
from mixlab.plan.canonical import render_spec
from mixlab.plan.specs import JudgeSpec

STUDY = Path(__file__).parents[3].joinpath("studies/micro.yaml").read_text("utf-8")
MODEL = {"engine": "openai", "model": "gpt-4o-2024-08-06", "endpoint": "openai"}


def read(given: dict[str, Any]) -> Any:
    return TypeAdapter(JudgeConfig).validate_python(given)


def key_text(given: dict[str, Any], language: Any = "en") -> str:
    return render_spec(JudgeSpec(judge=read(given).to_settings(language), judge_run=1))


def test_without_an_engine_the_judge_is_the_rule() -> None:
    assert isinstance(read({}), RuleJudgeConfig)
    assert isinstance(read({"rule": {"same_number": 0.5}}), RuleJudgeConfig)
    assert isinstance(read(MODEL), ModelJudgeConfig)


def test_the_spec_of_a_rule_has_nothing_of_a_model() -> None:
    text = key_text({})
    # version 2: answers are rated without the thoughts before them; 3: numbers are read as written
    assert '"engine":"rule"' in text and read({}).to_settings("en").version == 3
    for name in ("reference_categories", "temperature", "attempts", "reminder"):
        assert f'"{name}"' not in text


@pytest.mark.parametrize(
    "change",
    [
        {"model": "gpt-4o-2024-11-20"},
        {"revision": "2026-11-01"},
        {"temperature": 0.7},
        {"seed": 5},
        {"max_tokens": 100},
        {"attempts": 5},
        {"reference_categories": ["math"]},
        {"extra": {"reasoning_effort": "low"}},
        {"reminders": {"en": "Only the rating.", "ja": "評点だけを。"}},
    ],
)
def test_what_decides_a_verdict_enters_the_key(change: dict[str, Any]) -> None:
    assert key_text(MODEL | change) != key_text(MODEL)


def test_the_order_of_categories_whose_references_are_shown_means_nothing() -> None:
    shown = key_text(MODEL | {"reference_categories": ["writing", "coding", "math", "art"]})
    assert key_text(MODEL | {"reference_categories": ["art", "math", "writing", "coding", "math"]}) == shown
    assert key_text(MODEL | {"reference_categories": []}) not in (shown, key_text(MODEL))


def test_the_order_of_what_a_request_holds_means_nothing() -> None:
    model = {"model": "m", "endpoint": "lab"}
    whole = ServedModelConfig.model_validate(model | {"sends": ["stop", "seed", "top_p", "temperature"]})
    assert whole == ServedModelConfig.model_validate(model)
    some = (
        ServedModelConfig.model_validate(model | {"sends": names}) for names in (["seed", "stop"], ["stop", "seed"])
    )
    assert len({one.to_engine().digest for one in (*some, whole)}) == 2


def test_where_it_is_asked_and_the_other_languages_reminder_do_not() -> None:
    assert key_text(MODEL | {"endpoint": "elsewhere"}) == key_text(MODEL)
    ours = read(MODEL).reminders
    assert key_text(MODEL | {"reminders": {"en": ours.en, "ja": "別の文"}}) == key_text(MODEL)


def test_the_place_of_a_judge_leads_to_its_endpoint_in_every_language() -> None:
    judge = read(MODEL)
    assert judge.locate() == {judge.to_settings("en").place: "openai"}
    assert judge.to_settings("ja").place == judge.place
    assert read({}).locate() == {}


def test_the_label_says_how_it_was_sampled() -> None:
    assert read(MODEL).to_settings("en").label == "gpt-4o-2024-08-06 (temperature 0, seed 0)"
    plain = read(MODEL | {"temperature": None, "seed": None}).to_settings("en")
    assert plain.label == "gpt-4o-2024-08-06 (temperature unstated, seed unstated)"
    dated = read(MODEL | {"revision": "sha256:12ab"}).to_settings("en")
    assert dated.label == "gpt-4o-2024-08-06 (revision sha256:12ab, temperature 0, seed 0)"


def test_without_a_revision_key_and_place_are_as_before_there_was_one() -> None:
    assert "revision" not in key_text(MODEL)
    assert read(MODEL).place == "judge/56b5a933b87f96ac"
    assert read(MODEL | {"revision": "a"}).place != read(MODEL).place


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({**MODEL, "endpoint": ""}, "endpoint"),
        ({"engine": "openai", "model": "m"}, "endpoint"),
        ({**MODEL, "attempts": 0}, "attempts"),
        ({**MODEL, "rule": {}}, "rule"),
        ({"engine": "rule", "model": "m"}, "model"),
        ({**MODEL, "extra": {"api_key": "x"}}, "environment variable"),
    ],
)
def test_mistakes_are_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        read(given)


def find_judge_problems(folder: Path, judge: str) -> list[Problem]:
    path = folder / "micro.yaml"
    path.write_text(f"{STUDY}\n{judge}", "utf-8")
    _, problems = validate(Study, load_document(path))
    return [one for one in problems if one.key.startswith("judge")]


@pytest.mark.parametrize("engine", ["", "engine: openai, model: m, endpoint: e, "])
@pytest.mark.parametrize(("value", "shown"), [("3", "3"), ("true", "true")])
def test_prompts_that_are_no_mapping_are_told(tmp_path: Path, engine: str, value: str, shown: str) -> None:
    (problem,) = find_judge_problems(tmp_path, f"judge: {{{engine}prompts: {{en: {value}}}}}\n")
    assert problem.key == "judge.prompts.en"
    assert problem.message.startswith("expected a mapping") and problem.message.endswith(f"got {shown}")


def test_that_a_rule_reads_no_files_is_told_alone_where_no_model_was_meant(tmp_path: Path) -> None:
    prompts = "prompts: {en: {published: a.jsonl, format: fastchat}}"
    (problem,) = find_judge_problems(tmp_path, f"judge: {{{prompts}}}\n")
    assert (problem.key, "here is a rule: name a model" in problem.message) == ("judge.prompts", True)
    problems = find_judge_problems(tmp_path, f"judge: {{engin: openai, model: m, endpoint: e, {prompts}}}\n")
    assert {one.key for one in problems} == {"judge.engin", "judge.model", "judge.endpoint"}
    (other,) = find_judge_problems(tmp_path, f"judge: {{engine: rule, {prompts}}}\n")
    assert other.key == "judge.prompts"


def test_a_mistake_in_a_study_is_told_once_with_its_line(tmp_path: Path) -> None:
    (problem,) = find_judge_problems(tmp_path, "judge:\n  engine: opnai\n  model: gpt-4o\n")
    assert (problem.key, problem.line) == ("judge.engine", len(STUDY.splitlines()) + 3)
    assert "did you mean 'openai'" in problem.message
