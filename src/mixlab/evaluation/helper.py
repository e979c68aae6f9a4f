"""A helper process: no environment, its own session, and a line back for whatever it is sent."""

import selectors
import subprocess
from collections.abc import Sequence
from contextlib import suppress


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
        """Send `data` and return the line that comes back: empty where it has ended, None where it takes longer."""
        process = self._start()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the helper was started without pipes")
        try:
            process.stdin.write(data)
            process.stdin.flush()
        except BrokenPipeError:
            return b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(seconds) else None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        return self._process

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
            self._process = None
