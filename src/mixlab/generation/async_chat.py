"""Requests to a chat endpoint without a thread for each: one event loop holds as many as are under way.

A thread that asks by urllib3 costs about a millisecond of Python for each request, and all threads share one
interpreter: 64 of them never reach the 1,280 requests a second that a reply after 50 ms would allow.
"""

import asyncio
from types import TracebackType
from typing import Self

import aiohttp

from mixlab.generation.openai import CONNECT_SECONDS, LARGEST_REPLY_BYTES, ChatClient, Fault
from mixlab.generation.replies import ChatReply


class AsyncChat:
    """Sends single tries to the endpoint of `client`, which says what an answer is. Use it as a context."""

    def __init__(self, client: ChatClient) -> None:
        self.client = client

    async def __aenter__(self) -> Self:
        limit = self.client.endpoint.timeout_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.client.endpoint.concurrency),
            headers=self.client.headers,
            # the total covers a reply that comes byte by byte as well
            timeout=aiohttp.ClientTimeout(total=limit, connect=min(CONNECT_SECONDS, limit)),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, body: bytes, model: str) -> ChatReply | Fault:
        """Send one try; raises EndpointError and RefusedError as `ChatClient.chat` does."""
        url = f"{self.client.endpoint.url}/chat/completions"
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as response:
                status, headers, reply = response.status, response.headers, await _read(response)
        except TimeoutError:
            return Fault("no reply in time")
        except aiohttp.ClientConnectorError:
            return Fault("no connection", is_free=True)
        except (aiohttp.ClientError, _TooLargeError, asyncio.IncompleteReadError) as error:
            return Fault(f"connection lost ({type(error).__name__.strip('_')})")
        return self.client.read_answer(status, headers, reply, model)


class _TooLargeError(Exception):
    """A reply that no setting asks for."""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    whole = bytearray()
    async for block in response.content.iter_any():
        whole += block
        if len(whole) > LARGEST_REPLY_BYTES:
            raise _TooLargeError
    return bytes(whole)
