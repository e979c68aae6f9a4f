"""What a user may write about labellers and endpoints, and what of it decides the labels."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mixlab.config.endpoints import ChatModelSettings, EndpointSettings
from mixlab.config.labelling import LabellerConfig, LabelSettings, load_label_prompt
from mixlab.config.machine import MachineSettings

OPENAI = {"engine": {"type": "openai", "model": "tiny"}, "endpoint": "local"}
HF = {"engine": {"type": "hf", "digest": "0" * 64, "root": "models", "path": "tiny"}}
RULES = {"engine": {"type": "rules"}}


def build(config: dict[str, Any], **changes: Any) -> LabellerConfig:
    return LabellerConfig.model_validate({**config, **changes})


def test_our_own_prompt_names_the_four_categories_in_both_languages() -> None:
    prompt = load_label_prompt()
    for word in ("code:", "math:", "reasoning:", "general:", "計算", "プログラム", "論理"):
        assert word in prompt.system


@pytest.mark.parametrize("config", [OPENAI, HF, RULES], ids=["openai", "hf", "rules"])
def test_settings_survive_a_plan_file(config: dict[str, Any]) -> None:
    settings = build(config).to_settings()
    assert LabelSettings.model_validate_json(settings.model_dump_json()) == settings


def test_every_output_says_that_rules_are_no_language_model() -> None:
    assert build(RULES).to_settings().label == "keyword rules (not a language model)"
    assert build(OPENAI).to_settings().label == "tiny"
    assert build(HF).to_settings().label == "model 000000000000"


@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "x"},
        {"headers": {"Authorization": "x"}},
        {"a": [{"b": {"accessToken": "x"}}]},
        {"X-Api-Key": "x"},
        {"db": {"password": "x"}},
        {"client_secret": "x"},
    ],
    ids=str,
)
def test_a_secret_is_refused_at_any_depth_of_the_further_fields(extra: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="a key belongs into an environment variable") as caught:
        ChatModelSettings(model="tiny", extra=extra)
    assert "`extra` holds" in str(caught.value)


def test_words_that_only_begin_like_a_secret_are_fields_like_others() -> None:
    extra = {"keyword": "x", "chat_template_kwargs": {"skip_special_tokens": True, "monkey": 1}}
    assert ChatModelSettings(model="tiny", extra=extra).extra == extra


def test_where_a_model_folder_lies_is_no_part_of_the_settings() -> None:
    moved = build({"engine": {**HF["engine"], "root": "other", "path": "place"}})
    assert moved.to_settings() == build(HF).to_settings()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({**OPENAI, "endpoint": None}, "engine openai and `endpoint: NAME` go together"),
        ({**RULES, "endpoint": "local"}, "engine openai and `endpoint: NAME` go together"),
        ({**OPENAI, "prompt": {"system": "x", "question": "{dialogue}"}}, "between <dialogue> and </dialogue>"),
        ({**OPENAI, "prompt": {"system": "x", "question": "<dialogue></dialogue>"}}, "{dialogue} exactly once"),
        ({**OPENAI, "on_unparsable": "drop"}, "on_unparsable"),
        ({**OPENAI, "attempts": 0}, "attempts"),
        ({**RULES, "attempts": 3}, "attempts belongs to a model"),
        ({**RULES, "on_unparsable": "math"}, "on_unparsable belongs to a model"),
        (
            {**RULES, "prompt": {"system": "x", "question": "<dialogue>{dialogue}</dialogue>"}},
            "prompt belongs to a model",
        ),
        ({"engine": {"type": "openai", "model": "tiny", "extra": {"seed": 1}}, "endpoint": "a"}, "fields of their own"),
        ({"engine": {"type": "openai", "model": "tiny", "extra": {"api_key": "x"}}, "endpoint": "a"}, "holds api_key"),
    ],
)
def test_what_makes_no_sense_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LabellerConfig.model_validate(config)


@pytest.mark.parametrize(
    "url",
    [
        "host:8000",
        "ftp://host/v1",
        "http:///v1",
        "http://host/v1?key=1",
        "http://host:99999/v1",
        "http://host/#a",
        "http://a..b/v1",
        f"http://{'a' * 64}.org/v1",
        "http://a host/v1",
        "http://ho\tst/v1",
        "http://host/v1\n",
    ],
)
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        EndpointSettings(url=url)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8000/v1", f"http://{'a' * 63}.org/v1", "http://gpu_1:8000/v1", "https://例え.jp./v1"]
)
def test_an_address_that_can_be_one_is_taken(url: str) -> None:
    assert EndpointSettings(url=url).url == url


def test_a_slash_at_the_end_of_an_address_makes_no_difference() -> None:
    assert EndpointSettings(url="http://host:8000/v1/") == EndpointSettings(url="http://host:8000/v1")


def test_a_job_finds_its_endpoint_or_model_folder_by_the_settings_place() -> None:
    machine = MachineSettings(data_roots={"models": "there"})
    root = Path("/base")
    assert build(OPENAI).locate(machine, root) == {build(OPENAI).to_settings().place: "local"}
    assert build(HF).locate(machine, root) == {"0" * 64: "/base/there/tiny"}
    assert build(HF).locate(MachineSettings(), root) == {}
    assert build(RULES).locate(machine, root) == {}


def test_labellers_of_different_models_have_different_places() -> None:
    other = build({**OPENAI, "engine": {"type": "openai", "model": "other"}})
    assert build(OPENAI).to_settings().place != other.to_settings().place
