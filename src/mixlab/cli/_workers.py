"""How many programs a command may run at a time on this machine, where no job says so."""

import os
from pathlib import Path

MEMORY = Path("/proc/meminfo")


def bound_workers(wanted: int, memory_bytes: int) -> int:
    """Return `wanted`, or fewer: no more than processors, nor than find `memory_bytes` each; at least 1."""
    fitting = read_available_bytes() // memory_bytes
    return max(1, min(wanted, len(os.sched_getaffinity(0)), fitting))


def read_available_bytes() -> int:
    """Read how much memory the kernel could give to new programs now (proc(5), MemAvailable)."""
    (line,) = [line for line in MEMORY.read_text(encoding="ascii").splitlines() if line.startswith("MemAvailable:")]
    return int(line.split()[1]) * 1024
