"""Replies of language models that were paid for, each kept once under the content of its question.

One SQLite file. SQLite's rollback journal and not its write-ahead log: the log needs memory shared by all that have the
file open, which jobs on several machines of a cluster do not have.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from mixlab.config.problems import DataError

REFUSED, UNANSWERED = "refused", "unanswered"
"""Finish reasons of questions without an answer: the endpoint would not take it; no try came through."""

BROKEN_OFF = frozenset({"error", "abort", "cancelled", "insufficient_system_resource"})
"""What servers call a reply that a failure of theirs ended, with HTTP status 200 all the same."""

WITHHELD = frozenset(
    {REFUSED, UNANSWERED, "content_filter", "safety", "refusal", "recitation", "blocklist", "prohibited_content"}
    | {"tool_calls", "function_call", "tool_use", "pause_turn", *BROKEN_OFF}
)
"""What servers call a reply that is none: withheld, a call of a tool, broken off. Any other end is that of an answer:
stop, eos, eos_token, end_turn, stop_sequence and whatever is in use next."""

_WAIT_SECONDS = 120.0
_TABLE = """CREATE TABLE IF NOT EXISTS replies (
    question BLOB NOT NULL, attempt INTEGER NOT NULL, reply TEXT NOT NULL, finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, response_tokens INTEGER NOT NULL, PRIMARY KEY (question, attempt)
) WITHOUT ROWID"""
_READ_QUESTIONS = 500
_WRITTEN_ROWS = 100


@dataclass(frozen=True)
class Reply:
    """What came back for a question; `finish_reason` says why it ended, or why there is none."""

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    response_tokens: int = 0


class ReplyStore:
    """An open store; safe for several processes, each with a store of its own. Use it as a context.

    A store of another kind says what it is called, which number its form has, and which further tables it keeps. One
    thread at a time may use it.
    """

    WHAT: ClassVar[str]
    FORMAT: ClassVar[int]
    TABLES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: Path, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=wait_seconds, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=TRUNCATE")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            # at once: each commit waits for the disk
            with self._transaction():
                for statement in (_TABLE, *self.TABLES, f"PRAGMA user_version={self.FORMAT}"):
                    self._connection.execute(statement)
        if found not in (0, self.FORMAT):
            self._connection.close()
            raise DataError(f"{path}: a {self.WHAT} of format {found}, this program knows {self.FORMAT}; update mixlab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def add(self, replies: Sequence[tuple[bytes, int, Reply]]) -> None:
        """Commit replies, each with its question and the number of its attempt; an answer that is there stays."""
        with self._transaction():
            self._insert(replies)

    def _insert(self, replies: Sequence[tuple[bytes, int, Reply]]) -> None:
        rows = [
            (
                question,
                attempt,
                _storable(one.text),
                _storable(one.finish_reason),
                one.prompt_tokens,
                one.response_tokens,
            )
            for question, attempt, one in replies
        ]
        self._run("INSERT OR IGNORE INTO replies VALUES {}", rows)

    def _run(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement for many rows, whose places stand for `{}` in it.

        Each step of SQLite lets another thread have the interpreter, which may keep it for 5 ms: so few steps are
        taken, and not one for each row.
        """
        for start in range(0, len(rows), _WRITTEN_ROWS):
            some = rows[start : start + _WRITTEN_ROWS]
            row = f"({','.join('?' * len(some[0]))})"
            places, values = ",".join([row] * len(some)), [value for one in some for value in one]
            self._connection.execute(statement.format(places), values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is written within is there afterwards, or nothing of it."""
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, questions: Sequence[bytes]) -> dict[bytes, list[Reply]]:
        """Return the replies to those of `questions` that were asked, in the order of their attempts."""
        found: dict[bytes, list[Reply]] = {}
        columns = "question, attempt, reply, finish_reason, prompt_tokens, response_tokens"
        with self._explained():
            for question, _, *reply in sorted(self._select(f"SELECT {columns} FROM replies", questions)):
                found.setdefault(question, []).append(Reply(*reply))
        return found

    def _select(self, statement: str, questions: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table that are about some of `questions`."""
        for start in range(0, len(questions), _READ_QUESTIONS):
            some = questions[start : start + _READ_QUESTIONS]
            yield from self._connection.execute(f"{statement} WHERE question IN ({','.join('?' * len(some))})", some)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the disk say into a problem with a cure."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise DataError(
                f"{self._path}: the {self.WHAT} cannot be used: {error}; see that its folder is writable, its disk not "
                "full, and no other job holds it for minutes, then run again: nothing that was answered is lost"
            ) from None
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self._path}: no {self.WHAT}, or a damaged one: {error}; put it aside, then run again"
            ) from None
        except OverflowError as error:
            raise DataError(
                f"{self._path}: the {self.WHAT} was given a number that it cannot hold: {error}; nothing of this "
                "commit is kept; see that counts of tokens and prices are right, then run again"
            ) from None
        except OSError as error:
            raise DataError(f"{self._path}: {error.strerror}") from None


def _storable(text: str) -> str:
    """SQLite holds UTF-8; a lone surrogate in what a server said has none."""
    return text.encode("utf-8", "replace").decode()
