"""A server that repeats the key, in whatever spelling and wherever it may, does not bring it into what is shown."""

import json
from typing import Any

import pytest
from scripted_server import Answer, serve
from test_openai_client import SECRET, ask, open_client

from mixlab.config.endpoints import EndpointSettings
from mixlab.generation.openai import ChatClient, EndpointError, RefusedError
from mixlab.generation.replies import ChatReply

KEYS = [SECRET, "sk-PLANTED'x\\y", 'sk-"PLANTED"/\'\\\\z', "\\", "<sk&PLANTED>"]


def double(text: str) -> str:
    return json.dumps(json.dumps(text))


def spell_all(text: str) -> str:
    return "".join(f"\\u00{ord(one):02X}" for one in text)


SPELLINGS = [str, repr, json.dumps, double, lambda text: repr({"key": text, "it's": double(text)}), spell_all]


def test_a_list_of_models_is_shown_without_the_key() -> None:
    no_model = Answer("no such model", status=404)
    told = pytest.raises(EndpointError, match=r"it has: tiny, tiny-\(hidden\)$")
    with serve(lambda question, count: no_model, models=(f"tiny-{SECRET}", "tiny")) as server, told as caught:
        ask(open_client(server, SECRET, api_key_env="LABELS_KEY"))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("said", [{"error": {"a": "bad {key}"}}, {"error": {"message": ["bad {key}"]}}, ["bad {key}"]])
def test_a_key_with_quotes_or_backslashes_is_hidden_in_an_error_that_is_no_text(key: str, said: Any) -> None:
    reply = json.dumps(said).replace("{key}", json.dumps(key)[1:-1]).encode()
    client = ChatClient("local", EndpointSettings(url="http://127.0.0.1:1/v1"), key)
    with pytest.raises(RefusedError) as caught:
        client.read_answer(400, {}, reply)
    assert "bad (hidden)" in caught.value.said and "PLANTED" not in caught.value.said


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_hidden_however_it_is_spelled(key: str, spell: Any) -> None:
    client = ChatClient("local", EndpointSettings(url="http://127.0.0.1:1/v1"), key)
    told = client.hide_key(f"before {spell(f'key is {key} of yours')} after")
    assert "(hidden)" in told and "PLANTED" not in told and SECRET not in told
    assert told.startswith("before ") and told.endswith(" after")


def test_what_holds_no_key_stays_as_it_is() -> None:
    text = "\\frac{1}{2} \\' \\u0041 \\\\ sk-PLANTED y"
    for key in (*KEYS[:3], None):
        assert ChatClient("local", EndpointSettings(url="http://127.0.0.1:1/v1"), key).hide_key(text) == text


def test_a_long_run_of_backslashes_is_looked_through_at_once() -> None:
    client = ChatClient("local", EndpointSettings(url="http://127.0.0.1:1/v1"), "\\\\'sk")
    text = "\\" * 50_000
    reply = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    assert client.read_answer(200, {}, reply) == ChatReply(text, "unknown")
