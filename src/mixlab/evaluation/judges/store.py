"""Every verdict of a model that was ever paid for, who is asking for which now, and what was spent.

Before a request is sent it is claimed and counted, in one commit: so no two processes ask the same, and no cap is ever
exceeded, whatever is killed. Costs are counted in 10^-12 of the currency, at the highest possible until a reply says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mixlab.config.judge_budget import JudgeBudget
from mixlab.data.replies import Reply, ReplyStore
from mixlab.evaluation.judges.journal import Journal, Left, Name, list_owners, read_left

_CLAIMS = """CREATE TABLE IF NOT EXISTS claims (
    question BLOB NOT NULL, attempt INTEGER NOT NULL, owner TEXT NOT NULL, study TEXT NOT NULL, model TEXT NOT NULL,
    tries INTEGER NOT NULL, worst INTEGER NOT NULL, PRIMARY KEY (question, attempt)
) WITHOUT ROWID"""
_SPENT = """CREATE TABLE IF NOT EXISTS spent (
    study TEXT NOT NULL, model TEXT NOT NULL, calls INTEGER NOT NULL, replies INTEGER NOT NULL, cost INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, response_tokens INTEGER NOT NULL, PRIMARY KEY (study, model)
) WITHOUT ROWID"""


@dataclass(frozen=True)
class Account:
    """Who pays: the study, for a model, within the study's caps."""

    study: str
    model: str
    budget: JudgeBudget


@dataclass(frozen=True)
class Call:
    """A question to be asked: its name, the number of the attempt, and the most that one try can cost."""

    question: bytes
    attempt: int
    worst_pico: int = 0

    @property
    def name(self) -> Name:
        """What the store knows it by."""
        return self.question, self.attempt


class Grant(Enum):
    """What is said to a wish to ask: go on; it is answered; another process is asking; a cap is reached, for now."""

    GO = "go"
    ANSWERED = "answered"
    ELSEWHERE = "elsewhere"
    SPENT = "spent"
    LATER = "later"


@dataclass(frozen=True)
class Ended:
    """How a granted try ended.

    `cost_pico`: what it cost, at most `worst_pico` unless a reply says otherwise. `is_unsent`: it never left, so that
    it is no call. `is_last`: the question is given up, or answered.
    """

    call: Call
    cost_pico: int
    reply: Reply | None = None
    is_unsent: bool = False
    is_last: bool = True


@dataclass(frozen=True)
class Spent:
    """What a study has spent on a model so far."""

    study: str
    model: str
    calls: int
    replies: int
    cost_pico: int
    prompt_tokens: int
    response_tokens: int


class VerdictStore(ReplyStore):
    """An open store of verdicts; what processes left behind that were killed is taken in when it is opened."""

    WHAT = "judge store"
    FORMAT = 101
    TABLES = (_CLAIMS, _SPENT)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._folder = path.with_suffix(".journals")
        self._own: Journal | None = None
        self._take_in_all()

    def journal(self) -> Journal:
        """Open the journal of this process; claims are made in its name."""
        if self._own is None:
            self._own = Journal(self._folder)
        return self._own

    def close_journal(self) -> None:
        """Take in what this process's journal holds and was not committed, and drop its claims."""
        if self._own is not None:
            own, self._own = self._own, None
            own.close(is_kept=True)
            self._take_in_all()

    def exchange(self, account: Account, ended: Sequence[Ended], wanted: Sequence[Call]) -> list[Grant]:
        """Commit what ended, then say to each wish whether it may be asked; a granted one is counted already."""
        with self._transaction():
            for one in ended:
                self._settle(account, one)
            return self._grant_all(account, wanted)

    def list_spent(self, study: str | None = None) -> list[Spent]:
        """What was spent, by study and model; of one study or of all."""
        with self._explained():
            rows = self._connection.execute(
                "SELECT study, model, calls, replies, cost, prompt_tokens, response_tokens FROM spent "
                "WHERE ? IS NULL OR study = ? ORDER BY study, model",
                (study, study),
            ).fetchall()
        return [Spent(*row) for row in rows]

    def _grant_all(self, account: Account, wanted: Sequence[Call]) -> list[Grant]:
        calls, cost = self._connection.execute(
            "SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(cost), 0) FROM spent WHERE study = ?", (account.study,)
        ).fetchone()
        grants = []
        for call in wanted:
            grant = self._find(call)
            if grant is Grant.GO:
                if _exceeds(account.budget, calls + 1, cost + call.worst_pico):
                    grant = Grant.SPENT
                else:
                    calls, cost = calls + 1, cost + call.worst_pico
                    self._claim(account, call)
            grants.append(grant)
        return grants

    def _find(self, call: Call) -> Grant:
        """Whether a question is answered or asked elsewhere; a claim of a process that is gone is none."""
        held = self._connection.execute(
            "SELECT owner FROM claims WHERE question = ? AND attempt = ?", call.name
        ).fetchone()
        if held is not None and held[0] != self.journal().owner:
            left = read_left(self._folder, held[0])
            if left is None:
                return Grant.ELSEWHERE
            self._take_in(left)
        there = self._connection.execute(
            "SELECT 1 FROM replies WHERE question = ? AND attempt = ?", call.name
        ).fetchone()
        return Grant.GO if there is None else Grant.ANSWERED

    def _claim(self, account: Account, call: Call) -> None:
        self._connection.execute(
            "INSERT INTO claims VALUES (?, ?, ?, ?, ?, 1, ?) "
            "ON CONFLICT (question, attempt) DO UPDATE SET tries = tries + 1",
            (*call.name, self.journal().owner, account.study, account.model, call.worst_pico),
        )
        self._spend(account.study, account.model, calls=1, cost=call.worst_pico)

    def _settle(self, account: Account, ended: Ended) -> None:
        call, reply = ended.call, ended.reply
        self._spend(account.study, account.model, calls=-ended.is_unsent, cost=ended.cost_pico - call.worst_pico)
        if reply is not None:
            self._insert([(*call.name, reply)])
            self._spend(account.study, account.model, reply=reply)
        if ended.is_last:
            self._connection.execute("DELETE FROM claims WHERE question = ? AND attempt = ?", call.name)

    def _spend(self, study: str, model: str, *, calls: int = 0, cost: int = 0, reply: Reply | None = None) -> None:
        tokens = (reply.prompt_tokens, reply.response_tokens) if reply is not None else (0, 0)
        self._connection.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (study, model) DO UPDATE SET "
            "calls = calls + excluded.calls, replies = replies + excluded.replies, cost = cost + excluded.cost, "
            "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
            "response_tokens = response_tokens + excluded.response_tokens",
            (study, model, calls, reply is not None, cost, *tokens),
        )

    def _take_in_all(self) -> None:
        """Take in all journals of processes that are gone."""
        for owner in list_owners(self._folder):
            if (left := read_left(self._folder, owner)) is not None:
                with self._transaction():
                    self._take_in(left)
                left.path.unlink(missing_ok=True)

    def _take_in(self, left: Left) -> None:
        """Keep a gone process's replies, give back what it never sent, drop its claims; doing it twice does no harm.

        A claim is there exactly while what became of it is not committed. What was sent and not answered stays spent.
        """
        rows = self._connection.execute(
            "SELECT question, attempt, study, model, tries, worst FROM claims WHERE owner = ?", (left.owner,)
        ).fetchall()
        for question, attempt, study, model, tries, worst in rows:
            unsent = 0 if left.is_lost else max(0, tries - left.sent[(question, attempt)])
            self._spend(study, model, calls=-unsent, cost=-unsent * worst)
            if (found := left.replies.get((question, attempt))) is not None:
                reply, cost = found
                self._insert([(question, attempt, reply)])
                self._spend(study, model, cost=cost - worst, reply=reply)
        self._connection.execute("DELETE FROM claims WHERE owner = ?", (left.owner,))

    def __exit__(self, *error: object) -> None:
        try:
            self.close_journal()
        finally:
            super().__exit__(None, None, None)


def _exceeds(budget: JudgeBudget, calls: int, cost_pico: int) -> bool:
    too_many = budget.max_calls is not None and calls > budget.max_calls
    cap = budget.max_cost_pico
    return too_many or (cap is not None and cost_pico > cap)
