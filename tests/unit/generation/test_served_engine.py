"""A served model: what is sent, what is made of replies, and that no fault loses or invents an answer."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import served_job
from scripted_server import Answer, serve
from served_job import CHAT, build_engine, generate, with_sampling

from mixlab.config.chat import default_chat
from mixlab.config.generation import Example, PromptSettings
from mixlab.config.problems import DataError
from mixlab.generation.openai import EndpointError
from mixlab.generation.responses import read_responses

SECRET = "not-a-real-key-0123456789"
PLAIN = PromptSettings(template="dialogue {number}", chat=False)


def read_index(out: Path) -> Any:
    return json.loads((out / "index.json").read_text())


def test_a_chat_endpoint_is_sent_messages_and_the_stated_sampling(tmp_path: Path) -> None:
    prompt = with_sampling(
        CHAT.model_copy(update={"system": "Be brief.", "examples": (Example(user="u", assistant="a"),)}),
        temperature=0.7,
        max_new_tokens=9,
        stop=("\n",),
    )
    with serve(lambda question, count: Answer(f"reply {question}\nmore")) as server:
        generate(build_engine(server.url, extra={"effort": "low"}), tmp_path / "out", 2, prompt=prompt)
        requests = sorted(server.requests, key=lambda one: one["messages"][-1]["content"])
    seeds = [request.pop("seed") for request in requests]
    assert len(set(seeds)) == 2 and all(0 <= seed < 2**31 for seed in seeds)
    turns = [("system", "Be brief."), ("user", "u"), ("assistant", "a"), ("user", "dialogue 1")]
    said = {"messages": [{"role": role, "content": text} for role, text in turns], "stop": ["\n"], "effort": "low"}
    sampling = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 9}
    assert requests[1] == {"model": "tiny", "stream": False, **said, **sampling}
    second = read_responses(tmp_path / "out")[1]
    assert (second.responses, second.finish_reasons, second.turn_prompts) == (["reply 1"], ["stop"], ["dialogue 1"])
    assert (second.prompt_tokens, second.response_tokens) == ([10], [3])


def test_what_an_endpoint_does_not_take_is_not_sent(tmp_path: Path) -> None:
    prompt = with_sampling(temperature=0.5, stop=("x",))
    with serve(lambda question, count: Answer()) as server:
        engine = build_engine(server.url, sends=["temperature"], max_tokens_name="max_completion_tokens")
        generate(engine, tmp_path / "out", 1, prompt=prompt)
        (request,) = server.requests
    assert request.keys() == {"model", "messages", "stream", "temperature", "max_completion_tokens"}


def test_a_base_model_continues_our_plain_template(tmp_path: Path) -> None:
    prompt = CHAT.with_chat_template(default_chat("\n\n"))
    stops = ("W", "X", "Y", "Z", " math")
    with serve(lambda question, count: Answer(counts=False)) as server:
        engine = build_engine(server.url, api="completions")
        generate(engine, tmp_path / "out", 1, prompt=with_sampling(prompt, stop=stops))
        (request,) = server.requests
    assert request["prompt"] == "### User:\ndialogue 0\n\n### Assistant:\n"
    assert (request["stop"], request["temperature"], "messages" in request) == (["W", "X", "Y", "Z"], 0, False)
    # four stop strings are all that the reference API takes; the fifth cuts here
    (response,) = read_responses(tmp_path / "out")
    assert (response.responses, response.prompt_tokens, response.response_tokens) == (["Category:"], [None], [None])
    assert read_index(tmp_path / "out")["uncounted"] == 1


def test_plain_text_is_one_user_message_of_a_chat_endpoint(tmp_path: Path) -> None:
    with serve(lambda question, count: Answer()) as server:
        generate(build_engine(server.url), tmp_path / "out", 1, prompt=PLAIN)
        assert server.requests[0]["messages"] == [{"role": "user", "content": "dialogue 0"}]


@pytest.mark.parametrize(
    ("answer", "text", "reason", "told"),
    [
        (Answer("", "stop"), "", "stop", {"blank": 1}),
        (Answer(None, "content_filter"), "", "content_filter", {"blank": 1, "finish_reasons": {"content_filter": 1}}),
        (Answer("so", "length"), "so", "length", {"truncated": 1}),
        (Answer(" \n", "stop"), " \n", "stop", {"blank": 1}),
        (Answer("x" * 100_000, "length"), "x" * 100_000, "length", {"truncated": 1}),
        (Answer("\ud800a", "stop"), "?a", "stop", {}),
    ],
    ids=["empty", "filtered", "cut", "white space", "100,000 characters", "half a character"],
)
def test_every_reply_is_recorded_as_what_it_was(
    tmp_path: Path, answer: Answer, text: str, reason: str, told: dict[str, Any]
) -> None:
    with serve(lambda question, count: answer) as server:
        generate(build_engine(server.url), tmp_path / "out", 1)
    (response,) = read_responses(tmp_path / "out")
    assert (response.responses, response.finish_reasons) == ([text], [reason])
    index = read_index(tmp_path / "out")
    assert {name: index[name] for name in told} == told


FAULTS = [
    Answer(status=500),
    Answer(status=429),
    Answer(drop=True),
    Answer(body=b"<html>busy</html>"),
    Answer(body=b'{"choices": []}'),
    Answer(body=b'{"choices": [{"mess'),
]


def test_passing_faults_of_one_request_in_ten_leave_no_trace(tmp_path: Path) -> None:
    chance = random.Random(3)
    faults = {str(number): chance.choice(FAULTS) for number in range(300) if chance.random() < 0.1}
    assert len(faults) > 20

    def script(question: str, count: int) -> Answer:
        return faults[question] if count == 1 and question in faults else Answer(f"reply {question}")

    with serve(script) as server:
        generate(build_engine(server.url, endpoint={"concurrency": 16}), tmp_path / "out", 300)
        assert server.asked.total() == 300 + len(faults)
        assert 1 < server.most_under_way <= 16
    assert [one.responses for one in read_responses(tmp_path / "out")] == [[f"reply {at}"] for at in range(300)]


def test_what_stays_unanswered_fails_the_job_and_is_all_that_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    broken = {"3", "17"}
    with serve(lambda question, count: Answer(status=503) if question in broken else Answer()) as server:
        with pytest.raises(DataError, match=r"tiny: 2 of 30 prompts got no answer; the last: .*run again: all other"):
            generate(build_engine(server.url), tmp_path / "out", 30, tmp_path / "work")
        before = server.asked.total()
        broken.clear()
        generate(build_engine(server.url), tmp_path / "again", 30, tmp_path / "work")
        assert server.asked.total() == before + 2
    assert len(read_responses(tmp_path / "again")) == 30


def test_a_reply_that_was_broken_off_is_asked_for_again(tmp_path: Path) -> None:
    broken = {"3": "error", "17": "abort", "20": "insufficient_system_resource", "21": "Cancelled"}

    def script(question: str, count: int) -> Answer:
        return Answer("half of", broken[question]) if count == 1 and question in broken else Answer(f"reply {question}")

    with serve(script) as server:
        generate(build_engine(server.url), tmp_path / "out", 30)
        assert server.asked.total() == 30 + len(broken)
    assert [one.responses for one in read_responses(tmp_path / "out")] == [[f"reply {at}"] for at in range(30)]


def test_what_is_broken_off_every_time_fails_the_job_and_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    broken = {"3", "17"}
    with serve(lambda question, count: Answer("half", "abort") if question in broken else Answer()) as server:
        with pytest.raises(DataError, match=r"tiny: 2 of 30 prompts got no answer.*broke its reply off.*reason abort"):
            generate(build_engine(server.url), tmp_path / "out", 30, tmp_path / "work")
        assert server.asked.total() == 30 + 2
        broken.clear()
        generate(build_engine(server.url), tmp_path / "again", 30, tmp_path / "work")
        assert server.asked.total() == 30 + 2 + 2
    assert {one.finish_reasons[0] for one in read_responses(tmp_path / "again")} == {"stop"}


def test_a_key_that_expires_half_way_costs_no_answer_and_is_nowhere_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    served: list[str] = []

    def script(question: str, count: int) -> Answer:
        served.append(question)
        return Answer(f"{SECRET} is no good", status=401) if len(served) > 12 else Answer()

    with serve(script) as server:
        with pytest.raises(EndpointError) as caught:
            generate(build_engine(server.url, SECRET), tmp_path / "out", 40, tmp_path / "work")
        served.clear()
        served_before = server.asked.total()
    assert SECRET not in str(caught.value)
    with serve(lambda question, count: Answer()) as server:
        generate(build_engine(server.url, SECRET), tmp_path / "again", 40, tmp_path / "work")
        assert server.asked.total() == 40 - 12
        assert server.keys == {f"Bearer {SECRET}"}
    assert served_before <= 12 + 4
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 3
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_an_endpoint_that_goes_away_is_told_and_what_was_answered_stays(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    gone = serve(lambda question, count: Answer() if int(question) < 10 else Answer(drop=True))
    with gone as server, pytest.raises(EndpointError, match="20 requests in a row went unanswered"):
        generate(build_engine(server.url, endpoint={"max_retries": 0}), tmp_path / "out", 60, tmp_path / "work")
    with serve(lambda question, count: Answer()) as server:
        generate(build_engine(server.url), tmp_path / "again", 60, tmp_path / "work")
        assert server.asked.total() == 50


def test_a_process_that_is_killed_again_and_again_repeats_no_more_than_was_under_way(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    items, kills = 90, 0
    with serve(lambda question, count: Answer(f"reply {question}", delay_seconds=0.05)) as server:
        command = [sys.executable, served_job.__file__, server.url, str(tmp_path / "work"), "", str(items)]
        for attempt in range(40):
            command[4] = str(tmp_path / f"out{attempt}")
            begun, asked = time.monotonic(), server.asked.total()
            process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
            # killed in the middle of asking, whenever the machine gets there
            while process.poll() is None and server.asked.total() < asked + 37 and time.monotonic() < begun + 60:
                time.sleep(0.005)
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        assert process.returncode == 0
        assert kills >= 2
        assert server.asked.total() <= items + 4 * kills
    found = read_responses(tmp_path / f"out{attempt}")
    assert [one.responses for one in found] == [[f"reply {at}"] for at in range(items)]
