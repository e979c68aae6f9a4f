"""Grants and results of many tries at once, in one commit after the other: whatever waits goes into the next."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from mixlab.config.problems import UserError
from mixlab.data.replies import Reply
from mixlab.evaluation.judges.store import Account, Call, Ended, Grant, VerdictStore

GATHER_SECONDS = 0.03
"""From the beginning of one commit to that of the next at least: what a commit costs beside its rows is paid less
often, and nobody waits, since requests are granted ahead and the journal holds what is not committed."""


class Books:
    """Commits to a store from an event loop, in a thread of its own."""

    def __init__(self, store: VerdictStore, account: Account, thread: ThreadPoolExecutor) -> None:
        self._store, self._account, self._thread = store, account, thread
        self._ended: list[Ended] = []
        self._wanted: list[tuple[Call, asyncio.Future[Grant]]] = []
        self._something = asyncio.Event()
        self._closing = asyncio.Event()
        self._outstanding = 0
        self._broken: Exception | None = None

    @property
    def failure(self) -> UserError | None:
        """Why nothing more can be committed."""
        return self._broken if isinstance(self._broken, UserError) else None

    async def grant(self, call: Call) -> Grant:
        """Ask whether a call may be made; it is counted when the answer is GO. Raises what the store raises.

        SPENT is final: where money may come back from what is under way, the answer is LATER.
        """
        if self._broken is not None:
            raise self._broken
        future: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._wanted.append((call, future))
        self._something.set()
        return await future

    def end(self, ended: Ended) -> None:
        """Say how a granted try ended; committed with what comes next."""
        self._outstanding -= 1
        self._ended.append(ended)
        self._something.set()

    def keep(self, call: Call, reply: Reply) -> None:
        """Keep the reply to a try that `end` was told of without one; it was free, and its claim may be another's."""
        self._ended.append(Ended(replace(call, worst_pico=0), 0, reply, is_last=False))
        self._something.set()

    async def read(self, questions: Sequence[bytes]) -> dict[bytes, list[Reply]]:
        """Return what the store holds about `questions`; raises what the store raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._store.read, questions)

    def close(self) -> None:
        """Let `run` end once everything is committed."""
        self._closing.set()
        self._something.set()

    async def run(self) -> None:
        """Commit until closed."""
        loop = asyncio.get_running_loop()
        earliest = 0.0
        while self._ended or self._wanted or not self._closing.is_set():
            await self._something.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(earliest):
                    await self._closing.wait()
            earliest = loop.time() + GATHER_SECONDS
            self._something.clear()
            ended, self._ended = self._ended, []
            wanted, self._wanted = self._wanted, []
            if not ended and not wanted:
                continue
            was_idle = self._outstanding == 0
            try:
                grants: Sequence[Grant] = await loop.run_in_executor(
                    self._thread, self._store.exchange, self._account, ended, [call for call, _ in wanted]
                )
            except Exception as error:
                # nobody may wait for a commit that never comes
                self._break(error, [future for _, future in wanted])
                if not isinstance(error, UserError):
                    raise
                return
            going = sum(grant is Grant.GO for grant in grants)
            self._outstanding += going
            is_final = was_idle and not going
            for (_, future), grant in zip(wanted, grants, strict=True):
                if not future.done():  # who waited for it may have been cancelled
                    future.set_result(Grant.LATER if grant is Grant.SPENT and not is_final else grant)

    def _break(self, error: Exception, waiting: Sequence["asyncio.Future[Grant]"]) -> None:
        self._broken = error
        for future in (*waiting, *(future for _, future in self._wanted)):
            if not future.done():
                future.set_exception(error)
        self._wanted = []
