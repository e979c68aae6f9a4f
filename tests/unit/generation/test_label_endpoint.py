"""Labelling by way of an endpoint: each fault ends in a label, in a stated exclusion, or in a run that can go on."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import label_job
import numpy as np
import pytest
from label_job import build_settings
from scripted_server import Answer, ScriptedServer, serve

from mixlab.config.categories import CATEGORIES
from mixlab.config.problems import DataError
from mixlab.data.labels.labelling import UNPARSABLE
from mixlab.data.labels.questions import REFUSED
from mixlab.generation.openai import EndpointError

MATH = CATEGORIES.index("math")


def label(server: ScriptedServer, tmp_path: Path, dialogues: int, name: str = "out", **changes: Any) -> list[int]:
    endpoint = {key: changes.pop(key) for key in ("max_retries", "timeout_seconds", "concurrency") if key in changes}
    out = tmp_path / name
    label_job.label(server.url, tmp_path / "labels.sqlite", out, dialogues, build_settings(**changes), **endpoint)
    return list(np.load(out / "labels.npy"))


def test_every_passing_fault_ends_in_a_label(tmp_path: Path) -> None:
    faults = {
        "1": Answer(status=429, headers={"Retry-After": "0"}),
        "2": Answer(status=500),
        "3": Answer(body=b'{"choices": [{"mess'),
        "4": Answer(body=b'{"choices": []}'),
        "5": Answer(delay_seconds=1.0),
        "6": Answer(drop=True),
        "7": Answer("I think it is about numbers."),
        "8": Answer("I think it is about", "length"),
        "9": Answer(None),
        "10": Answer("", "content_filter"),
    }
    with serve(lambda question, count: faults.get(question, Answer()) if count == 1 else Answer()) as server:
        assert label(server, tmp_path, 12, timeout_seconds=0.5) == [MATH] * 12
        assert server.asked == {str(number): 2 if str(number) in faults else 1 for number in range(12)}
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    # what the model said counts as an attempt, what it did not get does not
    assert index["attempts"] == {"1": 8, "2": 4}


def test_later_attempts_have_another_seed_and_the_retry_temperature(tmp_path: Path) -> None:
    with serve(lambda question, count: Answer("hm") if question == "0" else Answer()) as server:
        assert label(server, tmp_path, 2, attempts=3, concurrency=1) == [UNPARSABLE, MATH]
        sent = [
            (request["seed"], request["temperature"])
            for request in server.requests
            if "0" in str(request["messages"][-1])
        ]
    assert sent == [(0, 0.0), (1, 0.7), (2, 0.7)]


def test_a_dialogue_that_is_refused_is_kept_apart_and_the_others_get_labels(tmp_path: Path) -> None:
    with serve(lambda question, count: Answer("too long", status=400) if question == "3" else Answer()) as server:
        labels = label(server, tmp_path, 6)
    assert labels == [MATH] * 3 + [UNPARSABLE] + [MATH] * 2
    (line,) = (tmp_path / "out" / "unparsable.jsonl").read_text().splitlines()
    assert (json.loads(line)["record"], json.loads(line)["finish_reasons"]) == (3, [REFUSED])


def test_one_question_that_never_comes_through_is_told_when_all_others_are_answered(tmp_path: Path) -> None:
    with serve(lambda question, count: Answer(status=500) if question == "3" else Answer()) as server:
        with pytest.raises(DataError, match=r"no answer about 1 dialogues \(records 3\)"):
            label(server, tmp_path, 30, "first", max_retries=1)
        server.script = lambda question, count: Answer()
        server.asked.clear()
        assert label(server, tmp_path, 30, "second") == [MATH] * 30
        assert server.asked == {"3": 1}


@pytest.mark.parametrize(("status", "told"), [(404, "no such model"), (401, "wants a key"), (402, "no such model")])
def test_an_endpoint_that_cannot_be_used_stops_the_job_and_keeps_what_was_answered(
    tmp_path: Path, status: int, told: str
) -> None:
    def script(question: str, count: int) -> Answer:
        return Answer() if int(question) < 5 else Answer("no such model", status=status)

    with serve(script) as server:
        with pytest.raises(EndpointError, match=told):
            label(server, tmp_path, 500, "first")
        answered = {question for question in server.asked if int(question) < 5}
        assert sum(server.asked.values()) < 20
        server.script = lambda question, count: Answer()
        server.asked.clear()
        label(server, tmp_path, 500, "second")
        assert not answered & set(server.asked)


def test_a_killed_job_asks_only_what_is_missing_when_it_runs_again(tmp_path: Path) -> None:
    """SIGKILL half-way: no answer that was committed is asked for again, and the bytes are those of a run in one go."""
    dialogues, half = 120, threading.Event()

    def script(question: str, count: int) -> Answer:
        if len(server.asked) >= dialogues // 2:
            half.set()
        return Answer(f"Category: {CATEGORIES[int(question) % 4]}", delay_seconds=0.01)

    with serve(script) as server:
        command = [sys.executable, label_job.__file__, server.url, str(tmp_path / "labels.sqlite")]
        job = subprocess.Popen([*command, str(tmp_path / "killed"), str(dialogues)])
        assert half.wait(60)
        job.send_signal(signal.SIGKILL)
        job.wait()
        asked_before = set(server.asked)
        subprocess.run([*command, str(tmp_path / "again"), str(dialogues)], check=True)
        twice = [question for question, count in server.asked.items() if count > 1]
        assert len(server.asked) == dialogues
        # at most what was under way at the kill was lost
        assert set(twice) <= asked_before
        assert len(twice) <= 8
        total = sum(server.asked.values())
        subprocess.run([*command, str(tmp_path / "rerun"), str(dialogues)], check=True)
        assert sum(server.asked.values()) == total
    for path in sorted((tmp_path / "again").iterdir()):
        assert path.read_bytes() == (tmp_path / "rerun" / path.name).read_bytes()
    assert list(np.load(tmp_path / "again" / "labels.npy")) == [number % 4 for number in range(dialogues)]


def test_two_jobs_at_once_share_a_store(tmp_path: Path) -> None:
    with serve(lambda question, count: Answer(delay_seconds=0.005)) as server:
        command = [sys.executable, label_job.__file__, server.url, str(tmp_path / "labels.sqlite")]
        jobs = [subprocess.Popen([*command, str(tmp_path / name), "60"]) for name in ("one", "other")]
        assert [job.wait(60) for job in jobs] == [0, 0]
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()
