"""Every verdict of a model that was ever paid for, who is asking for which now, and what was spent.

Before a request is sent it is claimed and counted, in one commit: so no two processes ask the same, and no cap is ever
exceeded, whatever is killed. Costs are counted in 10^-12 of the currency, at the highest possible until a reply says.
Costs and sums end at the largest integer that SQLite has, and stay there: no number that comes in can shut the store.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from mixlab.config.judge_budget import JudgeBudget
from mixlab.data.replies import Reply, ReplyStore
from mixlab.evaluation.judges.journal import Journal, Left, Name, list_owners, read_left

log = logging.getLogger(__name__)

LARGEST_PICO = 2**63 - 1
"""The largest integer of SQLite, 9.2 million of the currency: more than any cap."""
_MOST_TOKENS = 2**24
"""No request and no reply has as many: a journal that says so repeats what nobody should have believed."""

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


def cut_pico(cost_pico: int) -> int:
    """Return a cost, or change of one, that the store can hold: the nearest one."""
    return max(-LARGEST_PICO, min(cost_pico, LARGEST_PICO))


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
            # a claim is there exactly while what became of it is not committed
            is_kept = True
            try:
                with self._explained():
                    query = "SELECT EXISTS (SELECT 1 FROM claims WHERE owner = ?)"
                    is_kept = self._connection.execute(query, (own.owner,)).fetchone() != (0,)
            finally:
                own.close(is_kept=is_kept)
            self._take_in_all()

    def exchange(self, account: Account, ended: Sequence[Ended], wanted: Sequence[Call]) -> list[Grant]:
        """Commit what ended, then say to each wish whether it may be asked; a granted one is counted already."""
        with self._transaction():
            if ended:
                self._settle_all(account, ended)
            return self._grant_all(account, wanted) if wanted else []

    def list_spent(self, study: str | None = None) -> list[Spent]:
        """What was spent, by study and model; of one study or of all."""
        with self._explained():
            rows = self._connection.execute(
                "SELECT study, model, calls, replies, CAST(cost AS INTEGER), CAST(prompt_tokens AS INTEGER), "
                "CAST(response_tokens AS INTEGER) FROM spent "
                "WHERE ? IS NULL OR study = ? ORDER BY study, model",
                (study, study),
            ).fetchall()
        return [Spent(*row) for row in rows]

    def _grant_all(self, account: Account, wanted: Sequence[Call]) -> list[Grant]:
        # first, since it may take in what a dead process left, which changes what is spent
        known = self._find_all(wanted)
        rows = self._connection.execute(
            "SELECT calls, CAST(cost AS INTEGER) FROM spent WHERE study = ?", (account.study,)
        ).fetchall()
        # not by SQLite, whose SUM fails where it exceeds an integer
        spent_calls, spent_cost = sum(one for one, _ in rows), sum(one for _, one in rows)
        calls, cost = spent_calls, spent_cost
        going: list[Call] = []
        grants: list[Grant] = []
        for call in wanted:
            grant = known.get(call.name, Grant.GO)
            if grant is Grant.GO and _exceeds(account.budget, calls + 1, cost + call.worst_pico):
                grant = Grant.SPENT
            elif grant is Grant.GO:
                calls, cost = calls + 1, cost + call.worst_pico
                going.append(call)
            grants.append(grant)
        if going:
            owner = self.journal().owner
            self._run(
                "INSERT INTO claims VALUES {} ON CONFLICT (question, attempt) DO UPDATE SET tries = tries + 1",
                [(*call.name, owner, account.study, account.model, 1, call.worst_pico) for call in going],
            )
            self._spend(account.study, account.model, calls=calls - spent_calls, cost=cost - spent_cost)
        return grants

    def _find_all(self, wanted: Sequence[Call]) -> dict[Name, Grant]:
        """Say which of the questions are answered or asked elsewhere; a claim of a process that is gone is none."""
        questions, owner = [call.question for call in wanted], self.journal().owner
        asked = {call.name for call in wanted}
        known: dict[Name, Grant] = {}
        for question, attempt, holder in list(self._select("SELECT question, attempt, owner FROM claims", questions)):
            if holder == owner or (question, attempt) not in asked:
                continue
            left = read_left(self._folder, holder)
            if left is None:
                known[question, attempt] = Grant.ELSEWHERE
            else:
                self._take_in(left)
        for name in self._select("SELECT question, attempt FROM replies", questions):
            known.setdefault(name, Grant.ANSWERED)
        return known

    def _settle_all(self, account: Account, ended: Sequence[Ended]) -> None:
        replies = [(*one.call.name, one.reply) for one in ended if one.reply is not None]
        self._insert(replies)
        self._spend(
            account.study,
            account.model,
            calls=-sum(one.is_unsent for one in ended),
            cost=sum(one.cost_pico - one.call.worst_pico for one in ended),
            replies=[reply for *_, reply in replies],
        )
        over = [one.call.name for one in ended if one.is_last]
        self._run("DELETE FROM claims WHERE (question, attempt) IN (VALUES {})", over)

    def _spend(self, study: str, model: str, *, calls: int = 0, cost: int = 0, replies: Sequence[Reply] = ()) -> None:
        tokens = sum(one.prompt_tokens for one in replies), sum(one.response_tokens for one in replies)
        # a sum that exceeds an integer is a float to SQLite, which the cast makes the largest integer
        self._connection.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (study, model) DO UPDATE SET "
            "calls = calls + excluded.calls, replies = replies + excluded.replies, "
            "cost = CAST(cost + excluded.cost AS INTEGER), "
            "prompt_tokens = CAST(prompt_tokens + excluded.prompt_tokens AS INTEGER), "
            "response_tokens = CAST(response_tokens + excluded.response_tokens AS INTEGER)",
            (study, model, calls, len(replies), cut_pico(cost), *tokens),
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

        A claim is there exactly while what became of it is not committed. What was sent and not answered stays spent,
        and so does what has an answer whose counts of tokens or cost cannot be; of those it warns.
        """
        absurd = 0
        rows = self._connection.execute(
            "SELECT question, attempt, study, model, tries, worst FROM claims WHERE owner = ?", (left.owner,)
        ).fetchall()
        for question, attempt, study, model, tries, worst in rows:
            unsent = 0 if left.is_lost else max(0, tries - left.sent[(question, attempt)])
            self._spend(study, model, calls=-unsent, cost=-unsent * worst)
            if (found := left.replies.get((question, attempt))) is not None:
                reply, cost = found
                counts = reply.prompt_tokens, reply.response_tokens
                if not (0 <= min(counts) <= max(counts) <= _MOST_TOKENS and 0 <= cost <= LARGEST_PICO):
                    reply, cost, absurd = replace(reply, prompt_tokens=0, response_tokens=0), worst, absurd + 1
                self._insert([(question, attempt, reply)])
                self._spend(study, model, cost=cost - worst, replies=[reply])
        self._connection.execute("DELETE FROM claims WHERE owner = ?", (left.owner,))
        if absurd:
            told = "%s: %d of %d replies state tokens or costs that cannot be; each counts as the most that it can cost"
            log.warning(told, left.path, absurd, len(left.replies))

    def __exit__(self, *error: object) -> None:
        try:
            self.close_journal()
        finally:
            super().__exit__(None, None, None)


def _exceeds(budget: JudgeBudget, calls: int, cost_pico: int) -> bool:
    too_many = budget.max_calls is not None and calls > budget.max_calls
    cap = budget.max_cost_pico
    return too_many or (cap is not None and cost_pico > cap)
