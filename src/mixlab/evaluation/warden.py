"""The program inside the sandbox: it runs programs one after another, each in namespaces of its own.

Started as `python -I -S warden.py`; it imports only the standard library and knows nothing of mixlab. One line of JSON
in, one out. For each program the warden forks a keeper. The keeper enters new process, mount and IPC namespaces, hides
/proc, /dev/shm and /tmp under empty file systems and forks process 1 of its namespace, which forks the program: when
process 1 ends, the kernel ends whatever the program started, so nothing outlives one program to meet the next. The
network is the sandbox's: none.

Root's warden gives each program a user of its own, because the kernel does not hold root to RLIMIT_NPROC; any other
user's warden enters a user namespace, where the count of processes starts anew.

A program passes when it ran to its end, never by its exit status. It could forge that by writing to descriptor 3 (and
could cheat any test by an object that equals everything); nothing here hides right answers from hostile code, it only
keeps such code from doing harm.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
import typing  # noqa: F401 (imported once here, so that programs need not load it again)
from collections.abc import Mapping
from typing import Any

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 1, 2, 4, 0x4000, 0x40000
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION_3 = 0x20080522
NO_ANSWER = "sandbox did not answer"
EMPTY = MS_RDONLY | MS_NOSUID | MS_NODEV


def enter_namespaces(with_user: bool) -> bool:
    """Enter fresh namespaces and empty the shared places; returns whether the kernel allowed it."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | (CLONE_NEWUSER if with_user else 0)) != 0:
        return False
    try:
        if with_user:
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{name}", "w") as stream:  # noqa: PTH123 (pathlib is slow to import)
                    stream.write(text)
    except OSError:
        return False
    libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
    mounts = ((b"/proc", EMPTY, None), (b"/dev/shm", EMPTY, None), (b"/tmp", EMPTY & ~MS_RDONLY, b"size=16m,mode=777"))
    done = [libc.mount(b"tmpfs", place, b"tmpfs", flags, options) for place, flags, options in mounts]
    return not any(done)


def drop_rights(uid: int) -> None:
    """Become the user `uid` where we are root, and give up every capability for good; raises OSError when not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    failed = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    failed = libc.capset((ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()) or failed
    if failed:
        raise OSError(ctypes.get_errno(), f"rights could not be given up: {os.strerror(ctypes.get_errno())}")


def set_limits(limits: Mapping[str, Any]) -> None:
    """Set the kernel's limits on this process and on what it starts."""
    cpu = limits["cpu_seconds"]
    for which, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_AS, limits["memory_bytes"], limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"], limits["file_bytes"]),
        (resource.RLIMIT_NPROC, limits["processes"], limits["processes"]),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        ceiling = resource.getrlimit(which)[1]
        top = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        resource.setrlimit(which, (min(soft, top), top))


def run_program(order: Mapping[str, Any]) -> None:
    """Be the program: run the source to its end and say on descriptor 3 how it ended; never returns."""
    try:
        os.chdir("/tmp")
        drop_rights(order["uid"])
        set_limits(order["limits"])
    except (OSError, ValueError) as error:
        # no fault of the program, which has not begun
        os.write(3, f"{NO_ANSWER}: {error}".encode("utf-8", "replace")[:200])
        os._exit(0)
    word, program = b"passed", os.getpid()
    try:
        exec(compile(order["source"], "program.py", "exec"), {"__name__": "__main__"})
    except BaseException as error:  # noqa: BLE001 (how the program ended is the result)
        word = b"raised " + type(error).__name__.encode("utf-8", "replace")[:80]
    if os.getpid() == program:
        os.write(3, word)
    os._exit(0)


def run_first_process(order: Mapping[str, Any], output: int, report: int) -> None:
    """Be process 1: start the program with nothing open but its output and report, and end with it."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2), (report, 3)):
        os.dup2(source, target)
    os.closerange(4, 4096)
    pid = os.fork()
    if pid == 0:
        run_program(order)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        by = signal.Signals(os.WTERMSIG(status))
        over = by in (signal.SIGXCPU, signal.SIGKILL)
        os.write(3, b"limit cpu_seconds" if over else b"killed " + by.name.encode())
    os._exit(0)


def watch(output: int, report: int, limits: Mapping[str, Any]) -> str:
    """Wait until the program reports, leaves or reaches a limit; returns how it ended."""
    end, size, waiting = time.monotonic() + limits["wall_seconds"], 0, [output, report]
    while True:
        left = end - time.monotonic()
        ready = select.select(waiting, [], [], left)[0] if left > 0 else []
        if not ready:
            return "limit wall_seconds"
        if report in ready:
            return os.read(report, 200).decode("utf-8", "replace") or "left before its end"
        chunk = os.read(output, 65536)
        size += len(chunk)
        if size > limits["output_bytes"]:
            return "limit output_bytes"
        if not chunk:
            waiting.remove(output)


def keep(order: Mapping[str, Any]) -> dict[str, Any]:
    """Be the keeper of one program: start it apart from all others, watch it, end all of it."""
    isolated = enter_namespaces(with_user=os.getuid() != 0)
    output_read, output_write = os.pipe()
    report_read, report_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        run_first_process(order, output_write, report_write)
    os.close(output_write)
    os.close(report_write)
    word = watch(output_read, report_read, order["limits"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        if not isolated:
            os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {"word": word, "isolated": isolated}


def serve() -> None:
    """Answer the programs on standard input until it ends."""
    answer = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(answer)
            os.close(read)
            os.write(write, json.dumps(keep(order)).encode() + b"\n")
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            result = stream.readline()
        os.waitpid(pid, 0)
        os.write(answer, result or json.dumps({"word": NO_ANSWER, "isolated": False}).encode() + b"\n")


if __name__ == "__main__":
    serve()
