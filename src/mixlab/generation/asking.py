"""Many requests to one endpoint at a time; replies are handed over as they arrive."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from mixlab.config.endpoints import ChatModelSettings
from mixlab.config.problems import UserError
from mixlab.data.labels.questions import REFUSED, UNANSWERED
from mixlab.data.records import Message
from mixlab.generation.openai import ChatClient, EndpointError, RefusedError, UnansweredError
from mixlab.generation.pacing import Stopped
from mixlab.generation.replies import ChatReply

UNANSWERED_IN_A_ROW = 20
"""After so many requests in a row without an answer, the endpoint counts as gone."""

Request = tuple[Sequence[Message] | str, ChatModelSettings]


def ask_all(client: ChatClient, requests: Iterable[Request]) -> Iterator[list[tuple[int, ChatReply]]]:
    """Yield lists of (position of the request, its reply) as they arrive, with bounded requests under way.

    A refused or unanswered request yields a reply with that finish reason. Raises EndpointError when the endpoint
    cannot be used or is gone, after handing over every reply that had been asked for by then.
    """
    stop, coming = threading.Event(), enumerate(requests)
    waiting: dict[Future[ChatReply], int] = {}
    failure: UserError | None = None
    in_a_row = 0
    pool = ThreadPoolExecutor(client.endpoint.concurrency, thread_name_prefix="ask")
    try:
        while True:
            room = 0 if failure else client.endpoint.concurrency - len(waiting)
            for position, (messages, settings) in islice(coming, room):
                waiting[pool.submit(client.chat, messages, settings, stop)] = position
            if not waiting:
                break
            arrived = []
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                position, reply = waiting.pop(future), _collect(future)
                if isinstance(reply, ChatReply):
                    arrived.append((position, reply))
                    in_a_row = in_a_row + 1 if reply.finish_reason == UNANSWERED else 0
                    if in_a_row >= UNANSWERED_IN_A_ROW:
                        reply = EndpointError(f"{reply.text}; {in_a_row} requests in a row went unanswered")
                if isinstance(reply, UserError):
                    failure = failure or reply
                    stop.set()
            if arrived:
                yield sorted(arrived, key=lambda one: one[0])
        if failure is not None:
            raise failure
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _collect(future: "Future[ChatReply]") -> ChatReply | EndpointError | None:
    try:
        return future.result()
    except RefusedError as error:
        return ChatReply(error.said, REFUSED)
    except UnansweredError as error:
        return ChatReply(str(error), UNANSWERED)
    except EndpointError as error:
        return error
    except Stopped:
        return None
