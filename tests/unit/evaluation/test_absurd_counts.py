"""No number that an endpoint states, or that was once believed, can shut the store that all studies share."""

import json
from pathlib import Path

import pytest
from judge_lab import PRICE, Start
from scripted_server import Answer

from mixlab.config.judge_budget import PRICES, JudgeBudget
from mixlab.config.problems import DataError
from mixlab.data.replies import Reply
from mixlab.evaluation.judges.asking import bound_cost
from mixlab.evaluation.judges.store import LARGEST_PICO, Account, Call, Ended, Grant, VerdictStore

ACCOUNT = Account("study", "tiny", JudgeBudget())
REPLY = Reply("[[5]]", "stop", 10, 3)


def call(number: int, worst: int = 100) -> Call:
    return Call(number.to_bytes(32, "big"), 1, worst)


def poison(path: Path, reply: Reply, cost: int) -> None:
    """Leave a journal of a killed process, with an ordinary reply to question 1 and this one to question 2."""
    killed = VerdictStore(path)
    killed.exchange(ACCOUNT, [], [call(1), call(2)])
    journal = killed.journal()
    for number, one, paid in ((1, REPLY, 40), (2, reply, cost)):
        journal.note_sent(call(number).name)
        journal.note_reply(call(number).name, one, paid)
    journal.close(is_kept=True)
    killed._own = None
    killed._connection.close()


@pytest.mark.parametrize("tokens", [8 * 10**11, 10**12, 10**30])
def test_a_count_of_tokens_that_cannot_be_costs_the_most_that_its_request_can(
    start: Start, tokens: int, caplog: pytest.LogCaptureFixture
) -> None:
    message = {"message": {"content": "[[7]]"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": tokens}
    absurd = Answer(body=json.dumps({"choices": [message], "usage": usage}).encode())
    price = PRICES["gpt-4o-2024-08-06"]
    lab = start(lambda question, count: absurd if question == "0" else Answer("[[7]]"), price=price)
    verdicts = lab.judge(3)
    assert [(one["score"], one["response_tokens"]) for one in verdicts] == [(7, 0), (7, 3), (7, 3)]
    assert "1 of 3 replies state more tokens" in caplog.text
    body = json.dumps(lab.server.requests[0], separators=(",", ":"), ensure_ascii=False).encode()
    assert lab.spent().cost_pico == bound_cost(price, body, 50) + 2 * price.cost_pico(10, 3)
    assert lab.judge(3) == verdicts


@pytest.mark.parametrize(
    ("reply", "cost"),
    [
        (Reply("[[7]]", "stop", 10, 10**12), 10**19),
        (Reply("[[7]]", "stop", 10, 8 * 10**11), 8 * 10**18),
        (Reply("[[7]]", "stop", 10**30, 3), 40),
        (Reply("[[7]]", "stop", 10, 3), 10**19),
        (Reply("[[7]]", "stop", 10, 3), -(10**19)),
    ],
)
def test_a_journal_with_what_was_once_believed_is_taken_in_and_told(
    tmp_path: Path, reply: Reply, cost: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "judge.sqlite"
    poison(path, reply, cost)
    with VerdictStore(path) as store:
        (spent,) = store.list_spent()
        assert (spent.calls, spent.replies, spent.cost_pico, spent.response_tokens) == (2, 2, 140, 3)
        assert store.read([call(2).question])[call(2).question] == [Reply("[[7]]", "stop")]
        assert store.exchange(ACCOUNT, [], [call(2), call(3)]) == [Grant.ANSWERED, Grant.GO]
    assert "1 of 2 replies state tokens or costs that cannot be" in caplog.text
    assert list((tmp_path / "judge.journals").iterdir()) == []


def test_a_journal_with_a_cost_that_is_no_number_is_read_without_that_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "judge.sqlite"
    poison(path, REPLY, 77)
    (journal,) = (tmp_path / "judge.journals").iterdir()
    journal.write_text(journal.read_text("utf-8").replace('"cost": 77', '"cost": 1e999'), "utf-8")
    with VerdictStore(path) as store:
        (spent,) = store.list_spent()
    assert (spent.replies, spent.cost_pico) == (1, 140)
    assert "1 of 4 lines cannot be read" in caplog.text


def test_sums_end_at_the_largest_integer_and_go_on_from_there(tmp_path: Path) -> None:
    capped = Account("study", "tiny", JudgeBudget(max_cost=1_000_000))
    with VerdictStore(tmp_path / "judge.sqlite") as store:
        calls = [call(number, LARGEST_PICO) for number in range(3)]
        assert store.exchange(ACCOUNT, [], calls) == [Grant.GO] * 3
        assert store.exchange(Account("study", "another", ACCOUNT.budget), [], [call(3, LARGEST_PICO)]) == [Grant.GO]
        assert [one.cost_pico for one in store.list_spent()] == [LARGEST_PICO] * 2
        assert store.exchange(capped, [], [call(4)]) == [Grant.SPENT]
        store.exchange(ACCOUNT, [Ended(calls[0], 40, REPLY)], [])
        assert [one.cost_pico for one in store.list_spent()] == [LARGEST_PICO, 40]
        assert store.exchange(Account("other", "tiny", capped.budget), [], [call(4)]) == [Grant.GO]


def test_a_sum_that_became_a_float_is_read_as_the_largest_integer(tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "judge.sqlite") as store:
        store.exchange(ACCOUNT, [], [call(1)])
        store._connection.execute("UPDATE spent SET cost = 1.6e19")
        (spent,) = store.list_spent()
        assert (spent.cost_pico, type(spent.cost_pico)) == (LARGEST_PICO, int)
        assert store.exchange(ACCOUNT, [], [call(2)]) == [Grant.GO]
        assert store._connection.execute("SELECT typeof(cost) FROM spent").fetchone() == ("integer",)


def test_a_price_that_is_beyond_all_money_is_cut_to_what_the_store_holds(start: Start) -> None:
    dear = PRICE.model_copy(update={"response_per_million": 1e15})
    lab = start(lambda question, count: Answer("[[7]]"), price=dear)
    assert [one["score"] for one in lab.judge(2)] == [7, 7]
    assert lab.spent().cost_pico == LARGEST_PICO


def test_another_number_that_the_store_cannot_hold_is_told(tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "judge.sqlite") as store:
        with pytest.raises(DataError, match="the judge store was given a number that it cannot hold"):
            store.add([(b"q", 1, Reply("", "stop", 2**70))])
        assert store.read([b"q"]) == {}
