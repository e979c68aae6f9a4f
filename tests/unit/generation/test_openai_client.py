"""Each fault of an endpoint is met as `generation/openai.py` says."""

import asyncio
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import ValidationError
from scripted_server import Answer, Script, ScriptedServer, serve

from mixlab.config.endpoints import ChatModelSettings, EndpointSettings
from mixlab.config.problems import ConfigError
from mixlab.data.labels.questions import REFUSED, UNANSWERED
from mixlab.generation.asking import UNANSWERED_IN_A_ROW, ask_all
from mixlab.generation.async_chat import AsyncChat, list_models
from mixlab.generation.openai import ChatClient, EndpointError, Fault, RefusedError, UnansweredError
from mixlab.generation.pacing import Stopped
from mixlab.generation.replies import ChatReply

SECRET = "not-a-real-key-0123456789"
MODEL = ChatModelSettings(model="tiny")


def open_client(server: ScriptedServer, key: str | None = None, **changes: Any) -> ChatClient:
    settings = {"url": server.url, "timeout_seconds": 5, "max_retries": 3, "concurrency": 4, **changes}
    return ChatClient("local", EndpointSettings(**settings), key, backoff_seconds=0.02)


def ask(client: ChatClient, number: int = 0, settings: ChatModelSettings = MODEL) -> ChatReply:
    async def chat() -> ChatReply:
        async with AsyncChat(client) as opened:
            return await opened.chat([{"role": "user", "content": f"dialogue {number}"}], settings, asyncio.Event())

    return asyncio.run(chat())


def once(answer: Answer, then: Answer | None = None) -> Script:
    """A script whose first request about a question meets `answer`, and later ones an ordinary reply."""
    return lambda question, count: answer if count == 1 else then or Answer()


def test_a_reply_has_its_text_its_end_and_its_tokens() -> None:
    with serve(lambda question, count: Answer("Category: code", "length")) as server:
        assert ask(open_client(server)) == ChatReply("Category: code", "length", 10, 3)


def test_a_request_holds_what_the_settings_say_and_leaves_out_what_they_leave_null() -> None:
    settings = ChatModelSettings(
        model="tiny", temperature=None, seed=7, max_tokens_name="max_completion_tokens", extra={"effort": {"level": 1}}
    )
    with serve(lambda question, count: Answer()) as server:
        ask(open_client(server), 3, settings)
        (request,) = server.requests
    message = {"role": "user", "content": "dialogue 3"}
    wanted = {"model": "tiny", "messages": [message], "max_completion_tokens": 64, "seed": 7, "stream": False}
    assert request == {**wanted, "effort": {"level": 1}}


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500),
        Answer(status=503),
        Answer(status=429),
        Answer(status=408),
        Answer(drop=True),
        Answer(body=b'{"choices": [{"mess'),
        Answer(body=b"<html>busy</html>"),
        Answer(body=b'{"choices": []}'),
        Answer(body=b"[]"),
        Answer(body=b"[" * 200_000),
        Answer(body=b'{"choices": [{"text": "x"}]}'),
        Answer(delay_seconds=0.6),
    ],
    ids=lambda answer: f"{answer.status} {(answer.body or b'')[:18]!r}" + (" slow" if answer.delay_seconds else ""),
)
def test_a_passing_fault_is_met_by_asking_again(fault: Answer) -> None:
    with serve(once(fault)) as server:
        reply = ask(open_client(server, timeout_seconds=0.3))
        assert (reply.text, server.asked["0"]) == ("Category: math", 2)


def test_a_fault_that_stays_is_told_with_the_number_of_tries() -> None:
    with serve(lambda question, count: Answer("out of memory", status=500)) as server:
        with pytest.raises(UnansweredError, match=r"'local' .* no answer after 4 tries: HTTP 500: out of memory"):
            ask(open_client(server))
        assert server.asked["0"] == 4


def test_retry_after_is_honoured_by_all_requests() -> None:
    with serve(once(Answer(status=429, headers={"Retry-After": "1"}))) as server:
        client, started = open_client(server), time.monotonic()
        ask(client, 0)
        assert time.monotonic() - started >= 1
        assert server.asked["0"] == 2


def test_a_pause_of_hours_is_not_waited_for() -> None:
    pause = Answer(status=429, headers={"Retry-After": "90000"})
    with serve(once(pause)) as server, pytest.raises(EndpointError, match="more than an hour"):
        ask(open_client(server))


@pytest.mark.parametrize("pause", ["soon", "-1", "1e400", ""])
def test_a_pause_that_cannot_be_read_asks_for_nothing(pause: str) -> None:
    with serve(once(Answer(status=503, headers={"Retry-After": pause}))) as server:
        assert ask(open_client(server)).text == "Category: math"


def test_an_unknown_model_is_told_with_the_models_there_are() -> None:
    with serve(lambda question, count: Answer("no such model", status=404), models=("tiny-1", "big")) as server:
        with pytest.raises(EndpointError, match=r"no such model.*did you mean 'tiny-1'.*big, tiny-1") as caught:
            ask(open_client(server), settings=ChatModelSettings(model="tiny1"))
        assert server.asked["0"] == 1
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_accepted_is_named_by_its_variable_and_never_shown(status: int) -> None:
    said = Answer(f"incorrect key {SECRET}", status=status)
    with serve(lambda question, count: said) as server:
        with pytest.raises(EndpointError, match="does not accept the key in \\$LABELS_KEY") as caught:
            ask(open_client(server, SECRET, api_key_env="LABELS_KEY"))
        assert server.keys == {f"Bearer {SECRET}"}
        assert server.asked["0"] == 1
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [400, 418, 500])
def test_a_server_that_echoes_the_key_does_not_bring_it_into_a_message(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    echo = Answer(f"headers: {SECRET}", status=status)
    faults = (EndpointError, RefusedError, UnansweredError)
    with serve(lambda question, count: echo) as server, pytest.raises(faults, match=r"headers: \(hidden\)"):
        ask(open_client(server, SECRET, api_key_env="LABELS_KEY"))
    assert SECRET not in caplog.text


@pytest.mark.parametrize("key", ["", " ", "two\nlines", "ключ"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="\\$LABELS_KEY holds no usable key") as caught:
        ChatClient("local", EndpointSettings(url="http://127.0.0.1:1/v1", api_key_env="LABELS_KEY"), key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("field", [{"api_key_env": f"{SECRET}"}, {"url": f"http://user:{SECRET}@host/v1"}])
def test_a_secret_written_into_the_settings_is_refused_in_words_that_do_not_hold_it(field: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        EndpointSettings(**{"url": "http://host/v1", **field})
    assert all(SECRET not in error["msg"] for error in caught.value.errors())


def test_an_endpoint_that_is_not_there_is_told_at_once() -> None:
    with serve(lambda question, count: Answer()) as server:
        url = server.url
    client = ChatClient("local", EndpointSettings(url=url), None)
    with pytest.raises(EndpointError, match="cannot be reached"):
        list_models(client)


def send(client: ChatClient, body: bytes = b"{}") -> ChatReply | Fault:
    async def send_one() -> ChatReply | Fault:
        async with AsyncChat(client) as chat:
            return await chat.send(body, "tiny", 64)

    return asyncio.run(send_one())


def test_a_host_that_cannot_be_looked_up_is_no_connection_and_free() -> None:
    settings = EndpointSettings(url="http://host/v1").model_copy(update={"url": "http://a..b/v1"})
    assert send(ChatClient("local", settings, None)) == Fault("no connection", is_free=True)


@pytest.mark.parametrize(("limit", "to_connect"), [(1.0, 10.0), (5.0, 0.3)])
def test_a_connection_that_is_not_made_in_time_is_free(
    limit: float, to_connect: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixlab.generation.async_chat.CONNECT_SECONDS", to_connect)
    with ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        # nobody takes connections in, and there is no room for more
        for _ in range(8):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        client = ChatClient("local", EndpointSettings(url=url, timeout_seconds=limit), None)
        assert send(client) == Fault("no connection", is_free=True)


def test_a_reply_that_does_not_come_in_time_may_be_billed() -> None:
    with serve(lambda question, count: Answer(delay_seconds=0.6)) as server:
        body = b'{"messages": [{"content": "dialogue 1"}]}'
        assert send(open_client(server, timeout_seconds=0.3), body) == Fault("no reply in time")


def test_a_redirect_is_not_followed_with_the_key() -> None:
    moved = Answer(status=302, headers={"Location": "http://127.0.0.1:9/"})
    with serve(lambda question, count: moved) as server, pytest.raises(EndpointError, match="HTTP 302"):
        ask(open_client(server, SECRET, api_key_env="LABELS_KEY"))


def test_a_reply_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixlab.generation.async_chat.LARGEST_REPLY_BYTES", 100_000)
    with serve(once(Answer(body=b"x" * 10_000_000))) as server:
        assert ask(open_client(server)).text == "Category: math"


def collect(client: ChatClient, count: int) -> dict[int, ChatReply]:
    requests = (([{"role": "user", "content": f"dialogue {number}"}], MODEL) for number in range(count))
    return {position: reply for arrived in ask_all(client, requests) for position, reply in arrived}  # type: ignore[arg-type]


def test_many_requests_are_under_way_and_never_more_than_asked_for() -> None:
    with serve(lambda question, count: Answer(f"it is {question}", delay_seconds=0.02)) as server:
        replies = collect(open_client(server), 40)
        assert {position: reply.text for position, reply in replies.items()} == {n: f"it is {n}" for n in range(40)}
        assert 2 <= server.most_under_way <= 4


def test_requests_are_taken_from_their_source_only_as_there_is_room() -> None:
    taken = 0

    def requests() -> Any:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield [{"role": "user", "content": f"dialogue {number}"}], MODEL

    with serve(lambda question, count: Answer(delay_seconds=0.005)) as server:
        coming = ask_all(open_client(server), requests())
        next(coming)
        coming.close()  # type: ignore[attr-defined]
    assert taken <= 8


def test_a_refused_and_an_unanswered_request_leave_the_others_alone() -> None:
    faults = {"3": Answer("too long", status=400), "5": Answer("broken", status=500)}
    with serve(lambda question, count: faults.get(question, Answer())) as server:
        replies = collect(open_client(server), 10)
        assert server.asked["3"] == 1
    assert (replies[3].finish_reason, replies[5].finish_reason) == (REFUSED, UNANSWERED)
    assert "too long" in replies[3].text
    assert [reply.finish_reason for reply in replies.values()].count("stop") == 8


def test_an_endpoint_that_goes_away_stops_the_work_soon_and_what_came_is_handed_over() -> None:
    def script(question: str, count: int) -> Answer:
        return Answer() if int(question) < 10 else Answer(status=503)

    with serve(script) as server:
        arrived: dict[int, ChatReply] = {}
        client = open_client(server, max_retries=0)
        requests = (([{"role": "user", "content": f"dialogue {number}"}], MODEL) for number in range(1000))
        with pytest.raises(EndpointError, match=f"{UNANSWERED_IN_A_ROW} requests in a row went unanswered"):
            for some in ask_all(client, requests):  # type: ignore[arg-type]
                arrived.update(some)
        assert sum(server.asked.values()) < 60
    assert {position for position, reply in arrived.items() if reply.finish_reason == "stop"} == set(range(10))


def test_requests_keep_the_distance_that_a_rate_asks_for() -> None:
    with serve(lambda question, count: Answer()) as server:
        client, started = open_client(server, requests_per_minute=1200), time.monotonic()
        assert len(collect(client, 5)) == 5
    assert time.monotonic() - started >= 4 * 0.05


def test_waiting_ends_when_the_work_is_stopped() -> None:
    async def wait(client: ChatClient) -> None:
        client.pacer.hold(3600)
        stop = asyncio.Event()
        async with AsyncChat(client) as chat:
            task = asyncio.create_task(chat.chat("dialogue 1", MODEL, stop))
            await asyncio.sleep(0.02)
            stop.set()
            await asyncio.wait_for(task, 5)

    with serve(lambda question, count: Answer()) as server:
        with pytest.raises(Stopped):
            asyncio.run(wait(open_client(server)))
        assert not server.asked


def test_no_try_is_sent_once_the_work_is_stopped() -> None:
    async def ask_stopped(client: ChatClient) -> None:
        stop = asyncio.Event()
        stop.set()
        async with AsyncChat(client) as chat:
            await chat.chat("dialogue 1", MODEL, stop)

    with serve(lambda question, count: Answer()) as server:
        with pytest.raises(Stopped):
            asyncio.run(ask_stopped(open_client(server)))
        assert not server.asked
