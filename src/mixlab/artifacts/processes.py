"""The process that makes artifacts: which one it is, and how long it had lived before it began."""

import os
import socket
import time
from pathlib import Path


def describe_process() -> dict[str, str | float]:
    """Name this process, and say how many seconds passed from its start until now: interpreter and imports.

    Host, process id and the moment of the start tell two processes apart. Where the system does not say when a process
    started (/proc, as on Linux), there are no seconds.
    """
    name = f"{socket.gethostname()}:{os.getpid()}"
    try:
        # proc(5): field 22, counted behind the name in brackets, which may hold blanks
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    except OSError:
        return {"id": name}
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return {"id": f"{name}:{ticks}", "start_seconds": round(max(age, 0.0), 2)}
