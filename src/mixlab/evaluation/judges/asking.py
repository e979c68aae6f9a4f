"""Asks a judge's endpoint many questions at a time, each try claimed, counted, journalled and kept.

Every question ends as an answer in the store, or in the outcome: given up, over the budget, or not asked because the
endpoint cannot be used. Nothing is silent.
"""

import asyncio
import gc
import random
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from mixlab.config.judge_budget import JudgePrice
from mixlab.config.problems import DataError, UserError
from mixlab.data.replies import REFUSED, Reply
from mixlab.evaluation.judges.books import GATHER_SECONDS, Books
from mixlab.evaluation.judges.journal import Journal
from mixlab.evaluation.judges.request import Request as Request
from mixlab.evaluation.judges.store import Account, Call, Ended, Grant, VerdictStore
from mixlab.generation.async_chat import AsyncChat
from mixlab.generation.breaker import Breaker
from mixlab.generation.openai import ChatClient, EndpointError, Fault, RefusedError, estimate_tokens
from mixlab.generation.pacing import build_backoff
from mixlab.generation.replies import ChatReply

_POLL_SECONDS = 0.2
"""How often a question that another process asks, or that waits for money to come back, is looked at again."""
_REFUSALS_BEFORE_DOUBT = 50
_AHEAD = 40
"""So many times as many workers as requests may be under way: the others have their next request granted meanwhile, so
that a commit, which waits for the disk (seen: 1.3 s), may take 39 times as long as a reply before a place stays empty.
"""

_LOOKED_UP_AT_ONCE = 64
"""So many requests are built, and looked up in the store, before other requests and replies have their turn."""


@dataclass
class Outcome:
    """What became of the questions that are not in the store."""

    given_up: dict[bytes, str] = field(default_factory=dict)
    """Questions that no try could get answered, and why."""
    over_budget: list[bytes] = field(default_factory=list)
    unasked: list[bytes] = field(default_factory=list)
    """Questions that were not asked since the endpoint or the store cannot be used: `failure` says why."""
    failure: UserError | None = None


def bound_cost(price: JudgePrice | None, body: bytes, max_tokens: int) -> int:
    """The most that a request can cost: a token is at least a byte of it, and a reply has at most `max_tokens`."""
    return 0 if price is None else price.cost_pico(len(body), max_tokens)


class Asker:
    """Asks one endpoint for one account; keeps its connections from one `ask` to the next. Use it as a context."""

    def __init__(self, client: ChatClient, store: VerdictStore, account: Account, price: JudgePrice | None) -> None:
        self._client, self._store, self._account, self._price = client, store, account, price
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge-store")
        self._chat: AsyncChat | None = None
        self._jitter = random.Random()
        self.has_answered = False
        """Whether the model ever answered: until then, refusals may mean that the request's form is wrong."""

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *error: object) -> None:
        if self._chat is not None:
            self._runner.run(self._chat.__aexit__(None, None, None))
        self._runner.close()
        self._thread.shutdown()

    def ask(self, requests: Iterator[Request]) -> Outcome:
        """Ask every request until it is answered, or say what became of it; replies are in the store then.

        `requests` are taken while earlier ones are under way, and to their end; they must not use the store. What goes
        wrong in them is raised once what was under way has ended.
        """
        # what is here stays here, and looking through it for garbage would stop all requests for a tenth of a second
        gc.freeze()
        try:
            return self._runner.run(self._ask(requests))
        finally:
            gc.unfreeze()

    async def _ask(self, requests: Iterator[Request]) -> Outcome:
        if self._chat is None:
            self._chat = await AsyncChat(self._client).__aenter__()
        books = Books(self._store, self._account, self._thread)
        round_ = _Round(self, self._chat, books, self._store.journal(), requests)
        commits = asyncio.create_task(books.run())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AHEAD):
                    for _ in range(self._client.endpoint.concurrency):
                        group.create_task(round_.work())
                    # a few with each commit: the first requests leave before those of all workers are built and granted
                    await asyncio.sleep(GATHER_SECONDS)
                    if round_.has_taken_all:
                        break
            await round_.settle_refusals()
        finally:
            books.close()
            await commits
        if round_.error is not None:
            raise round_.error
        round_.outcome.failure = round_.outcome.failure or books.failure
        return round_.outcome

    def note_answers(self, stored: Iterable[Sequence[Reply]]) -> None:
        """Note that the model answered before, where `stored` replies to questions say so."""
        self.has_answered |= any(reply.finish_reason != REFUSED for replies in stored for reply in replies)

    @property
    def client(self) -> ChatClient:
        """The endpoint's client."""
        return self._client

    @property
    def price(self) -> JudgePrice | None:
        """What the model's tokens cost."""
        return self._price

    def back_off(self, tried: int) -> float:
        """Return the seconds to wait after so many tries."""
        return build_backoff(tried, self._client.backoff_seconds, self._jitter)


class _Round:
    """The questions of one call of `Asker.ask`, and what is under way."""

    def __init__(
        self, asker: Asker, chat: AsyncChat, books: Books, journal: Journal, coming: Iterator[Request]
    ) -> None:
        self._asker, self._chat, self._books, self._journal, self._coming = asker, chat, books, journal, coming
        self._client = asker.client
        endpoint = self._client.endpoint
        self._tries = endpoint.max_retries + 1
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._breaker = Breaker(self._client.backoff_seconds, self._tries)
        self._queue: deque[Request] = deque()
        self._filling = asyncio.Lock()
        self._is_looking = True
        self._not_looked_up: list[bytes] = []
        self._elsewhere: list[Request] = []
        self._again: asyncio.Event | None = None
        self._has_looked = False
        self._refused: list[tuple[Call, Reply]] = []
        self._is_spent = False
        self.outcome = Outcome()
        self.has_taken_all = False
        self.error: Exception | None = None
        """What went wrong while a request was built."""

    async def work(self) -> None:
        """Take one question after the other until there is none."""
        while True:
            request = await self._take()
            if request is not None:
                await self._finish(request)
            elif self._elsewhere:
                await self._wait_for_others()
            else:
                self.has_taken_all = True
                return

    async def _take(self) -> Request | None:
        """Return the next question; None where there is none left, or none can be built.

        While the store turns out to hold answers, it is looked whether it holds this one's: a commit that grants a
        request would say so as well, but a window at a time is cheaper. Where it holds none, looking would cost more.
        """
        while not self._queue:
            if not self._is_looking:
                return self._build_unseen()
            async with self._filling:
                if self._queue or not self._is_looking:
                    continue
                some = self._build(_LOOKED_UP_AT_ONCE)
                if not some:
                    return None
                left = await self._drop_answered(some)
                self._is_looking = len(left) < len(some)
                self._queue.extend(left)
        return self._queue.popleft()

    def _build_unseen(self) -> Request | None:
        """Build the next request without looking it up."""
        for request in self._build(1):
            self._pass(request)
            return request
        return None

    def _pass(self, request: Request) -> None:
        """Note what was not looked up; until the model has answered, that may have to be done yet."""
        if not self._asker.has_answered:
            self._not_looked_up.append(request.question)

    def _build(self, count: int) -> list[Request]:
        """Let the next requests be built; what goes wrong then is raised once what is under way has ended."""
        try:
            return list(islice(self._coming, count))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is raised where requests are asked for)
            self.error = error
            self._coming = iter(())
            return []

    async def _drop_answered(self, some: list[Request]) -> list[Request]:
        stored = await self._look_up([one.question for one in some])
        return [one for one in some if one.question not in stored]

    async def _look_up(self, questions: list[bytes]) -> Collection[bytes]:
        """Say which questions the store has a reply to, and note whether one is an answer."""
        try:
            stored = await self._books.read(questions)
        except UserError as error:
            self.outcome.failure = self.outcome.failure or error
            return ()
        self._asker.note_answers(stored.values())
        return stored

    async def _finish(self, request: Request) -> None:
        if self.outcome.failure is None and not self._is_spent:
            await self._ask(request)
            return
        (self.outcome.over_budget if self.outcome.failure is None else self.outcome.unasked).append(request.question)
        await asyncio.sleep(0)  # replies to others are read meanwhile

    async def _wait_for_others(self) -> None:
        """Wait until what other processes ask is to be looked at again: all workers at once."""
        if self._again is None:
            self._again = asyncio.Event()
            asyncio.get_running_loop().call_later(_POLL_SECONDS, self._look_again, self._again)
        await self._again.wait()

    def _look_again(self, again: asyncio.Event) -> None:
        self._queue.extend(self._elsewhere)
        self._elsewhere.clear()
        self._again = None
        again.set()

    async def _ask(self, request: Request) -> None:
        """Try a question until it is answered or given up."""
        call = Call(request.question, request.attempt, bound_cost(self._asker.price, request.data, request.max_tokens))
        last = Fault("")
        for tried in range(1, self._tries + 1):
            if not await self._is_granted(request, call):
                return
            try:
                found = await self._send(call, request)
            except UserError as error:
                self._fail(error, request)
                return
            if not isinstance(found, Fault):
                return
            last = found
            is_last = tried == self._tries
            # what was never said not to be billed stays counted at its highest
            self._books.end(Ended(call, 0 if found.is_free else call.worst_pico, is_last=is_last))
            self._client.pacer.hold(found.wait_seconds)
            if not is_last:
                await asyncio.sleep(max(found.wait_seconds, self._asker.back_off(tried)))
        tries = f"{self._tries} {'try' if self._tries == 1 else 'tries'}"
        self.outcome.given_up[request.question] = f"{self._client.where}: no answer after {tries}: {last.message}"

    async def _is_granted(self, request: Request, call: Call) -> bool:
        """Whether a try may be made; where not, the question is noted as what it is then."""
        while self.outcome.failure is None:
            try:
                grant = await self._books.grant(call)
            except UserError as error:
                self._fail(error, request)
                return False
            if grant is Grant.GO:
                return True
            if grant is Grant.ANSWERED:
                self._is_looking = True
                self._pass(request)
                return False
            if grant is Grant.ELSEWHERE:
                self._elsewhere.append(request)
                return False
            # what is under way may cost less than it could have
            if self._is_spent or grant is Grant.SPENT:
                self._is_spent = True
                self.outcome.over_budget.append(request.question)
                return False
            await asyncio.sleep(_POLL_SECONDS / 4)
        self.outcome.unasked.append(request.question)
        return False

    async def _send(self, call: Call, request: Request) -> ChatReply | Fault | None:
        """Send a granted try when rate limits and breaker let it; None: answered, refused, or never sent.

        Raises EndpointError; the try has ended then.
        """
        async with self._slots:
            estimated = estimate_tokens(request.data, request.max_tokens)
            if not await self._may_start(estimated):
                self._books.end(Ended(call, 0, is_unsent=True))
                if self._breaker.is_gone and self.outcome.failure is None:
                    raise self._describe_gone()
                self.outcome.unasked.append(request.question)
                return None
            self._journal.note_sent(call.name)
            try:
                found = await self._chat.send(request.data, request.model)
            except RefusedError as error:
                self._breaker.succeed()
                await self._refuse(call, Reply(error.said, REFUSED))
                return None
            except EndpointError:
                self._books.end(Ended(call, 0))
                raise
            if isinstance(found, Fault):
                if found.is_down:
                    self._breaker.fail()
                    self._last_fault = found
                else:
                    self._breaker.succeed()
                return found
            self._breaker.succeed()
            self._client.pacer.correct(estimated, found.prompt_tokens + found.response_tokens or estimated)
            self._keep(call, found)
            return found

    async def _may_start(self, tokens: int) -> bool:
        """Wait for breaker and rate limits; False once nothing may start any more."""
        while self.outcome.failure is None and not self._breaker.is_gone:
            delay = self._breaker.delay() or self._client.pacer.claim(tokens)
            if delay <= 0:
                self._breaker.start()
                return True
            await asyncio.sleep(delay)
        return False

    def _keep(self, call: Call, found: ChatReply) -> None:
        reply = Reply(found.text, found.finish_reason, found.prompt_tokens, found.response_tokens)
        price, cost = self._asker.price, call.worst_pico
        # a reply that does not say what it took counts as the most it can have taken
        if price is not None and reply.prompt_tokens and (reply.response_tokens or not reply.text):
            cost = price.cost_pico(reply.prompt_tokens, reply.response_tokens)
        self._books.end(Ended(call, cost, reply))
        self._asker.has_answered = True
        self._journal.note_reply(call.name, reply, cost)

    async def _refuse(self, call: Call, reply: Reply) -> None:
        """Keep a refusal once anything was answered: until then the request's form may be wrong.

        It is settled at once all the same: calls of this process and of others wait for what is under way.
        """
        if self._asker.has_answered:
            self._books.end(Ended(call, 0, reply))
            self._journal.note_reply(call.name, reply, 0)
            self._keep_refusals()
            return
        self._books.end(Ended(call, 0))
        self._refused.append((call, reply))
        if len(self._refused) >= _REFUSALS_BEFORE_DOUBT and not self._has_looked:
            self._has_looked = True
            await self._look_for_answers()
            if not self._asker.has_answered:
                self.outcome.failure = self.outcome.failure or self._build_doubt()

    async def _look_for_answers(self) -> None:
        """Look whether the store has an answer to anything that was not looked up, or is still to come."""
        while not self._asker.has_answered and self.outcome.failure is None:
            if self._not_looked_up:
                passed, self._not_looked_up = self._not_looked_up, []
                await self._look_up(passed)
            elif some := self._build(_LOOKED_UP_AT_ONCE):
                self._queue.extend(await self._drop_answered(some))
            else:
                return

    async def settle_refusals(self) -> None:
        """Keep the refusals, or doubt the request where there is nothing else."""
        if self._refused and self.outcome.failure is None:
            await self._look_for_answers()
            if not self._asker.has_answered:
                self.outcome.failure = self.outcome.failure or self._build_doubt()
        self._keep_refusals()

    def _keep_refusals(self) -> None:
        for call, reply in self._refused:
            if self._asker.has_answered:
                self._books.keep(call, reply)
            else:
                self.outcome.unasked.append(call.question)
        self._refused.clear()

    def _build_doubt(self) -> DataError:
        count = len(self._refused)
        said = "the only question was" if count == 1 else f"all of the first {count} questions were"
        return DataError(
            f"{self._client.where}: {said} refused, so that the request itself may be wrong; mend the judge's settings "
            f"(max_tokens_name, extra). The last refusal: {self._refused[-1][1].text}"
        )

    def _describe_gone(self) -> EndpointError:
        said = self._last_fault.message
        return EndpointError(
            f"{self._client.where}: gone: {self._breaker.failures} tries in a row failed, the last {self._tries} "
            f"of them one by one after pauses: {said}; run again when it is back: every verdict that arrived is kept"
        )

    def _fail(self, error: UserError, request: Request) -> None:
        self.outcome.failure = self.outcome.failure or error
        self.outcome.unasked.append(request.question)

    _last_fault = Fault("no answer")
