"""Requests to a judge are built while others are asked, and what goes wrong meanwhile is told as what it is."""

import signal
from collections import Counter
from threading import Timer
from typing import Any

import pytest
from judge_lab import Start
from scripted_server import Answer

from mixlab.config.problems import DataError
from mixlab.evaluation.judges import asking, attempts, coming
from mixlab.evaluation.judges.questions import Questions
from mixlab.evaluation.judges.request import Request
from mixlab.evaluation.judges.store import VerdictStore

RATING = Answer("Fine. Rating: [[5]]")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few requests are looked up, built at once and granted ahead."""
    monkeypatch.setattr(attempts, "_LOOKED_UP", 10)
    monkeypatch.setattr(coming, "_LOOKED_UP_AT_ONCE", 8)
    monkeypatch.setattr(asking, "_AHEAD", 2)


@pytest.mark.usefixtures("small")
def test_the_first_request_leaves_before_the_others_are_built(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    build, built, at_first = Questions.build, Counter[str](), []

    def count(questions: Questions, *given: Any) -> Request:
        built["requests"] += 1
        return build(questions, *given)

    def answer(question: str, number: int) -> Answer:
        at_first.append(built["requests"])
        return RATING

    monkeypatch.setattr(Questions, "build", count)
    lab = start(answer, endpoint={"concurrency": 8})
    assert len(lab.judge(100)) == 100
    assert at_first[0] <= 10 + 2 * 8 + 8
    assert built["requests"] == 100


@pytest.mark.usefixtures("small")
def test_what_goes_wrong_while_a_request_is_built_is_raised_and_what_was_answered_is_kept(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, left = Questions.build, iter(range(50))

    def fail_later(questions: Questions, *given: Any) -> Request:
        if next(left, None) is None:
            raise DataError("no more")
        return build(questions, *given)

    monkeypatch.setattr(Questions, "build", fail_later)
    lab = start(lambda question, count: RATING, endpoint={"concurrency": 8})
    with pytest.raises(DataError, match=r"^no more$"):
        lab.judge(100)
    # the window in which it happened was not asked
    asked = lab.server.asked.total()
    assert 10 <= asked <= 50
    monkeypatch.setattr(Questions, "build", build)
    lab.judge(100)
    assert lab.server.asked.total() == 100


def test_an_interrupt_is_an_interrupt_and_what_was_answered_is_kept(start: Start) -> None:
    lab = start(lambda question, count: Answer(RATING.text, delay_seconds=0.02), endpoint={"concurrency": 8})

    def interrupt() -> None:
        if lab.server.asked.total() < 20:
            again = Timer(0.02, interrupt)
            again.daemon = True
            again.start()
        else:
            signal.raise_signal(signal.SIGINT)

    interrupt()
    with pytest.raises(KeyboardInterrupt):
        lab.judge(3_000)
    asked = lab.server.asked.total()
    lab.judge(50)
    assert lab.server.asked.total() <= max(asked, 50) + 8


def note_wanted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list that every call that the store is asked to grant is added to."""
    exchange, wanted = VerdictStore.exchange, list[Any]()

    def note(store: VerdictStore, account: Any, ended: Any, calls: Any) -> Any:
        wanted.extend(calls)
        return exchange(store, account, ended, calls)

    monkeypatch.setattr(VerdictStore, "exchange", note)
    return wanted


@pytest.mark.usefixtures("small")
def test_of_a_store_that_has_nearly_all_only_the_rest_is_asked_for(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = start(lambda question, count: RATING)
    items = [{"id": str(number), "turns": [f"dialogue {number}"]} for number in range(100)]
    lab.judge(items[1:])
    wanted = note_wanted(monkeypatch)
    lab.judge(items)
    assert (len(wanted), lab.server.asked.total()) == (1, 100)


@pytest.mark.usefixtures("small")
def test_a_store_without_answers_is_read_once_before_and_once_after_asking(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = start(lambda question, count: RATING)
    read, sizes = VerdictStore.read, list[int]()

    def note(store: VerdictStore, questions: Any) -> Any:
        sizes.append(len(questions))
        return read(store, questions)

    monkeypatch.setattr(VerdictStore, "read", note)
    lab.judge(100)
    # the second is the window that showed that it holds none
    assert sizes == [10, 8, 100]


@pytest.mark.usefixtures("small")
def test_answers_that_grants_tell_of_are_looked_up_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = start(lambda question, count: RATING, endpoint={"concurrency": 8})
    items = [{"id": str(number), "turns": [f"dialogue {number}"]} for number in range(200)]
    lab.judge(items[40:])
    wanted = note_wanted(monkeypatch)
    lab.judge(items)
    # no more known ones are asked for than workers have at hand when the first is met
    assert 40 <= len(wanted) <= 40 + 2 * 8
    assert lab.server.asked.total() == 200


@pytest.mark.usefixtures("small")
def test_a_store_that_cannot_be_read_lists_what_is_left(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = start(lambda question, count: RATING)
    read, times = VerdictStore.read, iter([True])

    def fail_later(store: VerdictStore, questions: Any) -> Any:
        if next(times, False) or len(questions) == 30:
            return read(store, questions)
        raise DataError("the disk is gone")

    monkeypatch.setattr(VerdictStore, "read", fail_later)
    with pytest.raises(DataError, match=r"the disk is gone; .* 30 of 30 verdicts are left undone"):
        lab.judge(30)
    assert Counter(one["why"] for one in lab.undone()) == {"not asked": 30}
