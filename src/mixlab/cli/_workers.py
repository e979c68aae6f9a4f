"""How many processes a command may run at a time on this machine, where no job says so."""

import os
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/proc/meminfo")
OWN_CGROUP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")


def bound_workers(wanted: int, memory_bytes: int | None = None) -> int:
    """Return `wanted`, or fewer: no more than processors, nor than find `memory_bytes` each; at least 1."""
    bounds = [wanted, len(os.sched_getaffinity(0))]
    if memory_bytes is not None:
        bounds.append(read_available_bytes() // memory_bytes)
    return max(1, min(bounds))


def read_available_bytes() -> int:
    """Read how much memory new programs could have now: of the kernel's, and of this process's cgroup with a limit.

    The kernel's is MemAvailable (proc(5)); a cgroup's is memory.max without memory.current (Linux, Control Group v2),
    the least of the own one and those around it, of which each limits all within.
    """
    (line,) = [line for line in MEMORY.read_text(encoding="ascii").splitlines() if line.startswith("MemAvailable:")]
    return min([int(line.split()[1]) * 1024, *_list_free_bytes()])


def _list_free_bytes() -> Iterator[int]:
    """Yield what is free in each cgroup of version 2 that has a limit and holds this process."""
    lines = OWN_CGROUP.read_text(encoding="utf-8").splitlines() if OWN_CGROUP.exists() else []
    for own in (line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
        # beside version 1, whose folders stand here, version 2 has none of these files
        for folder in (CGROUPS / own, *(CGROUPS / parent for parent in Path(own).parents)):
            limit, used = folder / "memory.max", folder / "memory.current"
            if limit.exists() and used.exists() and (told := limit.read_text(encoding="ascii").strip()) != "max":
                yield max(0, int(told) - int(used.read_text(encoding="ascii")))
