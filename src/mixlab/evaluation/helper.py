"""A helper process: no environment, its own session, and a line back for whatever it is sent."""

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from typing import IO

_PIECE_BYTES = 2**16
_LONGEST_ANSWER_BYTES = 2**26
"""Beyond it a helper that never ends its line would fill the memory until its time is over."""


class Helper:
    """One process by `command`; started when it is first asked, and anew when it is asked after it was stopped."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since; it may have ended by itself."""
        return self._process is not None

    def ask(self, data: bytes, seconds: float) -> bytes | None:
        """Send `data` and return the line that comes back: empty if it ended, None if it takes longer.

        `seconds` are for sending and answering together. One that writes unasked, or behind its line, counts
        as ended: that could be taken for the next answer. Without an answer it is stopped.
        """
        process = self._start()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the helper was started without pipes")
        deadline = time.monotonic() + seconds
        try:
            line = _exchange(process.stdin, process.stdout, data, deadline) if _read(process.stdout) is None else b""
        except BrokenPipeError:
            line = b""
        if line is not None and line.find(b"\n") != len(line) - 1:
            line = b""
        if not line:
            self.stop()
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            process = self._process = subprocess.Popen(
                self.command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
        return self._process

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None


def _read(source: IO[bytes]) -> bytes | None:
    """Read what is there: nothing at the end, None where nothing is there yet."""
    try:
        return os.read(source.fileno(), _PIECE_BYTES)
    except BlockingIOError:
        return None


def _write(sink: IO[bytes], data: memoryview) -> memoryview:
    """Write what the pipe takes now and return the rest; raises BrokenPipeError where nobody reads any more."""
    try:
        return data[os.write(sink.fileno(), data) :]
    except BlockingIOError:
        return data


def _exchange(sink: IO[bytes], source: IO[bytes], data: bytes, deadline: float) -> bytes | None:
    """Send all of `data` and read a line at least; None at the deadline, less than a line where the helper ends.

    Raises BrokenPipeError where it ends before it has read all.
    """
    rest, line, has_answered = _write(sink, memoryview(data)), bytearray(), False
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        if rest:
            selector.register(sink, selectors.EVENT_WRITE)
        while rest or not has_answered:
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                return None
            for key, _ in ready:
                if key.fileobj is source:
                    piece = _read(source) or b""
                    line += piece
                    has_answered = has_answered or b"\n" in piece
                    if not piece or len(line) > _LONGEST_ANSWER_BYTES:
                        return bytes(line)
                elif not (rest := _write(sink, rest)):
                    selector.unregister(sink)
    return bytes(line)
