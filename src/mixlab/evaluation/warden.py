"""The program inside the sandbox: it has programs run one after another, each in namespaces of its own.

Started as `python -I -S -c ...` by sandbox.py with a system call filter as its argument; it imports only the standard
library. An order is a line of JSON with limits, then `size` bytes of JSON with the program and its tests; the answer is
a line of JSON. The warden reads neither: for each order it forks a keeper, which reads the limits and forks

* the checker, which reads the rest, runs the tests and gives the verdict (checker.py);
* process 1 of new process, mount and IPC namespaces, in which /proc, /dev/shm and /tmp are hidden under empty file
  systems. Process 1 forks the program, which gets its source from the checker (answerer.py). When process 1 ends, the
  kernel ends whatever the program started, so nothing outlives one program to meet the next. The network is the
  sandbox's: none.

So no ancestor of a program has ever held its tests, or another program, in its memory. Root's warden gives each program
a user of its own, because the kernel does not hold root to RLIMIT_NPROC; any other user's warden enters a user
namespace, where the count of processes starts anew.
"""

import base64
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time
import typing  # noqa: F401 (imported once here, so that programs need not load it again)
from collections.abc import Mapping
from typing import Any, NoReturn

from mixlab.evaluation.answerer import answer
from mixlab.evaluation.checker import GONE, NO_ANSWER, READY, check
from mixlab.evaluation.exchange import Channel, Gone, read_exactly

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 1, 2, 4, 0x4000, 0x40000
PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 22, 36, 38
SECCOMP_MODE_FILTER = 2
BPF_INSTRUCTION_BYTES = 8
CAPABILITY_VERSION_3 = 0x20080522
EMPTY = MS_RDONLY | MS_NOSUID | MS_NODEV
PRIVATE_TMP = b"size=16m,nr_inodes=4096,mode=777"
LEFT = "left before its end"
NOTHING_MORE = 3
"""Exit status of a keeper that found no order."""
CAUGHT_UP = b"\n"
"""First byte of a verdict: the checker has read its order, so that the next one can follow."""
LOOK_SECONDS, GRACE_SECONDS = 0.05, 1.0
TOGETHER = 2
"""All processes of a program may hold this many times `memory_bytes`: pages that they share are counted for each."""


class Filter(ctypes.Structure):
    """Linux's `struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


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
    mounts = ((b"/proc", EMPTY, None), (b"/dev/shm", EMPTY, None), (b"/tmp", EMPTY & ~MS_RDONLY, PRIVATE_TMP))
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


def refuse_calls(instructions: bytes) -> None:
    """Put this process and all it starts under a system call filter; raises OSError when the kernel does not."""
    if not instructions:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    program = Filter(len(instructions) // BPF_INSTRUCTION_BYTES, instructions)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), f"no system call filter: {os.strerror(ctypes.get_errno())}")


def set_limits(limits: Mapping[str, Any], *, processes: int | None = None) -> None:
    """Set the kernel's limits on this process and on what it starts."""
    cpu = limits["cpu_seconds"]
    wanted = [
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_AS, limits["memory_bytes"], limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"], limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 0, 0),
    ]
    if processes is not None:
        wanted.append((resource.RLIMIT_NPROC, processes, processes))
    for which, soft, hard in wanted:
        ceiling = resource.getrlimit(which)[1]
        top = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        resource.setrlimit(which, (min(soft, top), top))


def hold(*descriptors: int) -> None:
    """Make the given descriptors 0, 1, 2, ... of this process, and close every other."""
    safe = [fcntl.fcntl(one, fcntl.F_DUPFD, 32) for one in descriptors]
    for target, one in enumerate(safe):
        os.dup2(one, target)
    os.closerange(len(safe), 4096)


def run_program(order: Mapping[str, Any], instructions: bytes) -> NoReturn:
    """Be the program: get the source on descriptor 3, answer on 4."""
    channel = Channel(3, 4)
    try:
        os.chdir("/tmp")
        drop_rights(order["uid"])
        set_limits(order["limits"], processes=order["limits"]["processes"])
        refuse_calls(instructions)
    except (OSError, ValueError) as error:
        # no fault of the program, which has not begun
        channel.send(str(error))
        os._exit(0)
    channel.send(READY)
    answer(channel)


def run_first_process(
    order: Mapping[str, Any], instructions: bytes, output: int, questions: int, answers: int, end: int
) -> NoReturn:
    """Be process 1: start the program with nothing open but its output and the checker, and end with it."""
    os.setsid()
    hold(os.open("/dev/null", os.O_RDONLY), output, output, questions, answers, end)
    pid = os.fork()
    if pid == 0:
        os.close(5)
        run_program(order, instructions)
    os.close(3)
    os.close(4)
    _, status, usage = os.wait4(pid, 0)
    os.write(5, _name_end(status, usage.ru_utime + usage.ru_stime >= order["limits"]["cpu_seconds"]).encode())
    os._exit(0)


def _name_end(status: int, used_up: bool) -> str:
    if not os.WIFSIGNALED(status):
        return LEFT
    by = signal.Signals(os.WTERMSIG(status))
    # the kernel ends with SIGKILL what ignores SIGXCPU
    over = by == signal.SIGXCPU or (by == signal.SIGKILL and used_up)
    return "limit cpu_seconds" if over else f"killed {by.name}"


def name_checkers_end(checker: int) -> str:
    """Say which limit ended the checker: the one that a program's answers drove it to."""
    ended = os.waitid(os.P_PID, checker, os.WEXITED | os.WNOWAIT)
    by = ended.si_status if ended and ended.si_code != os.CLD_EXITED else 0
    return "limit cpu_seconds" if by == signal.SIGXCPU else f"its tests ended by signal {by}"


def run_checker(order: Mapping[str, Any], answers: int, questions: int, verdict: int) -> NoReturn:
    """Be the checker: read the rest of the order from descriptor 0, and write the verdict."""
    content = read_exactly(0, order["size"])
    os.write(verdict, CAUGHT_UP)
    null = os.open("/dev/null", os.O_RDWR)
    hold(null, null, null, answers, questions, verdict)
    try:
        drop_rights(order["uid"] + 1)
        set_limits(order["limits"])
        word = check(json.loads(content), Channel(3, 4))
    except (OSError, ValueError) as error:
        word = f"{NO_ANSWER}: {error}"
    os.write(5, word.encode("utf-8", "replace")[:200])
    os._exit(0)


def count_resident_bytes(processes: int, ours: frozenset[int]) -> int:
    """Return the main memory of all processes of the folder /proc that are not ours, shared pages for each."""
    pages = 0
    for name in os.listdir(processes):
        if name.isdigit() and int(name) not in ours:
            with contextlib.suppress(OSError):
                opened = os.open(f"{name}/statm", os.O_RDONLY, dir_fd=processes)
                pages += int(os.read(opened, 100).split()[1])
                os.close(opened)
    return pages * resource.getpagesize()


class Watch:
    """Waits for the end of one program: its verdict, or the limit that it reached."""

    def __init__(self, limits: Mapping[str, Any], checker: int, output: int, end: int, verdict: int) -> None:
        self._limits, self._checker, self._output, self._end, self._verdict = limits, checker, output, end, verdict
        self._waiting = [output, end, verdict]
        self._deadline = time.monotonic() + limits["wall_seconds"]
        self._ended = ""

    def watch(self, processes: int | None, ours: frozenset[int]) -> str:
        """Return how the program ended; `processes` is the folder /proc in which its memory can be seen."""
        size, look = 0, time.monotonic() + LOOK_SECONDS
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return self._ended or "limit wall_seconds"
            ready = select.select(self._waiting, [], [], min(left, LOOK_SECONDS))[0]
            if self._verdict in ready:
                return self._read_verdict()
            if self._end in ready:
                self._ended = os.read(self._end, 200).decode() or LEFT
                self._waiting.remove(self._end)
                self._deadline = min(self._deadline, time.monotonic() + GRACE_SECONDS)
            if self._output in ready:
                chunk = os.read(self._output, 65536)
                size += len(chunk)
                if size > self._limits["output_bytes"]:
                    return "limit output_bytes"
                if not chunk:
                    self._waiting.remove(self._output)
            if processes is not None and time.monotonic() > look:
                if count_resident_bytes(processes, ours) > TOGETHER * self._limits["memory_bytes"]:
                    return "limit memory_bytes"
                look = time.monotonic() + LOOK_SECONDS

    def _read_verdict(self) -> str:
        word = os.read(self._verdict, 200).decode("utf-8", "replace")
        if word != GONE:
            return word or name_checkers_end(self._checker)
        if not self._ended and select.select([self._end], [], [], GRACE_SECONDS)[0]:
            self._ended = os.read(self._end, 200).decode()
        return self._ended or LEFT


def end_children(pid: int) -> None:
    """End every process below this one, also those that have left their parents; at least the group of `pid`."""
    while True:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as stream:  # noqa: PTH123 (pathlib is slow to import)
                children = [int(one) for one in stream.read().split()]
        except OSError:
            # a kernel without this file
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            return
        if not children:
            return
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def keep(instructions: bytes) -> dict[str, Any]:
    """Be the keeper of one program: start it and its checker apart from all others, watch them, end all of it."""
    order = json.loads(_read_line(0))
    questions, answers, verdict, output, end = (os.pipe() for _ in range(5))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    checker = os.fork()
    if checker == 0:
        for one in (questions[0], answers[1], verdict[0], *output, *end):
            os.close(one)
        run_checker(order, answers[0], questions[1], verdict[1])
    processes = os.open("/proc", os.O_RDONLY)
    isolated = enter_namespaces(with_user=os.getuid() != 0)
    pid = os.fork()
    if pid == 0:
        run_first_process(order, instructions, output[1], questions[0], answers[1], end[1])
    for one in (questions[0], questions[1], answers[0], answers[1], verdict[1], output[1], end[1]):
        os.close(one)
    read_exactly(verdict[0], 1)
    watch = Watch(order["limits"], checker, output[0], end[0], verdict[0])
    # where the sandbox has a /proc of its own, whatever is neither of these is the program's
    seen = processes if isolated and order["alone"] else None
    word = watch.watch(seen, frozenset((1, os.getpid(), os.getppid(), checker)))
    if isolated:
        for one in (pid, checker):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
            os.waitpid(one, 0)
    else:
        end_children(pid)
    return {"word": word, "isolated": isolated}


def _read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(descriptor, 1)
    return line


def serve() -> None:
    """Answer the orders on standard input until it ends."""
    instructions = base64.b64decode(sys.argv[1])
    sys.argv[1:] = []
    answers = os.dup(1)
    os.dup2(2, 1)
    orders = select.poll()
    orders.register(0, select.POLLIN)
    status = 0
    while status != NOTHING_MORE and orders.poll()[0][1] & select.POLLIN:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(answers)
            os.close(read)
            try:
                os.write(write, json.dumps(keep(instructions)).encode() + b"\n")
            except Gone:
                os._exit(NOTHING_MORE)
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            result = stream.readline()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != NOTHING_MORE:
            os.write(answers, result or json.dumps({"word": NO_ANSWER, "isolated": False}).encode() + b"\n")
