"""Child processes that end together: signals are passed on, and where one fails the others are ended.

Not torchrun: its agent dies of SIGUSR1, kills the ranks 30 s after SIGTERM however long their state takes to write,
and imports torch once more. What it sets for its children is set here too, so that ranks may also be started by it.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from mixlab.config.problems import DataError
from mixlab.training.launching.parents import PARENT_VARIABLE
from mixlab.training.process import ENDINGS

_POLL_SECONDS = 0.05
_POLL_ELSEWHERE_SECONDS = 1.0
GRACE_SECONDS = 15.0
"""How long the others may live after the first has failed: to say why, not to wait for it."""

HUNG = 1
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a process that was killed, seen by its parent or through srun."""


class Children:
    """Processes of one job on this machine; `stop_seconds` is how long they may live after the first signal.

    `failed_elsewhere` tells whether one on another machine has failed; those here then wait in vain, and are ended
    after `grace_seconds`.
    """

    def __init__(
        self,
        stop_seconds: float,
        failed_elsewhere: Callable[[], bool] = lambda: False,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._stop_seconds = stop_seconds
        self._failed_elsewhere = failed_elsewhere
        self._grace_seconds = grace_seconds
        self._asked_at: float | None = None
        self._running: list[subprocess.Popen[bytes]] = []
        self.received: list[int] = []

    def pass_on(self, number: int, frame: FrameType | None = None) -> None:
        """Send a signal to all that live."""
        self.received.append(number)
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        for child in self._running:
            if child.poll() is None:
                self.send(child, number)

    def send(self, child: subprocess.Popen[bytes], number: int) -> None:
        """Send a child a signal that this process received."""
        child.send_signal(number)

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """End a child that did not end by itself."""
        child.kill()
        child.wait()

    def run(self, command: Sequence[str], environments: Sequence[Mapping[str, str]]) -> list[int]:
        """Start `command` once per environment and return the exit codes, HUNG for what had to be ended.

        Raises DataError when they were asked to end and did not in time; then all are killed.
        """
        with self._handling():
            for environment in environments:
                self._running.append(subprocess.Popen(command, env={**environment, PARENT_VARIABLE: str(os.getpid())}))
            for number in tuple(self.received):  # came while some were not started yet
                self.pass_on(number)
            try:
                is_late = self._wait()
                codes = [child.poll() for child in self._running]
            finally:
                for child in self._running:
                    if child.poll() is None:
                        self.end(child)
        if signal.SIGINT in self.received:
            raise KeyboardInterrupt
        if is_late:
            raise self._say_late(codes)
        return [HUNG if code is None else code for code in codes]

    def _wait(self) -> bool:
        """Wait until all have ended, or one failed and the others had their grace; True when a signal's time is up."""
        failed_at: float | None = None
        looked_at = time.monotonic()
        while any(child.poll() is None for child in self._running):
            codes = [child.returncode for child in self._running if child.returncode is not None]
            now = time.monotonic()
            # Ranks that were asked to end have saved together before the first of them does.
            if failed_at is None and any(codes):
                failed_at = now
            if failed_at is None and now - looked_at > _POLL_ELSEWHERE_SECONDS:
                looked_at = now
                failed_at = now if self._failed_elsewhere() else None
            if failed_at is not None and now - failed_at > self._grace_seconds:
                return False
            if failed_at is None and self._asked_at is not None and now - self._asked_at > self._stop_seconds:
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _say_late(self, codes: Sequence[int | None]) -> DataError:
        late = sum(code is None for code in codes)
        return DataError(
            f"training: {late} of {len(codes)} processes had not ended {self._stop_seconds:g} s after "
            f"{signal.Signals(self.received[0]).name}, as one that waits for another does, and were killed; the run "
            "goes on from its newest whole state when it is started again; raise stages.STAGE.launch.stop_seconds if "
            "a state takes longer to write"
        )

    @contextmanager
    def _handling(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.pass_on) for number in (*ENDINGS, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def find_ending(codes: Sequence[int]) -> int:
    """The exit code of a job whose processes were asked to end, 0 when none was."""
    asked = {-number: code for number, code in ENDINGS.items()} | {code: code for code in ENDINGS.values()}
    asked |= {128 + number: code for number, code in ENDINGS.items()}  # died of it before it could listen, says srun
    return max((asked[code] for code in codes if code in asked), default=0)


def check_killed(codes: Sequence[int], where: str = "") -> None:
    """Raise DataError for a process that was killed; the others then failed for want of it."""
    for number, code in enumerate(codes):
        if code in KILLED:
            raise DataError(
                f"training: process {number} of {len(codes)}{where} was killed, as the kernel does when memory runs "
                "out; raise stages.STAGE.memory_mib, lower micro_batch_windows, or share the state: "
                "stages.STAGE.launch.parallelism zero1, zero2 or zero3"
            )


def check_codes(codes: Sequence[int]) -> None:
    """Raise RuntimeError for a process that failed and left no word."""
    for number, code in enumerate(codes):
        if code:
            raise RuntimeError(f"training: process {number} of {len(codes)} ended with code {code} and left no word")


def build_environments(
    base: Mapping[str, str], node: int, per_node: int, ranks: int, threads: int, address: str, port: int
) -> list[dict[str, str]]:
    """What torch.distributed reads, for each rank of a node."""
    return [
        {
            **base,
            "RANK": str(node * per_node + local),
            "LOCAL_RANK": str(local),
            "WORLD_SIZE": str(ranks),
            "LOCAL_WORLD_SIZE": str(per_node),
            "MASTER_ADDR": address,
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": str(threads),
        }
        for local in range(per_node)
    ]


def find_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        port: int = listener.getsockname()[1]
    return port
