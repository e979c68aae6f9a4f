"""Questions that are still to come: built while others are asked, and looked up in the store while that pays."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from mixlab.config.problems import UserError
from mixlab.data.replies import REFUSED, Reply
from mixlab.evaluation.judges.books import Books
from mixlab.evaluation.judges.request import Outcome, Request

POLL_SECONDS = 0.2
"""How often a question that another process asks, or that waits for money to come back, is looked at again."""

_LOOKED_UP_AT_ONCE = 64
"""So many requests are built, and looked up in the store, before other requests and replies have their turn."""


class Known:
    """What is known of a model: `has_answered` says whether it ever did.

    Until then, refusals may mean that the request's form is wrong.
    """

    def __init__(self) -> None:
        self.has_answered = False

    def note_answers(self, stored: Iterable[Sequence[Reply]]) -> None:
        """Note that the model answered before, where `stored` replies to questions say so."""
        self.has_answered |= any(reply.finish_reason != REFUSED for replies in stored for reply in replies)


class Coming:
    """The questions of one round that nobody works on yet; `outcome` says why the store could not be read."""

    def __init__(self, requests: Iterator[Request], books: Books, known: Known, outcome: Outcome) -> None:
        self._requests, self._books, self._known, self._outcome = requests, books, known, outcome
        self._queue: deque[Request] = deque()
        self._filling: asyncio.Event | None = None
        self._is_looking = True
        self._not_looked_up: list[bytes] = []
        self._elsewhere: list[Request] = []
        self._again: asyncio.Event | None = None
        self.error: Exception | None = None
        """What went wrong while a request was built."""

    async def take(self) -> Request | None:
        """Return the next question; None where there is none now, or none can be built.

        While the store turns out to hold answers, a window of questions is looked up at a time: that is cheaper than a
        grant for each, which says the same. Where it holds none, looking would be in the way of grants.
        """
        while not self._queue:
            if not self._is_looking:
                return self._build_one()
            if self._filling is not None:
                await self._filling.wait()
            elif some := self._build(_LOOKED_UP_AT_ONCE):
                await self._fill(some)
            else:
                return None
        return self._queue.popleft()

    def note_answered(self, request: Request) -> None:
        """Note that the store has a reply to a question that was not dropped: it may have the next ones' as well."""
        self._is_looking = True
        self._remember(request)

    def put_off(self, request: Request) -> None:
        """Note that another process asks a question."""
        self._elsewhere.append(request)

    async def wait_for_others(self) -> bool:
        """Wait until what others ask is to be looked at again, all that wait at once; False where there is none."""
        if not self._elsewhere:
            return False
        if self._again is None:
            self._again = asyncio.Event()
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._look_again, self._again)
        await self._again.wait()
        return True

    async def look_for_answers(self) -> None:
        """Look whether the store has an answer to anything that was not looked up, or is still to come."""
        while not self._known.has_answered and self._outcome.failure is None:
            if self._not_looked_up:
                passed, self._not_looked_up = self._not_looked_up, []
                await self._look_up(passed)
            elif some := self._build(_LOOKED_UP_AT_ONCE):
                self._queue.extend(await self._drop_answered(some))
            else:
                return

    async def _fill(self, some: list[Request]) -> None:
        """Queue what the store has no answer to; all that wait for it go on together, and so share one commit."""
        self._filling = asyncio.Event()
        try:
            left = await self._drop_answered(some)
            self._is_looking = len(left) < len(some)
            self._queue.extend(left)
        finally:
            self._filling.set()
            self._filling = None

    def _build_one(self) -> Request | None:
        for request in self._build(1):
            self._remember(request)
            return request
        return None

    def _remember(self, request: Request) -> None:
        """Keep a question that was not looked up: where all is refused, its answer in the store may be the only one."""
        if not self._known.has_answered:
            self._not_looked_up.append(request.question)

    def _build(self, count: int) -> list[Request]:
        """Let the next requests be built; what goes wrong then is raised once what is under way has ended."""
        try:
            return list(islice(self._requests, count))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is raised where requests are asked for)
            self.error = error
            self._requests = iter(())
            return []

    async def _drop_answered(self, some: list[Request]) -> list[Request]:
        stored = await self._look_up([one.question for one in some])
        return [one for one in some if one.question not in stored]

    async def _look_up(self, questions: list[bytes]) -> Collection[bytes]:
        """Say which questions the store has a reply to, and note whether one is an answer."""
        try:
            stored = await self._books.read(questions)
        except UserError as error:
            self._outcome.failure = self._outcome.failure or error
            return ()
        self._known.note_answers(stored.values())
        return stored

    def _look_again(self, again: asyncio.Event) -> None:
        self._queue.extend(self._elsewhere)
        self._elsewhere.clear()
        self._again = None
        again.set()
