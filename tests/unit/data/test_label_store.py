"""Answers are kept once, by whoever comes first, and survive what happens to processes and disks."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from mixlab.config.problems import DataError
from mixlab.data.labels.questions import Reply
from mixlab.data.labels.store import LabelStore


def question(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_replies_come_back_in_the_order_of_their_attempts(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "stores" / "labels.sqlite") as store:
        store.add([(question(1), 2, Reply("second", "stop", 5, 1)), (question(1), 1, Reply("first", "length", 4, 2))])
        found = store.read([question(1), question(2)])
    assert found == {question(1): [Reply("first", "length", 4, 2), Reply("second", "stop", 5, 1)]}


def test_the_first_answer_stays(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    with LabelStore(path) as one, LabelStore(path) as other:
        one.add([(question(1), 1, Reply("math", "stop"))])
        other.add([(question(1), 1, Reply("code", "stop")), (question(2), 1, Reply("code", "stop"))])
        assert one.read([question(1)])[question(1)] == [Reply("math", "stop")]
        assert other.read([question(2)])[question(2)] == [Reply("code", "stop")]


def test_more_questions_than_one_statement_holds_can_be_read(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "labels.sqlite") as store:
        store.add([(question(number), 1, Reply(str(number), "stop")) for number in range(2500)])
        found = store.read([question(number) for number in range(5000)])
    assert sorted(int(replies[0].text) for replies in found.values()) == list(range(2500))


def write_many(path: Path, first: int) -> None:
    with LabelStore(path) as store:
        for number in range(first, first + 60):
            store.add([(question(number), 1, Reply(str(number), "stop"))])


def test_several_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(path, 40 * number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with LabelStore(path) as store:
        assert len(store.read([question(number) for number in range(140)])) == 140


def test_a_reply_with_half_a_character_is_kept(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "labels.sqlite") as store:
        store.add([(question(1), 1, Reply("\ud83d", "stop"))])
        assert store.read([question(1)])[question(1)][0].text == "?"


def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    path.write_bytes(b"not a database, although it is long enough to be taken for one" * 100)
    with pytest.raises(DataError, match=r"labels\.sqlite: no label store, or a damaged one"):
        LabelStore(path)


def test_a_store_of_a_later_program_is_told(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(DataError, match="format 9"):
        LabelStore(path)


def test_a_store_held_by_another_is_told_after_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    with LabelStore(path) as store:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match="locked"), LabelStore(path, wait_seconds=0.05) as other:
            other.add([(question(1), 1, Reply("math", "stop"))])
        holder.close()
        store.add([(question(1), 1, Reply("math", "stop"))])


def test_a_full_disk_is_told_and_what_was_stored_stays(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    with LabelStore(path) as store:
        store.add([(question(1), 1, Reply("math", "stop"))])
        store._connection.execute("PRAGMA max_page_count=4")
        with pytest.raises(DataError, match="full"):
            store.add([(question(2), 1, Reply("x" * 100_000, "stop"))])
        assert list(store.read([question(1), question(2)])) == [question(1)]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "stores").write_text("a file")
    with pytest.raises(DataError, match="stores"):
        LabelStore(tmp_path / "stores" / "labels.sqlite")
