"""Many requests to one endpoint at a time; replies are handed over as they arrive."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.problems import UserError
from mixlab.data.labels.questions import REFUSED, UNANSWERED
from mixlab.data.records import Message
from mixlab.generation.async_chat import AsyncChat
from mixlab.generation.openai import ChatClient, EndpointError, RefusedError, UnansweredError
from mixlab.generation.pacing import Stopped
from mixlab.generation.replies import ChatReply

UNANSWERED_IN_A_ROW = 20
"""After so many requests in a row without an answer, the endpoint counts as gone."""

Request = tuple[Sequence[Message] | str, ChatModelSettings]
_Found = ChatReply | EndpointError | None


def ask_all(client: ChatClient, requests: Iterable[Request]) -> Iterator[list[tuple[int, ChatReply]]]:
    """Yield lists of (position of the request, its reply) as they arrive, with bounded requests under way.

    A refused or unanswered request yields a reply with that finish reason. Raises EndpointError when the endpoint
    cannot be used or is gone, after handing over every reply that had been asked for by then. Requests are under way
    while the next list is asked for.
    """
    coming = enumerate(requests)
    with asyncio.Runner() as runner:
        work = _Work(AsyncChat(client))
        runner.run(work.open())
        try:
            while True:
                some = list(islice(coming, work.room))
                if not (some or work.waiting):
                    break
                if arrived := runner.run(work.go_on(some)):
                    yield arrived
            if work.failure is not None:
                raise work.failure
        finally:
            runner.run(work.close())


class _Work:
    """The requests that are under way."""

    def __init__(self, chat: AsyncChat) -> None:
        self._chat = chat
        self._stop = asyncio.Event()
        self._in_a_row = 0
        self.waiting: dict[asyncio.Task[_Found], int] = {}
        self.failure: UserError | None = None

    @property
    def room(self) -> int:
        """How many more requests may be under way."""
        return 0 if self.failure else self._chat.client.endpoint.concurrency - len(self.waiting)

    async def open(self) -> None:
        """Open the connections."""
        await self._chat.__aenter__()

    async def close(self) -> None:
        """Leave what is under way alone, and close the connections."""
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)
        await self._chat.__aexit__(None, None, None)

    async def go_on(self, some: Iterable[tuple[int, Request]]) -> list[tuple[int, ChatReply]]:
        """Ask for more and return what arrives next, by position; nothing where it was no reply."""
        for position, request in some:
            self.waiting[asyncio.create_task(self._ask(*request))] = position
        done, _ = await asyncio.wait(self.waiting, return_when=asyncio.FIRST_COMPLETED)
        arrived = []
        for task in done:
            position, reply = self.waiting.pop(task), task.result()
            if isinstance(reply, ChatReply):
                arrived.append((position, reply))
                self._in_a_row = self._in_a_row + 1 if reply.finish_reason == UNANSWERED else 0
                if self._in_a_row >= UNANSWERED_IN_A_ROW:
                    reply = EndpointError(f"{reply.text}; {self._in_a_row} requests in a row went unanswered")
            if isinstance(reply, UserError):
                self.failure = self.failure or reply
                self._stop.set()
        return sorted(arrived, key=lambda one: one[0])

    async def _ask(self, messages: Sequence[Message] | str, settings: ChatModelSettings) -> _Found:
        try:
            return await self._chat.chat(messages, settings, self._stop)
        except RefusedError as error:
            return ChatReply(error.said, REFUSED)
        except UnansweredError as error:
            return ChatReply(str(error), UNANSWERED)
        except EndpointError as error:
            return error
        except Stopped:
            return None
