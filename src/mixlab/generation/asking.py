"""Many requests to one endpoint at a time; replies are handed over as they arrive."""

import asyncio
import atexit
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from threading import Thread, current_thread

from mixlab.config.endpoints import ChatModelSettings
from mixlab.data.labels.questions import REFUSED, UNANSWERED
from mixlab.data.records import Message
from mixlab.generation.async_chat import AsyncChat
from mixlab.generation.openai import ChatClient, EndpointError, RefusedError, UnansweredError
from mixlab.generation.pacing import Stopped
from mixlab.generation.replies import ChatReply

UNANSWERED_IN_A_ROW = 20
"""After so many requests in a row without an answer, the endpoint counts as gone."""

Request = tuple[Sequence[Message] | str, ChatModelSettings]
_Arrived = tuple[int, ChatReply | None]
"""Position of a request, and its reply: None where there is none since the work was stopped."""
_OPEN: _Arrived = (-1, None)
"""Arrives before all others: requests can be sent."""


def ask_all(client: ChatClient, requests: Iterable[Request]) -> Iterator[list[tuple[int, ChatReply]]]:
    """Yield lists of (position of the request, its reply) as they arrive, with bounded requests under way.

    A refused or unanswered request yields a reply with that finish reason. Raises EndpointError when the endpoint
    cannot be used or is gone, and whatever else goes wrong, after handing over every reply that had been asked for by
    then. Requests are under way while the next list is asked for: at most `concurrency` are sent whose replies were
    not handed over and worked on. `requests` is read in the caller's thread.
    """
    coming = enumerate(requests)
    work = _Work(client)
    try:
        work.wait_open()
        while True:
            work.add(list(islice(coming, work.room)))
            if not work.under_way:
                break
            if arrived := work.take():
                yield arrived
        if work.failure is not None:
            raise work.failure
    finally:
        work.close()


class _Work:
    """The requests that are under way, in the event loop of a thread of its own.

    The loop runs on while the caller works on replies: else time limits would pass with replies unread in the socket.
    """

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._arrived: SimpleQueue[_Arrived | BaseException] = SimpleQueue()
        self._stop, self._end = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_a_row = 0
        self.under_way = 0
        self.failure: Exception | None = None
        self._loop = asyncio.new_event_loop()
        # an exception that ends the process may hold the generator, so that nobody closes it before the exit
        self._thread = Thread(target=self._run, name="endpoint-requests", daemon=True)
        atexit.register(self.close)
        self._thread.start()

    @property
    def room(self) -> int:
        """How many more requests may be under way."""
        return 0 if self.failure else self._client.endpoint.concurrency - self.under_way

    def wait_open(self) -> None:
        """Wait until requests can be sent."""
        self._get()

    def add(self, some: Sequence[tuple[int, Request]]) -> None:
        """Send more requests."""
        if some:
            self.under_way += len(some)
            self._loop.call_soon_threadsafe(self._begin, some)

    def take(self) -> list[tuple[int, ChatReply]]:
        """Wait for what arrives next and return all that is there, by position; nothing where it was no reply."""
        arrived = [self._get()]
        while not self._arrived.empty():
            arrived.append(self._get())
        self.under_way -= len(arrived)
        return sorted(((at, reply) for at, reply in arrived if reply is not None), key=lambda one: one[0])

    def close(self) -> None:
        """Leave what is under way alone, and end the connections and the thread."""
        atexit.unregister(self.close)
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._end.set)
        # the collector may let go of a generator in any thread
        if current_thread() is not self._thread:
            self._thread.join()

    def _get(self) -> _Arrived:
        found = self._arrived.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is raised where it is waited for)
            self._arrived.put(error)

    async def _serve(self) -> None:
        async with AsyncChat(self._client) as self._chat:
            self._arrived.put(_OPEN)
            await self._end.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, some: Sequence[tuple[int, Request]]) -> None:
        for position, (messages, settings) in some:
            task = self._loop.create_task(self._ask(position, messages, settings))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, position: int, messages: Sequence[Message] | str, settings: ChatModelSettings) -> None:
        reply = None
        try:
            reply = await self._chat.chat(messages, settings, self._stop)
            self._in_a_row = 0
        except RefusedError as error:
            reply, self._in_a_row = ChatReply(error.said, REFUSED), 0
        except UnansweredError as error:
            reply = ChatReply(str(error), UNANSWERED)
            self._in_a_row += 1
            if self._in_a_row >= UNANSWERED_IN_A_ROW:
                self._fail(EndpointError(f"{error}; {self._in_a_row} requests in a row went unanswered"))
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001 (other replies go first, then it is raised)
            self._fail(error)
        self._arrived.put((position, reply))

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self._stop.set()
