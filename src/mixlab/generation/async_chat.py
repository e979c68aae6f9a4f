"""Requests to a chat endpoint without a thread for each: one event loop holds as many as are under way.

A thread costs about a millisecond of Python for each request, and all threads share one interpreter: 64 of them never
reach the 1,280 requests a second that a reply after 50 ms would allow.
"""

import asyncio
import json
import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import aiohttp

from mixlab.config.endpoints import ChatModelSettings
from mixlab.data.records import Message
from mixlab.generation.openai import (
    CONNECT_SECONDS,
    LARGEST_REPLY_BYTES,
    ChatClient,
    EndpointError,
    Fault,
    NotFoundError,
    UnansweredError,
    build_request,
    estimate_tokens,
    is_overstated,
    suggest_model,
)
from mixlab.generation.pacing import Stopped, build_backoff
from mixlab.generation.replies import ChatReply, read_models

log = logging.getLogger(__name__)

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


class AsyncChat:
    """Sends requests to the endpoint of `client`, which says what an answer is. Use it as a context.

    At the end of the context it warns of counts of tokens that were not believed.
    """

    def __init__(self, client: ChatClient) -> None:
        self.client = client
        self._replies = self._overstated = 0
        self._jitter = random.Random()

    async def __aenter__(self) -> Self:
        limit = self.client.endpoint.timeout_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.client.endpoint.concurrency),
            headers=self.client.headers,
            # the total covers a reply that comes byte by byte as well; what was never sent is told by the limit that
            # runs out first, which rounding up to whole seconds must not blur
            timeout=aiohttp.ClientTimeout(
                total=limit, connect=min(CONNECT_SECONDS, 0.9 * limit), ceil_threshold=math.inf
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()
        if self._overstated:
            log.warning(
                "%s: %d of %d replies state more tokens than can have been sent and asked for; their counts are not "
                "believed, and each is taken for a reply that does not say what it took",
                self.client.where,
                self._overstated,
                self._replies,
            )

    async def chat(
        self, messages: Sequence[Message] | str, settings: ChatModelSettings, stop: asyncio.Event
    ) -> ChatReply:
        """Return the reply to `messages`, trying again as the endpoint's settings say; `stop` ends the waiting.

        A text is continued as it is, by /completions, which servers of base models have.
        Raises EndpointError where no request can succeed (unknown model or address, key not accepted), RefusedError,
        UnansweredError, and Stopped where a try would begin after `stop` was set.
        """
        client, last = self.client, ""
        body = json.dumps(build_request(messages, settings), ensure_ascii=False).encode()
        estimated, tries = estimate_tokens(body, settings.max_tokens), client.endpoint.max_retries + 1
        for tried in range(1, tries + 1):
            while not stop.is_set() and (delay := client.pacer.claim(estimated)) > 0:
                await _pause(delay, stop)
            if stop.is_set():
                raise Stopped
            found = await self.send(body, settings.model, settings.max_tokens, is_plain=isinstance(messages, str))
            if isinstance(found, ChatReply):
                client.pacer.correct(estimated, found.prompt_tokens + found.response_tokens or estimated)
                return found
            last = found.message
            log.debug("%s: try %d: %s", client.where, tried, last)
            client.pacer.hold(found.wait_seconds)
            if tried < tries:
                await _pause(found.wait_seconds + build_backoff(tried, client.backoff_seconds, self._jitter), stop)
        raise UnansweredError(f"{client.where}: no answer after {tries} {'try' if tries == 1 else 'tries'}: {last}")

    async def send(self, body: bytes, model: str, max_tokens: int, *, is_plain: bool = False) -> ChatReply | Fault:
        """Send one try; raises EndpointError and RefusedError as `chat` does.

        Counts of tokens beyond what `body` and `max_tokens` allow are taken as missing, both of them.
        """
        found = await self._request("POST", "/completions" if is_plain else "/chat/completions", body)
        if isinstance(found, Fault):
            return found
        try:
            answer = self.client.read_answer(*found, is_plain=is_plain)
        except NotFoundError as error:
            raise EndpointError(f"{error}{suggest_model(model, await self.list_models())}") from None
        if isinstance(answer, Fault):
            return answer
        self._replies += 1
        if not is_overstated(answer, body, max_tokens):
            return answer
        self._overstated += 1
        return replace(answer, prompt_tokens=0, response_tokens=0)

    async def list_models(self) -> list[str]:
        """Name the models that the endpoint says it has, without the key in them; empty where it does not say.

        Raises EndpointError when it cannot be reached or does not accept the key.
        """
        found = await self._request("GET", "/models", None)
        if isinstance(found, Fault):
            raise EndpointError(
                f"{self.client.where}: cannot be reached ({found.message}); start it, or mend machine.endpoints"
            )
        status, _, body = found
        self.client.check_key(status)
        return [self.client.hide_key(name) for name in read_models(body)] if status == 200 else []

    async def _request(self, method: str, path: str, body: bytes | None) -> Answer | Fault:
        url = self.client.endpoint.url + path
        try:
            async with self._session.request(method, url, data=body, allow_redirects=False) as response:
                return response.status, response.headers, await _read(response)
        # a UnicodeError is a host that cannot be looked up
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, UnicodeError):
            return Fault("no connection", is_free=True)
        except TimeoutError:
            return Fault("no reply in time")
        except (aiohttp.ClientError, _TooLargeError, asyncio.IncompleteReadError) as error:
            return Fault(f"connection lost ({type(error).__name__.strip('_')})")


def list_models(client: ChatClient) -> list[str]:
    """Name the models of an endpoint; see `AsyncChat.list_models`."""

    async def ask() -> list[str]:
        async with AsyncChat(client) as chat:
            return await chat.list_models()

    return asyncio.run(ask())


class _TooLargeError(Exception):
    """A reply that no setting asks for."""


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    """Wait; raises Stopped once `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
    raise Stopped


async def _read(response: aiohttp.ClientResponse) -> bytes:
    whole = bytearray()
    async for block in response.content.iter_any():
        whole += block
        if len(whole) > LARGEST_REPLY_BYTES:
            raise _TooLargeError
    return bytes(whole)
