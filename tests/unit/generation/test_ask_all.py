"""Replies are read while whoever asked works on others, and the work ends with whoever asked, however that ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from scripted_server import Answer, ScriptedServer, serve

from mixlab.config.endpoints import ChatModelSettings, EndpointSettings
from mixlab.generation.asking import ask_all
from mixlab.generation.async_chat import AsyncChat
from mixlab.generation.openai import ChatClient, EndpointError

MODEL = ChatModelSettings(model="tiny")
ENDING = """
import os, signal, sys
from mixlab.config.endpoints import ChatModelSettings, EndpointSettings
from mixlab.generation.asking import ask_all
from mixlab.generation.openai import ChatClient

ending, url = sys.argv[1:]
# who runs in the background of a shell is started deaf to it
signal.signal(signal.SIGINT, signal.default_int_handler)
client = ChatClient("local", EndpointSettings(url=url, concurrency=2, timeout_seconds=600), None)
settings = ChatModelSettings(model="tiny")
kept = ask_all(client, (([{"role": "user", "content": f"dialogue {at}"}], settings) for at in range(9)))
next(kept)
print("under way", flush=True)
if ending == "raises":
    raise ValueError("of the consumer")
if ending == "exits":
    sys.exit(3)
if ending == "is told to end":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(4))
print("waits", flush=True)
next(kept)
"""


def build_client(server: ScriptedServer, **changes: Any) -> ChatClient:
    settings = {"url": server.url, "timeout_seconds": 5, "max_retries": 3, "concurrency": 4, **changes}
    return ChatClient("local", EndpointSettings(**settings), None, backoff_seconds=0.02)


def ask(client: ChatClient, count: int) -> Any:
    return ask_all(client, (([{"role": "user", "content": f"dialogue {at}"}], MODEL) for at in range(count)))


def count_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("endpoint-requests")


def test_replies_that_come_while_others_are_worked_on_for_longer_than_the_time_limit_are_not_lost() -> None:
    def script(question: str, count: int) -> Answer:
        return Answer(delay_seconds=0.0 if question == "0" else 0.2)

    with serve(script) as server:
        reasons = []
        for arrived in ask(build_client(server, timeout_seconds=0.6), 8):
            reasons += [reply.finish_reason for _, reply in arrived]
            time.sleep(0.9)
        assert reasons == ["stop"] * 8
        assert server.asked.total() == 8


def test_no_more_is_asked_than_may_be_under_way_while_nothing_is_taken() -> None:
    with serve(lambda question, count: Answer()) as server:
        coming = ask(build_client(server), 100)
        next(coming)
        time.sleep(0.3)
        assert 1 <= server.asked.total() <= 4
        coming.close()


def test_no_thread_is_left_behind() -> None:
    with serve(lambda question, count: Answer(delay_seconds=0.05)) as server:
        client = build_client(server)
        assert len(list(ask(client, 6))) >= 1
        assert count_threads() == 0
        for _ in ask(client, 6):
            assert count_threads() == 1
            break
        assert count_threads() == 0
        try:
            for _ in ask(client, 6):
                raise ValueError
        except ValueError:
            pass
        assert count_threads() == 0


@pytest.mark.parametrize(
    ("ending", "number", "code"),
    [
        ("raises", None, 1),
        ("exits", None, 3),
        ("is interrupted", signal.SIGINT, -signal.SIGINT),
        ("is told to end", signal.SIGTERM, 4),
        ("is terminated", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_a_process_ends_at_once_with_requests_under_way(ending: str, number: signal.Signals | None, code: int) -> None:
    done = threading.Event()

    def script(question: str, count: int) -> Answer:
        if question != "0":
            done.wait(60)
        return Answer()

    with serve(script) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", ENDING, ending, server.url],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "under way\n"
            if number is not None:
                assert process.stdout.readline() == "waits\n"
                process.send_signal(number)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
            done.set()
    assert process.returncode == code
    assert ("of the consumer" in said, "KeyboardInterrupt" in said) == (ending == "raises", number == signal.SIGINT)
    assert not any(word in said for word in ("Unclosed", "was destroyed", "never awaited", "Fatal"))


def test_what_goes_wrong_in_the_thread_reaches_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: AsyncChat) -> AsyncChat:
        raise OSError("no more sockets")

    monkeypatch.setattr(AsyncChat, "__aenter__", fail)
    with serve(lambda question, count: Answer()) as server, pytest.raises(OSError, match="no more sockets"):
        list(ask(build_client(server), 3))
    assert count_threads() == 0


def test_other_replies_are_handed_over_before_an_unexpected_fault_goes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    read = ChatClient.read_answer

    def fail_once(self: ChatClient, status: int, headers: Any, reply: bytes, **further: Any) -> Any:
        if b"bad" in reply:
            raise ZeroDivisionError
        return read(self, status, headers, reply, **further)

    monkeypatch.setattr(ChatClient, "read_answer", fail_once)

    def script(question: str, count: int) -> Answer:
        return Answer("bad") if question == "0" else Answer(delay_seconds=0.2)

    arrived: list[int] = []
    with serve(script) as server, pytest.raises(ZeroDivisionError):
        for some in ask(build_client(server), 100):
            arrived += [position for position, _ in some]
    assert sorted(arrived) == [1, 2, 3]


def test_an_endpoint_that_cannot_be_used_is_told_while_others_are_worked_on() -> None:
    def script(question: str, count: int) -> Answer:
        return Answer(status=401) if question == "3" else Answer(delay_seconds=0.5)

    arrived: list[int] = []
    with serve(script) as server:
        with pytest.raises(EndpointError, match="wants a key"):
            for some in ask(build_client(server), 100):
                arrived += [position for position, _ in some]
                time.sleep(0.1)
        assert server.asked.total() == 4
    assert sorted(arrived) == [0, 1, 2]
