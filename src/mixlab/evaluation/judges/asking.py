"""Asks a judge's endpoint many questions at a time, each try claimed, counted, journalled and kept.

Every question ends as an answer in the store, or in the outcome: given up, over the budget, or not asked because the
endpoint cannot be used. Nothing is silent.
"""

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from mixlab.config.judge_budget import JudgePrice
from mixlab.config.problems import DataError, UserError
from mixlab.data.replies import REFUSED, Reply
from mixlab.evaluation.judges.books import GATHER_SECONDS, Books
from mixlab.evaluation.judges.coming import POLL_SECONDS, Coming, Known
from mixlab.evaluation.judges.garbage import keep_all
from mixlab.evaluation.judges.journal import Journal
from mixlab.evaluation.judges.request import Outcome as Outcome
from mixlab.evaluation.judges.request import Request as Request
from mixlab.evaluation.judges.store import Account, Call, Ended, Grant, VerdictStore, cut_pico
from mixlab.generation.async_chat import AsyncChat
from mixlab.generation.breaker import Breaker
from mixlab.generation.openai import ChatClient, EndpointError, Fault, RefusedError, estimate_tokens
from mixlab.generation.pacing import build_backoff
from mixlab.generation.replies import ChatReply

_REFUSALS_BEFORE_DOUBT = 50
_AHEAD = 40
"""So many times as many workers as requests may be under way: the others have their next request granted meanwhile, so
that a commit, which waits for the disk (seen: 1.3 s), may take 39 times as long as a reply before a place stays empty.
"""


def bound_cost(price: JudgePrice | None, body: bytes, max_tokens: int) -> int:
    """The most that a request can cost: a token is at least a byte of it, and a reply has at most `max_tokens`."""
    return 0 if price is None else cut_pico(price.cost_pico(len(body), max_tokens))


class Asker:
    """Asks one endpoint for one account; keeps its connections from one `ask` to the next. Use it as a context."""

    def __init__(self, client: ChatClient, store: VerdictStore, account: Account, price: JudgePrice | None) -> None:
        self._client, self._store, self._account, self._price = client, store, account, price
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge-store")
        self._chat: AsyncChat | None = None
        self._jitter = random.Random()
        self.known = Known()

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
        with keep_all():
            return self._runner.run(self._ask(requests))

    async def _ask(self, requests: Iterator[Request]) -> Outcome:
        if self._chat is None:
            self._chat = await AsyncChat(self._client).__aenter__()
        books = Books(self._store, self._account, self._thread)
        round_ = _Round(self, self._chat, books, self._store.journal(), requests)
        commits = asyncio.create_task(books.run())
        try:
            async with asyncio.TaskGroup() as group:
                senders = [group.create_task(round_.send()) for _ in range(self._client.endpoint.concurrency)]
                await self._work(round_)
                for sender in senders:
                    sender.cancel()
            await round_.settle_refusals()
        finally:
            books.close()
            await commits
        if round_.coming.error is not None:
            raise round_.coming.error
        round_.outcome.failure = round_.outcome.failure or books.failure
        return round_.outcome

    async def _work(self, round_: "_Round") -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AHEAD):
                for _ in range(self._client.endpoint.concurrency):
                    group.create_task(round_.work())
                # a few with each commit: the first requests leave before those of all workers are built and granted
                await asyncio.sleep(GATHER_SECONDS)
                if round_.has_taken_all:
                    break

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
        self, asker: Asker, chat: AsyncChat, books: Books, journal: Journal, requests: Iterator[Request]
    ) -> None:
        self._asker, self._chat, self._books, self._journal = asker, chat, books, journal
        self._client = asker.client
        endpoint = self._client.endpoint
        self._tries = endpoint.max_retries + 1
        self._granted: asyncio.Queue[tuple[Call, Request, asyncio.Future[ChatReply | Fault | None]]] = asyncio.Queue()
        self._breaker = Breaker(self._client.backoff_seconds, self._tries)
        self._has_looked = False
        self._refused: list[tuple[Call, Reply]] = []
        self._is_spent = False
        self.outcome = Outcome()
        self.coming = Coming(requests, books, asker.known, self.outcome)
        self.has_taken_all = False

    async def work(self) -> None:
        """Take one question after the other until there is none."""
        while True:
            request = await self.coming.take()
            if request is not None:
                await self._finish(request)
            elif not await self.coming.wait_for_others():
                self.has_taken_all = True
                return

    async def _finish(self, request: Request) -> None:
        if self.outcome.failure is None and not self._is_spent:
            await self._ask(request)
            return
        (self.outcome.over_budget if self.outcome.failure is None else self.outcome.unasked).append(request.question)
        await asyncio.sleep(0)  # replies to others are read meanwhile

    async def _ask(self, request: Request) -> None:
        """Try a question until it is answered or given up."""
        call = Call(request.question, request.attempt, bound_cost(self._asker.price, request.data, request.max_tokens))
        last = Fault("")
        for tried in range(1, self._tries + 1):
            if not await self._is_granted(request, call):
                return
            try:
                found = await self._hand_over(call, request)
            except UserError as error:
                self._fail(error, request)
                return
            if not isinstance(found, Fault):
                return
            last = found
            is_last = tried == self._tries
            # what was never said not to be billed stays counted at its highest
            self._books.end(Ended(call, 0 if found.is_free else call.worst_pico, is_last=is_last))
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
                self.coming.note_answered(request)
                return False
            if grant is Grant.ELSEWHERE:
                self.coming.put_off(request)
                return False
            # what is under way may cost less than it could have
            if self._is_spent or grant is Grant.SPENT:
                self._is_spent = True
                self.outcome.over_budget.append(request.question)
                return False
            await asyncio.sleep(POLL_SECONDS / 4)
        self.outcome.unasked.append(request.question)
        return False

    async def _hand_over(self, call: Call, request: Request) -> ChatReply | Fault | None:
        """Have a granted try sent by who sends next; see `_send`."""
        ended: asyncio.Future[ChatReply | Fault | None] = asyncio.get_running_loop().create_future()
        self._granted.put_nowait((call, request, ended))
        return await ended

    async def send(self) -> None:
        """Send one granted try after the other until cancelled: of these tasks there are as many as may be under way.

        A task that has its reply sends the next request at once. Were it to let another task do so, replies that come
        together would all be read before the first of their places is taken again, and so would come together again.
        """
        while True:
            call, request, ended = await self._granted.get()
            try:
                found = await self._send(call, request)
            except UserError as error:
                self.outcome.failure = self.outcome.failure or error
                if not ended.done():
                    ended.set_exception(error)
            else:
                if not ended.done():  # who waited for it may have been cancelled
                    ended.set_result(found)

    async def _send(self, call: Call, request: Request) -> ChatReply | Fault | None:
        """Send a granted try when rate limits and breaker let it; None: answered, refused, or never sent.

        Raises EndpointError; the try has ended then.
        """
        estimated = estimate_tokens(request.data, request.max_tokens)
        if not await self._may_start(estimated):
            self._books.end(Ended(call, 0, is_unsent=True))
            if self._breaker.is_gone and self.outcome.failure is None:
                raise self._describe_gone()
            self.outcome.unasked.append(request.question)
            return None
        self._journal.note_sent(call.name)
        try:
            found = await self._chat.send(request.data, request.model, request.max_tokens)
        except RefusedError as error:
            self._breaker.succeed()
            await self._refuse(call, Reply(error.said, REFUSED))
            return None
        except EndpointError:
            self._books.end(Ended(call, 0))
            raise
        if isinstance(found, Fault):
            self._client.pacer.hold(found.wait_seconds)
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
            cost = cut_pico(price.cost_pico(reply.prompt_tokens, reply.response_tokens))
        self._books.end(Ended(call, cost, reply))
        self._asker.known.has_answered = True
        self._journal.note_reply(call.name, reply, cost)

    async def _refuse(self, call: Call, reply: Reply) -> None:
        """Keep a refusal once anything was answered: until then the request's form may be wrong.

        It is settled at once all the same: calls of this process and of others wait for what is under way.
        """
        if self._asker.known.has_answered:
            self._books.end(Ended(call, 0, reply))
            self._journal.note_reply(call.name, reply, 0)
            self._keep_refusals()
            return
        self._books.end(Ended(call, 0))
        self._refused.append((call, reply))
        if len(self._refused) >= _REFUSALS_BEFORE_DOUBT and not self._has_looked:
            self._has_looked = True
            await self.coming.look_for_answers()
            if not self._asker.known.has_answered:
                self.outcome.failure = self.outcome.failure or self._build_doubt()

    async def settle_refusals(self) -> None:
        """Keep the refusals, or doubt the request where there is nothing else."""
        if self._refused and self.outcome.failure is None:
            await self.coming.look_for_answers()
            if not self._asker.known.has_answered:
                self.outcome.failure = self.outcome.failure or self._build_doubt()
        self._keep_refusals()

    def _keep_refusals(self) -> None:
        for call, reply in self._refused:
            if self._asker.known.has_answered:
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
