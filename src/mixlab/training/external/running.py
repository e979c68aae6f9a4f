"""Running the commands of a trainer: alone, with their output in the log, ended when this process is asked to end."""

import codecs
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mixlab.config.problems import DataError
from mixlab.training.process import Termination, watch_termination

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1
_TAIL_CHARACTERS, _TAIL_LINES = 8_000, 15
_LOCK = "trainer.lock"


@dataclass(frozen=True)
class Surroundings:
    """Where commands run: working folder, variables added to the environment, seconds from SIGTERM to SIGKILL."""

    folder: Path
    environment: Mapping[str, str]
    stop_seconds: float


def run_commands(what: str, commands: Sequence[Sequence[str]], around: Surroundings, kept: Path) -> None:
    """Run commands one after another, each in a session of its own; `kept` is what a next attempt goes on from.

    On SIGTERM the command is sent SIGTERM, killed when it has not ended `stop_seconds` later, and SystemExit(143)
    raised. Raises DataError, beginning with `what`, for a command that cannot be started or that fails, and when one
    of an earlier attempt is still alive.
    """
    if not around.folder.is_dir():
        raise DataError(f"{what}: the working folder of its commands, {around.folder}, is not there")
    with _hold(what, kept) as lock, watch_termination() as termination:
        for number, command in enumerate(commands, 1):
            title = f"{what}: command {number} of {len(commands)} ({Path(command[0]).name})"
            logger.info("%s starts", title)
            started = time.monotonic()
            code, tail = _run(title, command, around, lock, termination)
            if termination.asked:
                logger.warning("%s: asked to end, and ended; its state is in %s", title, kept)
                raise SystemExit(termination.code)
            if code:
                raise DataError(_render_failure(title, code, tail, kept))
            logger.info("%s is done after %.1f s", title, time.monotonic() - started)


@contextmanager
def _hold(what: str, kept: Path) -> Iterator[int]:
    """Hold a lock that the commands inherit: it lasts as long as one of them lives, though this process was killed."""
    kept.mkdir(parents=True, exist_ok=True)
    with (kept.parent / _LOCK).open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            process = file.read().decode(errors="replace").strip() or "?"
            raise DataError(
                f"{what}: its command of an earlier attempt, process {process}, is still alive; end it, then run again"
            ) from None
        yield file.fileno()


def _run(
    title: str, command: Sequence[str], around: Surroundings, lock: int, termination: Termination
) -> tuple[int, str]:
    """Run one command; return its exit code and the end of what it said."""
    try:
        process = subprocess.Popen(
            command,
            cwd=around.folder,
            env={**os.environ, **around.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )
    except OSError as error:
        raise DataError(f"{title}: cannot be started: {command[0]}: {error.strerror}; see machine.trainers") from None
    os.truncate(lock, 0)
    os.write(lock, f"{process.pid} on {socket.gethostname()}".encode())
    assert process.stdout is not None
    output = _Output(process.stdout)
    try:
        code = _wait(title, process, around.stop_seconds, termination)
    except BaseException:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(around.stop_seconds)
        raise
    finally:
        # whatever it left running must not write into folders that the next attempt reads
        _signal(process, signal.SIGKILL)
        process.wait()
        output.join(timeout=5)
    return code, output.tail


def _wait(title: str, process: subprocess.Popen[bytes], stop_seconds: float, termination: Termination) -> int:
    deadline: float | None = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=_PAUSE_SECONDS)
        if termination.asked and deadline is None:
            logger.warning("%s is sent SIGTERM and has %.0f s", title, stop_seconds)
            _signal(process, signal.SIGTERM)
            deadline = time.monotonic() + stop_seconds
        elif deadline is not None and time.monotonic() >= deadline:
            logger.warning("%s did not end within %.0f s and is killed", title, stop_seconds)
            _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the command and to all that it started and that stayed in its session's group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Output(threading.Thread):
    """Copies what a command says to the log as it comes, and keeps the end of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._end = ""
        self._is_writable = True
        self.start()

    @property
    def tail(self) -> str:
        """The last lines; of a progress bar only what it showed in the end."""
        lines = [line.rpartition("\r")[2].rstrip() for line in self._end.replace("\r\n", "\n").split("\n")]
        return "\n".join([line for line in lines if line][-_TAIL_LINES:])

    def run(self) -> None:
        """Read until the last of the command's processes has closed its end."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with self._stream:
            while chunk := os.read(self._stream.fileno(), 1 << 16):
                text = decoder.decode(chunk)
                self._end = (self._end + text)[-_TAIL_CHARACTERS:]
                self._write(text)

    def _write(self, text: str) -> None:
        # a log that cannot be written, as on a full disk, must not stop a run of weeks; it is read on all the same
        if self._is_writable:
            try:
                sys.stderr.write(text)
                sys.stderr.flush()
            except OSError:
                self._is_writable = False


def _render_failure(title: str, code: int, tail: str, kept: Path) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        end = f"was ended by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")
    else:
        end = f"left with exit code {code}"
    said = "".join(f"\n  | {line}" for line in tail.splitlines()) or "\n  | (nothing)"
    return (
        f"{title} {end}. The last it said:{said}\n"
        f"Nothing was published. Mend the cause and run again: {{resume}} is kept in {kept}; remove it to start anew"
    )
