"""A judge's endpoint that refuses requests: counted where others are answered, doubted where none is, never endless."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from judge_lab import PRICE, Start
from scripted_server import Answer

from mixlab.config.judge_budget import JudgeBudget
from mixlab.config.problems import DataError
from mixlab.evaluation.judges import asking, attempts, coming
from mixlab.evaluation.judges.asking import Asker, Outcome, Request

RATING = Answer("Fine. Rating: [[5]]")


def test_a_request_that_is_refused_is_not_repeated_and_counts_as_unparsed(start: Start) -> None:
    lab = start(lambda question, count: Answer("too long", status=400) if question == "1" else RATING)
    verdicts = lab.judge(3)
    assert [one["score"] for one in verdicts] == [5, None, 5]
    assert (verdicts[1]["finish_reason"], lab.server.asked["1"]) == ("refused", 1)
    # an artifact says nothing of where the endpoint was
    assert verdicts[1]["reply"] == "HTTP 400: too long"
    assert lab.index()["unparsed_finish_reasons"] == {"refused": 1}


def test_where_all_is_refused_the_request_is_doubted_and_no_refusal_is_kept(start: Start) -> None:
    lab = start(lambda question, count: Answer("no such field", status=422))
    with pytest.raises(DataError, match=r"all of the first 5 questions were refused.*no such field"):
        lab.judge(5)
    lab.server.script = lambda question, count: RATING
    assert len(lab.judge(5)) == 5


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be waited for without end fails by TimeoutError."""
    ask = Asker._ask

    async def ask_in_time(asker: Asker, requests: Iterator[Request]) -> Outcome:
        async with asyncio.timeout(10):
            return await ask(asker, requests)

    monkeypatch.setattr(Asker, "_ask", ask_in_time)


@pytest.mark.usefixtures("bounded")
def test_a_cap_that_is_reached_by_refusals_alone_ends_the_run(start: Start) -> None:
    lab = start(lambda question, count: Answer("no such field", status=400), budget=JudgeBudget(max_calls=10))
    with pytest.raises(DataError, match=r"all of the first 10 questions were refused"):
        lab.judge(20)
    assert Counter(one["why"] for one in lab.undone()) == {"over the budget": 10, "not asked": 10}
    assert lab.server.asked.total() == lab.spent().calls == 10


@pytest.mark.usefixtures("bounded")
def test_runs_that_wait_for_what_the_other_was_refused_both_end(start: Start, tmp_path: Path) -> None:
    slow = Answer("no such field", status=400, delay_seconds=0.05)
    lab = start(lambda question, count: slow, endpoint={"concurrency": 1})
    lab.store.parent.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/stores").symlink_to(lab.store.parent)
    other = replace(lab, root=tmp_path / "other")
    items = [{"id": str(number), "turns": [f"dialogue {number}"]} for number in range(8)]
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(lab.judge, items), threads.submit(other.judge, items[::-1])]
        told = [run.exception() for run in runs]
    assert [type(one) for one in told] == [DataError, DataError]
    assert all("were refused" in str(one) for one in told)


def test_refusals_before_the_first_answer_are_kept_once_there_is_one(start: Start) -> None:
    last = {"7": RATING}
    lab = start(lambda question, count: last.get(question, Answer("too long", status=400)), price=PRICE)
    lab.endpoint["concurrency"] = 1
    assert Counter(one["finish_reason"] for one in lab.judge(8)) == {"refused": 7, "stop": 1}
    assert (lab.spent().calls, lab.spent().replies) == (8, 8)
    assert lab.spent().cost_pico == PRICE.cost_pico(10, 3)
    lab.judge(8)
    assert lab.server.asked.total() == 8


@pytest.mark.parametrize("ahead", [1, 16])
@pytest.mark.parametrize(("refused", "known"), [(15, 1), (70, 10)])
def test_an_answer_in_the_store_speaks_for_the_request_wherever_it_stands(
    start: Start, monkeypatch: pytest.MonkeyPatch, refused: int, known: int, ahead: int
) -> None:
    """Whether it is met before enough refusals to doubt, would be later, or so many are never met."""
    monkeypatch.setattr(attempts, "_LOOKED_UP", refused - 10)
    monkeypatch.setattr(asking, "_AHEAD", ahead)
    monkeypatch.setattr(coming, "_LOOKED_UP_AT_ONCE", 5)
    lab = start(lambda question, count: RATING if int(question) >= refused else Answer("too long", status=400))
    items = [{"id": str(number), "turns": [f"dialogue {number}"]} for number in range(refused + known)]
    lab.judge(items[refused:])
    assert Counter(one["finish_reason"] for one in lab.judge(items)) == {"refused": refused, "stop": known}
    assert lab.server.asked.total() == refused + known
