"""The store of verdicts: claims, what was spent, and what becomes of a process that is gone."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from mixlab.config.judge_budget import PICO, PRICES, JudgeBudget, JudgingSettings
from mixlab.config.problems import DataError
from mixlab.data.labels.store import LabelStore
from mixlab.data.replies import Reply
from mixlab.evaluation.judges.journal import Journal
from mixlab.evaluation.judges.store import Account, Call, Ended, Grant, VerdictStore

REPLY = Reply("[[5]]", "stop", 10, 3)


def call(number: int, worst: int = 100) -> Call:
    return Call(number.to_bytes(32, "big"), 1, worst)


def account(**caps: float) -> Account:
    return Account("study", "tiny", JudgeBudget.model_validate(caps))


def spend(store: VerdictStore) -> tuple[int, int, int]:
    (spent,) = store.list_spent()
    return spent.calls, spent.replies, spent.cost_pico


def die(store: VerdictStore) -> None:
    """End without a word, as a killed process does: the kernel closes its files."""
    journal = store.journal()
    journal.close(is_kept=True)
    store._own = None
    store._connection.close()


def test_what_one_asks_another_waits_for_and_then_finds_answered(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    with VerdictStore(path) as one, VerdictStore(path) as other:
        assert one.exchange(account(), [], [call(1), call(2)]) == [Grant.GO, Grant.GO]
        assert other.exchange(account(), [], [call(1), call(3)]) == [Grant.ELSEWHERE, Grant.GO]
        one.exchange(account(), [Ended(call(1), 40, REPLY)], [])
        assert other.exchange(account(), [], [call(1)]) == [Grant.ANSWERED]
        assert other.read([call(1).question]) == {call(1).question: [REPLY]}
        assert spend(one) == (3, 1, 240)


def test_what_a_killed_process_was_told_is_kept_what_it_never_sent_is_given_back_and_what_it_sent_is_spent(
    tmp_path: Path,
) -> None:
    path = tmp_path / "judge.sqlite"
    killed = VerdictStore(path)
    killed.exchange(account(), [], [call(1), call(2), call(3)])
    for number in (1, 2):
        killed.journal().note_sent(call(number).name)
    killed.journal().note_reply(call(1).name, REPLY, 40)
    die(killed)
    with VerdictStore(path) as store:
        assert spend(store) == (2, 1, 140)
        assert store.exchange(account(), [], [call(1), call(2), call(3)]) == [Grant.ANSWERED, Grant.GO, Grant.GO]
    assert list((tmp_path / "judge.journals").iterdir()) == []


def test_a_journal_that_ends_in_half_a_line_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    killed = VerdictStore(path)
    killed.exchange(account(), [], [call(1), call(2)])
    for number in (1, 2):
        killed.journal().note_sent(call(number).name)
        killed.journal().note_reply(call(number).name, REPLY, 40)
    die(killed)
    (journal,) = (tmp_path / "judge.journals").iterdir()
    journal.write_bytes(journal.read_bytes()[:-9])
    with VerdictStore(path) as store:
        assert spend(store) == (2, 1, 140)
        assert list(store.read([call(1).question, call(2).question])) == [call(1).question]


def test_a_broken_line_amid_a_journal_is_skipped_and_told_and_gives_nothing_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "judge.sqlite"
    killed = VerdictStore(path)
    killed.exchange(account(), [], [call(1), call(2), call(3)])
    for number in (1, 2):
        killed.journal().note_sent(call(number).name)
    killed.journal().note_reply(call(1).name, REPLY, 40)
    die(killed)
    (journal,) = (tmp_path / "judge.journals").iterdir()
    first, second, third = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + second[:20] + b"\n" + b'{"reply": "00", "attempt": 1}\n' + b"\0" * 9 + b"\n" + third)
    with VerdictStore(path) as store:
        assert "3 of 5 lines cannot be read, the first is line 2" in caplog.text
        assert spend(store) == (3, 1, 240)
        assert store.exchange(account(), [], [call(1), call(2)]) == [Grant.ANSWERED, Grant.GO]
    assert list((tmp_path / "judge.journals").iterdir()) == []


def test_a_line_that_a_full_disk_cut_short_does_not_swallow_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "judge.sqlite"
    write, is_full = os.write, False

    def write_some(file: int, data: bytes) -> int:
        nonlocal is_full
        if is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        is_full = True
        return write(file, data[:20])

    with VerdictStore(path) as store:
        store.exchange(account(), [], [call(1), call(2)])
        journal = store.journal()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write_some)
            with pytest.raises(DataError, match="No space left on device"):
                journal.note_reply(call(2).name, REPLY, 40)
        journal.note_sent(call(1).name)
        journal.note_reply(call(1).name, REPLY, 40)
    assert "1 of 3 lines cannot be read" in caplog.text
    with VerdictStore(path) as store:
        assert list(store.read([call(1).question, call(2).question])) == [call(1).question]
        assert spend(store) == (2, 1, 140)


def test_a_journal_that_was_lost_gives_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    killed = VerdictStore(path)
    killed.exchange(account(), [], [call(1)])
    die(killed)
    (journal,) = (tmp_path / "judge.journals").iterdir()
    journal.unlink()
    with VerdictStore(path) as store:
        assert store.exchange(account(), [], [call(1)]) == [Grant.GO]
        assert spend(store) == (2, 0, 200)


def test_caps_hold_over_processes_and_models_of_a_study(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    capped = account(max_calls=3)
    with VerdictStore(path) as one, VerdictStore(path) as other:
        assert one.exchange(capped, [], [call(1), call(2)]) == [Grant.GO] * 2
        second = Account("study", "another model", capped.budget)
        assert other.exchange(second, [], [call(3), call(4)]) == [Grant.GO, Grant.SPENT]
        # what never left is no call
        assert one.exchange(capped, [Ended(call(1), 0, is_unsent=True)], [call(5)]) == [Grant.GO]
        assert one.exchange(capped, [Ended(call(5), 0, REPLY)], [call(6)]) == [Grant.SPENT]
        assert one.exchange(Account("other", "tiny", capped.budget), [], [call(6)]) == [Grant.GO]


def test_what_a_dead_process_gives_back_or_still_owes_counts_in_the_same_commit(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    capped = account(max_calls=3, max_cost=400 / PICO)
    with VerdictStore(path) as store:
        killed = VerdictStore(path)
        assert killed.exchange(capped, [], [call(1), call(2), call(3)]) == [Grant.GO] * 3
        assert store.exchange(capped, [], [call(1), call(4)]) == [Grant.ELSEWHERE, Grant.SPENT]
        # one was answered and cost more than was foreseen, two never left
        killed.journal().note_sent(call(1).name)
        killed.journal().note_reply(call(1).name, REPLY, 290)
        die(killed)
        grants = store.exchange(capped, [], [call(1), call(2), call(3)])
        assert grants == [Grant.ANSWERED, Grant.GO, Grant.SPENT]
        assert spend(store) == (2, 1, 390)


def test_money_is_capped_by_the_most_a_call_can_cost(tmp_path: Path) -> None:
    capped = account(max_cost=250 / PICO)
    with VerdictStore(tmp_path / "judge.sqlite") as store:
        assert store.exchange(capped, [], [call(1), call(2), call(3)]) == [Grant.GO, Grant.GO, Grant.SPENT]
        # one reply cost less, so that there is room for one more; a try that failed stays at its most
        assert store.exchange(capped, [Ended(call(1), 10, REPLY)], [call(3)]) == [Grant.GO]
        assert store.exchange(capped, [Ended(call(2), 100)], [call(4)]) == [Grant.SPENT]
        assert spend(store) == (3, 1, 210)


def test_a_further_try_of_ones_own_question_is_counted_as_well(tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "judge.sqlite") as store:
        for _ in range(3):
            assert store.exchange(account(), [], [call(1)]) == [Grant.GO]
            store.exchange(account(), [Ended(call(1), 0, is_last=False)], [])
        assert spend(store) == (3, 0, 0)


def test_a_process_that_lives_keeps_its_claims_when_another_opens_the_store(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    with VerdictStore(path) as one:
        one.exchange(account(), [], [call(1)])
        for _ in range(2):
            with VerdictStore(path) as other:
                assert other.exchange(account(), [], [call(1)]) == [Grant.ELSEWHERE]
        one.exchange(account(), [Ended(call(1), 40, REPLY)], [])
        assert spend(one) == (1, 1, 40)


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "labels.sqlite"):
        pass
    with pytest.raises(DataError, match="a judge store of format 1, this program knows 101"):
        VerdictStore(tmp_path / "labels.sqlite")
    (tmp_path / "noise.sqlite").write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(DataError, match="no judge store, or a damaged one"):
        VerdictStore(tmp_path / "noise.sqlite")


def test_a_locked_or_full_store_is_told_and_undoes_what_it_began(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    with VerdictStore(path) as store:
        store._connection.execute("PRAGMA busy_timeout=10")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataError, match="the judge store cannot be used: database is locked"):
            store.exchange(account(), [], [call(1)])
        other.execute("ROLLBACK")
        other.close()
        assert store.exchange(account(), [], [call(1)]) == [Grant.GO]


def test_a_journal_is_never_seen_without_its_lock(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{journal.owner}.jsonl"]
    journal.close(is_kept=False)
    assert list(tmp_path.iterdir()) == []


def test_prices_are_exact_and_a_users_own_go_before_those_known() -> None:
    known = PRICES["gpt-4o-2024-08-06"]
    assert known.cost_pico(1_000_000, 1_000_000) == round(12.5 * PICO)
    assert PRICES["gpt-4o-mini-2024-07-18"].cost_pico(1, 1) == 750_000
    own = {"prompt_per_million": 1, "response_per_million": 2, "date": "2026-02-03", "source": "a contract"}
    judging = JudgingSettings.model_validate({"prices": {"gpt-4o-2024-08-06": own}})
    price = judging.price_of("gpt-4o-2024-08-06")
    assert price is not None and price.cost_pico(3, 4) == 11_000_000
    assert JudgingSettings(currency="JPY").price_of("gpt-4o-2024-08-06") is None
    assert "did you mean 'gpt-4o-2024-08-06'" in judging.explain_unpriced("gpt-4o-2024-08-6")
    mine = JudgingSettings.model_validate({"budget": {"max_calls": 5}, "budgets": {"mine": {"max_cost": 1}}})
    assert (mine.budget_of("mine").max_calls, mine.budget_of("other").max_calls) == (None, 5)


def test_a_commit_of_many_verdicts_takes_few_steps_and_loses_none_of_them(tmp_path: Path) -> None:
    path, steps = tmp_path / "judge.sqlite", list[str]()
    with VerdictStore(path) as store, VerdictStore(path) as other:
        calls = [call(number, worst=10) for number in range(1_200)]
        # one answered, one asked elsewhere, and one that is asked again, among many in one commit
        store.exchange(account(), [], [calls[0], calls[2]])
        store.exchange(account(), [Ended(calls[0], 4, REPLY), Ended(calls[2], 3, is_last=False)], [])
        other.exchange(account(), [], [calls[1]])
        store._connection.set_trace_callback(steps.append)
        grants = store.exchange(account(max_calls=603), [], calls)
        assert grants[:3] == [Grant.ANSWERED, Grant.ELSEWHERE, Grant.GO]
        assert (grants.count(Grant.GO), grants.count(Grant.SPENT)) == (600, 598)
        ended = [Ended(one, 7, REPLY) for one, grant in zip(calls, grants, strict=True) if grant is Grant.GO]
        store.exchange(account(), ended, [])
        assert len(steps) < 50
        assert spend(store) == (603, 601, 4 + 3 + 10 + 600 * 7)
        assert len(store.read([one.question for one in calls])) == 601
        assert store._connection.execute("SELECT COUNT(*) FROM claims").fetchone() == (1,)


def test_a_journal_of_which_all_is_committed_is_not_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr("mixlab.evaluation.judges.store.read_left", lambda folder, owner: read.append(owner))
    with VerdictStore(tmp_path / "judge.sqlite") as store:
        store.exchange(account(), [], [call(1)])
        store.journal().note_reply(call(1).name, REPLY, 40)
        store.exchange(account(), [Ended(call(1), 40, REPLY)], [])
    assert (read, list((tmp_path / "judge.journals").iterdir())) == ([], [])
