"""A language model as judge: every fault ends in a rating, in a counted verdict without one, or in a run to go on."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from judge_lab import PRICE, Lab
from scripted_server import Answer

from mixlab.config.judge_budget import JudgeBudget
from mixlab.config.problems import DataError
from mixlab.generation.openai import EndpointError

Start = Callable[..., Lab]


def rating(number: object) -> Answer:
    return Answer(f"Fine. Rating: [[{number}]]")


def by_rule(question: str, count: int) -> Answer:
    return rating(1 + int(question) % 10)


PASSING = {
    "rate limit": Answer(status=429, headers={"Retry-After": "0"}),
    "server error": Answer(status=500),
    "wrong json": Answer(body=b'{"choices": [{"mess'),
    "html": Answer(body=b"<html><body>502 Bad Gateway</body></html>"),
    "empty choices": Answer(body=b'{"choices": []}'),
    "hang": Answer(delay_seconds=1.5),
    "closed": Answer(drop=True),
    "closed mid-body": Answer("Rating: [[1]]", cut_bytes=40),
}
"""The model was not heard: the same is asked again, and it is no attempt."""

UNREADABLE = {
    "out of range": rating(11),
    "zero": rating(0),
    "two ratings": Answer("[[3]] or rather [[4]]"),
    "in words": Answer("Rating: seven"),
    "no brackets": Answer("Rating: 7"),
    "refusal": Answer("I'm sorry, I can't rate this."),
    "nothing": Answer(""),
    "no content": Answer(None),
    "withheld": Answer("Rating: [[9]]", "content_filter"),
    "only a thought": Answer("<think>perhaps [[4]]"),
}
"""The model was heard but gave no rating: an attempt."""


def test_every_fault_that_passes_ends_in_a_rating_and_is_no_attempt(start: Start) -> None:
    faults = dict(enumerate(PASSING.values()))

    def script(question: str, count: int) -> Answer:
        return faults.get(int(question), by_rule(question, count)) if count == 1 else by_rule(question, count)

    lab = start(script, endpoint={"timeout_seconds": 1.0})
    verdicts = lab.judge(len(PASSING) + 2)
    assert [one["score"] for one in verdicts] == [1 + number % 10 for number in range(len(PASSING) + 2)]
    assert {one["attempts"] for one in verdicts} == {1}
    assert all(lab.server.asked[str(number)] >= 2 for number in faults)
    assert lab.spent().calls == lab.server.asked.total()


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_a_reply_without_a_rating_is_asked_again_with_a_reminder(start: Start, answer: Answer) -> None:
    lab = start(lambda question, count: answer if count == 1 else rating(6))
    (verdict,) = lab.judge(1)
    assert (verdict["score"], verdict["attempts"], verdict["parsed"]) == (6, 2, True)
    first, second = lab.server.requests
    assert "No rating could be read" not in json.dumps(first)
    assert "No rating could be read" in second["messages"][-1]["content"]
    assert (first["seed"], second["seed"]) == (1, 1001)
    roles = [message["role"] for message in second["messages"]]
    assert roles == (["system", "user", "assistant", "user"] if answer.text else ["system", "user"])


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_after_the_stated_attempts_it_counts_as_unparsed_and_the_mean_says_of_how_many(
    start: Start, answer: Answer
) -> None:
    lab = start(lambda question, count: answer if question == "1" else rating(4 + int(question)))
    verdicts = lab.judge(3, attempts=2)
    assert [(one["score"], one["parsed"], one["attempts"]) for one in verdicts] == [
        (4, True, 1), (None, False, 2), (6, True, 1)
    ]  # fmt: skip
    index = lab.index()
    assert (index["mean"], index["parsed"], index["unparsed"], index["verdicts"]) == (5, 2, 1, 3)
    assert lab.server.asked == {"0": 1, "1": 2, "2": 1}
    lab.judge(3, attempts=2)
    assert lab.server.asked.total() == 4


def test_more_attempts_ask_for_no_more_than_the_further_ones(start: Start) -> None:
    lab = start(lambda question, count: rating(5) if count == 3 else Answer("hm"))
    assert lab.judge(1, attempts=2)[0]["score"] is None
    assert (lab.judge(1, attempts=3)[0]["score"], lab.server.asked["0"]) == (5, 3)


def test_a_judge_that_never_rates_is_an_error_and_costs_once(start: Start) -> None:
    lab = start(lambda question, count: Answer("Very nice!"))
    for _ in range(2):
        with pytest.raises(DataError, match=r"none of 20 replies holds a rating.*Very nice!"):
            lab.judge(20, attempts=1)
    assert lab.server.asked.total() == 20


def test_equal_answers_share_one_verdict_over_models_and_studies_but_not_over_judge_runs(start: Start) -> None:
    lab = start(by_rule)
    item = [{"id": "7", "turns": ["dialogue 7"]}]
    (first,) = lab.judge(item, {"7": ["the same"]})
    lab.study = "another"
    (second,) = lab.judge(item, {"7": ["the same"]})
    assert (first["verdict_id"], lab.server.asked.total()) == (second["verdict_id"], 1)
    (other_run,) = lab.judge(item, {"7": ["the same"]}, run=2)
    assert (other_run["verdict_id"] != first["verdict_id"], lab.server.asked.total()) == (True, 2)
    assert [request["seed"] for request in lab.server.requests] == [1, 2]


def test_equal_answers_of_one_run_are_asked_once(start: Start) -> None:
    lab = start(lambda question, count: rating(3))
    items = [{"id": str(number), "turns": ["dialogue 1"]} for number in range(6)]
    verdicts = lab.judge(items, {item["id"]: ["the same"] for item in items})
    assert lab.server.asked == {"1": 1}
    assert (len({one["verdict_id"] for one in verdicts}), lab.index()["distinct_verdicts"]) == (1, 1)


def test_what_decides_a_reply_is_in_its_name_and_what_does_not_is_not(start: Start) -> None:
    lab = start(lambda question, count: rating(5))
    base = lab.judge(1)[0]["verdict_id"]
    assert lab.judge(1, attempts=7, reference_categories=None)[0]["verdict_id"] == base
    changes: tuple[dict[str, Any], ...] = (
        {"model": "other"}, {"temperature": 0.5}, {"seed": 9}, {"max_tokens": 51}, {"extra": {"effort": "low"}},
        {"revision": "2026-11-01"}, {"revision": "2026-11-02"},
    )  # fmt: skip
    names = {lab.judge(1, **change)[0]["verdict_id"] for change in changes}
    assert len(names | {base}) == len(changes) + 1
    assert lab.index()["asked"]["revision"] == "2026-11-02"
    assert not any("revision" in request for request in lab.server.requests)


def test_the_name_of_a_verdict_is_pinned(start: Start) -> None:
    """Another name means that every verdict ever paid for is asked again."""
    lab = start(lambda question, count: rating(5))
    plain = {"first": "<question>{question}</question><answer>{answer}</answer>"}
    prompts = {
        "system": "s",
        "exchange": "{question}{answer}",
        **plain,
        "first_with_reference": plain["first"] + "<reference>{reference}</reference>",
        "later": "{earlier}" + plain["first"],
        "later_with_reference": "{earlier}" + plain["first"] + "<reference>{reference}</reference>",
    }
    assert lab.judge(1, prompts={"en": prompts})[0]["verdict_id"] == (
        "5fbe84f026b2231a0d7e29e753d5176e3d2620db36cce353b8061462e0dffebf"
    )


def test_references_are_shown_by_category(start: Start) -> None:
    lab = start(lambda question, count: rating(5))
    items = [
        {"id": name, "turns": [f"dialogue {at}"], "category": name, "reference": [f"reference {at}"]}
        for at, name in enumerate(("math", "writing"))
    ]
    lab.judge(items, reference_categories=["math"])
    shown = {"reference" in request["messages"][1]["content"] for request in lab.server.requests}
    texts = sorted("reference 0" in str(request) for request in lab.server.requests)
    assert (shown, texts) == ({True, False}, [False, True])
    with pytest.raises(DataError, match=r"item 'x' has no `category`"):
        lab.judge([{"id": "x", "turns": ["dialogue 1"], "reference": ["r"]}], reference_categories=["math"])


def test_each_turn_is_judged_in_the_light_of_those_before(start: Start) -> None:
    lab = start(lambda question, count: rating(5))
    lab.judge([{"id": "a", "turns": ["dialogue 1", "And then?"]}], {"a": ["It began.", "It ended."]})
    prompts = sorted(request["messages"][1]["content"] for request in lab.server.requests)
    assert sum("It began." in prompt for prompt in prompts) == 2
    assert sum("It ended." in prompt for prompt in prompts) == 1


def test_a_key_that_expires_half_way_stops_keeps_and_resumes(start: Start) -> None:
    def script(question: str, count: int) -> Answer:
        return by_rule(question, count) if lab.server.asked.total() <= 12 else Answer("expired", status=401)

    lab = start(script, key="not-a-real-key-42", endpoint={"concurrency": 2})
    with pytest.raises(
        EndpointError, match=r"does not accept the key in \$JUDGE_KEY.*28 of 40 verdicts are left undone"
    ):
        lab.judge(40)
    assert lab.server.asked.total() <= 14
    assert len(lab.undone()) == 28
    lab.server.script = by_rule
    lab.server.asked.clear()
    assert len(lab.judge(40)) == 40
    assert lab.server.asked.total() == 28
    assert not (lab.root / "work/undone.jsonl").exists()


def test_an_endpoint_that_is_gone_stops_the_run_and_is_named(start: Start) -> None:
    def script(question: str, count: int) -> Answer:
        return by_rule(question, count) if lab.server.asked.total() <= 10 else Answer(status=503)

    lab = start(script, endpoint={"max_retries": 2})
    with pytest.raises(EndpointError, match=r"endpoint 'local' .*gone: .* tries in a row failed.*left undone"):
        lab.judge(500)
    # failures that overtook the last answer, those in a row, what was under way, and then one by one
    assert lab.server.asked.total() <= 10 + 7 + 20 + 8 + 3
    assert len(lab.undone()) == 490
    lab.server.script = by_rule
    assert len(lab.judge(500)) == 500


def test_an_endpoint_that_comes_back_is_asked_on(start: Start) -> None:
    back = threading.Event()

    def script(question: str, count: int) -> Answer:
        return by_rule(question, count) if back.is_set() or lab.server.asked.total() <= 10 else Answer(status=503)

    lab = start(script, endpoint={"max_retries": 9})
    threading.Timer(0.4, back.set).start()
    assert [one["score"] for one in lab.judge(100)] == [1 + number % 10 for number in range(100)]


def test_one_question_that_never_comes_through_is_listed_when_all_others_are_answered(start: Start) -> None:
    lab = start(lambda question, count: Answer(status=500) if question == "3" else by_rule(question, count))
    with pytest.raises(DataError, match=r"1 of 30 verdicts are left undone.*no answer after 4 tries: HTTP 500"):
        lab.judge(30)
    assert [(one["item"], one["turn"]) for one in lab.undone()] == [("3", 1)]
    assert lab.spent().calls == lab.server.asked.total() == 33


def test_a_cap_of_calls_is_met_exactly_and_what_is_left_is_listed(start: Start) -> None:
    lab = start(by_rule, budget=JudgeBudget(max_calls=30))
    with pytest.raises(DataError, match=r"20 of 50 verdicts are left undone.*20 would go over the budget"):
        lab.judge(50)
    assert lab.server.asked.total() == lab.spent().calls == 30
    assert Counter(one["why"] for one in lab.undone()) == {"over the budget": 20}
    lab.budget = JudgeBudget(max_calls=50)
    assert len(lab.judge(50)) == 50
    assert lab.server.asked.total() == 50


def test_retries_count_as_calls(start: Start) -> None:
    lab = start(lambda question, count: Answer(status=500), budget=JudgeBudget(max_calls=7))
    with pytest.raises(DataError, match=r"left undone"):
        lab.judge(5)
    assert lab.server.asked.total() == lab.spent().calls == 7


def test_another_study_has_a_budget_of_its_own(start: Start) -> None:
    lab = start(by_rule, budget=JudgeBudget(max_calls=3))
    lab.judge(3)
    lab.study = "another"
    lab.judge([{"id": "8", "turns": ["dialogue 8"]}])
    assert lab.server.asked.total() == 4


def test_a_cap_of_money_is_never_exceeded_and_used_as_far_as_replies_say_what_they_cost(start: Start) -> None:
    """Prompts have some 700 bytes, so a call may cost 0.7 + 0.5; the server says that it took 10 and 3 tokens: 0.04."""
    lab = start(by_rule, budget=JudgeBudget(max_cost=2.5), price=PRICE)
    with pytest.raises(DataError, match=r"would go over the budget"):
        lab.judge(100)
    spent, one = lab.spent(), PRICE.cost_pico(10, 3)
    assert spent.cost_pico == spent.replies * one
    assert spent.cost_pico <= lab.budget.max_cost_pico
    # the next call might have been too dear
    assert lab.budget.max_cost_pico - spent.cost_pico < 1.5 * 10**12
    assert len(lab.undone()) == 100 - spent.replies < 70


def test_a_reply_that_does_not_say_what_it_took_counts_with_its_highest_cost(start: Start) -> None:
    bare = json.dumps({"choices": [{"message": {"content": "[[5]]"}, "finish_reason": "stop"}]}).encode()
    lab = start(lambda question, count: Answer(body=bare), price=PRICE)
    lab.judge(1)
    assert lab.spent().cost_pico > PRICE.cost_pico(500, 50)


def test_requests_and_tokens_per_minute_are_kept(start: Start) -> None:
    lab = start(by_rule, endpoint={"requests_per_minute": 1200})
    began = time.monotonic()
    lab.judge(11)
    assert time.monotonic() - began >= 10 * 60 / 1200
    # a prompt is estimated, then corrected to the 13 tokens that each reply tells
    lab = Lab(lab.root / "tokens", lab.server, endpoint={"tokens_per_minute": 60 * 13 * 40, "concurrency": 1})
    lab.root.mkdir()
    began = time.monotonic()
    lab.judge(21)
    assert time.monotonic() - began >= 0.3


def test_the_clock_may_jump(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    real, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + 86_400 * (-1) ** next(jumps))
    busy = Answer(status=429, headers={"Retry-After": "0"})
    lab = start(lambda question, count: busy if count == 1 else by_rule(question, count))
    began = time.monotonic()
    assert len(lab.judge(20)) == 20
    assert time.monotonic() - began < 10


def test_no_output_holds_the_key(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The server repeats the key in replies, in errors and in reasons; one is judged right, one never."""
    key = "sk-planted-0123456789"
    echo = json.dumps(
        {"choices": [{"message": {"content": f"{key} says [[5]]"}, "finish_reason": f"stop {key}"}]}
    ).encode()

    def script(question: str, count: int) -> Answer:
        if question == "1":
            return Answer(f"your key {key} is over its limit", status=500)
        return Answer(f"bad {key}", status=400) if question == "2" else Answer(body=echo)

    caplog.set_level("DEBUG")
    lab = start(script, key=key)
    with pytest.raises(DataError) as raised:
        lab.judge(5)
    assert f"Bearer {key}" in lab.server.keys
    files = [path for path in lab.root.rglob("*") if path.is_file()]
    assert {"judge.sqlite", "undone.jsonl"} <= {path.name for path in files}
    assert [path.name for path in files if key.encode() in path.read_bytes()] == []
    assert key not in str(raised.value) and key not in caplog.text
    assert "(hidden)" in str(raised.value)
