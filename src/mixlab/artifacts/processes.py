"""The process that makes artifacts: which one it is, and how long it had lived before it began."""

import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path


def describe_process() -> dict[str, str | float]:
    """Name this process, and say how many seconds passed from its start until now: interpreter and imports.

    Host, process id and the moment of the start tell two processes apart. Where the system does not say when a process
    started (/proc, as on Linux), there are no seconds.
    """
    name = f"{socket.gethostname()}:{os.getpid()}"
    ticks = _read_start()
    if ticks is None:
        return {"id": name}
    return {"id": f"{name}:{ticks}", "start_seconds": round(max(_measure_age(ticks), 0.0), 2)}


def sign() -> dict[str, str | int]:
    """What a process leaves where others look for it: its host, its number, and the moment (ISO 8601)."""
    return {"host": socket.gethostname(), "process": os.getpid(), "since": tell_now()}


def tell_now() -> str:
    """The moment, as ISO 8601 in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def find_start(process: int) -> float | None:
    """When a process of this machine started, in seconds since 1970; None where it is over or nothing says it."""
    ticks = _read_start(process)
    return None if ticks is None else time.time() - _measure_age(ticks)


def _read_start(process: int | str = "self") -> int | None:
    try:
        # proc(5): field 22, counted behind the name in brackets, which may hold blanks
        return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    except OSError:
        return None


def _measure_age(ticks: int) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
