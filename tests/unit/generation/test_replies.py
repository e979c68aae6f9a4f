"""What a server sends is read or told, whatever it is: no body breaks the reading."""

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Answer, serve
from test_openai_client import MODEL, ask, open_client

from mixlab.config.endpoints import EndpointSettings
from mixlab.data.labels.questions import Reply
from mixlab.data.labels.store import LabelStore
from mixlab.generation.asking import ask_all
from mixlab.generation.openai import ChatClient, EndpointError, Fault, RefusedError
from mixlab.generation.replies import ChatReply, read_error, read_models, read_reply

DEEP = b"[" * 200_000


def render(content: Any = "math", reason: Any = "stop", **usage: Any) -> bytes:
    choice = {"message": {"content": content}, "finish_reason": reason}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def test_a_body_that_is_nested_too_deeply_is_no_json() -> None:
    with pytest.raises(ValueError, match=r"the reply is no JSON \(200000 bytes\)"):
        read_reply(DEEP)
    assert read_models(DEEP) == []
    assert read_error(DEEP) == "[" * 4000


@pytest.mark.parametrize(("status", "fault"), [(400, RefusedError), (404, EndpointError)])
def test_a_fault_that_is_told_in_a_deep_body_is_told(status: int, fault: type[Exception]) -> None:
    deep = Answer(body=DEEP, status=status)
    with serve(lambda question, count: deep) as server, pytest.raises(fault, match=rf"HTTP {status}: \["):
        ask(open_client(server))


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 524])
def test_only_what_was_turned_away_before_any_work_is_free(status: int) -> None:
    client = ChatClient("local", EndpointSettings(url="http://127.0.0.1:1/v1"), None)
    fault = client.read_answer(status, {}, b"")
    assert isinstance(fault, Fault) and fault.is_free == (status in (425, 429, 503))


@pytest.mark.parametrize("count", [-1, 1.5, "7", True, None, [1]])
def test_what_is_no_count_of_tokens_is_missing(count: Any) -> None:
    found = read_reply(render(prompt_tokens=count, completion_tokens=3))
    assert (found.prompt_tokens, found.response_tokens) == (0, 3)


@pytest.mark.parametrize("usage", [(1_000_000, 3), (10, 200_000), (10**30, 3), (10, 10**30)])
def test_counts_of_tokens_that_cannot_be_are_taken_as_missing_and_told_once(
    usage: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    absurd = Answer(body=render(prompt_tokens=usage[0], completion_tokens=usage[1]))
    with serve(lambda question, count: absurd if question == "0" else Answer()) as server:
        asked = [([{"role": "user", "content": f"dialogue {number}"}], MODEL) for number in range(3)]
        found = dict(one for some in ask_all(open_client(server), asked) for one in some)
    assert [(found[at].prompt_tokens, found[at].response_tokens) for at in range(3)] == [(0, 0), (10, 3), (10, 3)]
    assert caplog.text.count("1 of 3 replies state more tokens than can have been sent and asked for") == 1


def test_a_prompt_of_the_servers_own_and_thoughts_beyond_the_limit_are_believed() -> None:
    with serve(lambda question, count: Answer(body=render(prompt_tokens=50_000, completion_tokens=70_000))) as server:
        found = ask(open_client(server))
    assert (found.prompt_tokens, found.response_tokens) == (50_000, 70_000)


def test_the_largest_count_that_is_read_can_be_stored(tmp_path: Path) -> None:
    found = read_reply(render(prompt_tokens=10**30, completion_tokens=3))
    with LabelStore(tmp_path / "labels.sqlite") as store:
        store.add([(b"q", 1, Reply(found.text, found.finish_reason, found.prompt_tokens, found.response_tokens))])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "Category: "}, {"type": "text", "text": "math"}], "Category: math"),
        ([{"type": "thinking", "text": "code?"}, {"type": "text", "text": "math"}, {"type": "image_url"}], "math"),
        ([{"text": "math"}, "code", None], "math"),
        ([{"type": "text", "text": None}], ""),
        ({"type": "text", "text": "math"}, ""),
        (None, ""),
    ],
)
def test_a_message_in_parts_is_its_parts_of_text(content: Any, text: str) -> None:
    assert read_reply(render(content)).text == text


@pytest.mark.parametrize("reason", [None, "", 7, {"type": "stop"}])
def test_an_end_without_a_name_is_unknown(reason: Any) -> None:
    assert read_reply(render(reason=reason)) == ChatReply("math", "unknown")


def test_half_a_character_in_the_name_of_an_end_can_be_stored(tmp_path: Path) -> None:
    found = read_reply(render(reason="st\ud83dop"))
    with LabelStore(tmp_path / "labels.sqlite") as store:
        store.add([(b"q", 1, Reply(found.text, found.finish_reason))])
        assert store.read([b"q"])[b"q"][0].finish_reason == "st?op"
