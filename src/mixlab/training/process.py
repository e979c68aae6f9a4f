"""What training asks of its process: fixed threads, deterministic kernels, and to be told before it is ended."""

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import torch

logger = logging.getLogger(__name__)

# M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
TERMINATED = 128 + signal.SIGTERM
RESUBMIT = 75
"""Exit code after SIGUSR1, EX_TEMPFAIL of sysexits.h: the state is saved, start the same job again."""
ENDINGS = {signal.SIGUSR1: RESUBMIT, signal.SIGTERM: TERMINATED}
"""Signals that ask a training to save its state and end, and the exit code of each; a later one here wins."""


class Termination:
    """Whether the process was asked to end, and the exit code it is to end with."""

    def __init__(self) -> None:
        self.code = 0

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self.code != 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.code = max(self.code, ENDINGS[signal.Signals(number)])


@contextmanager
def watch_termination() -> Iterator[Termination]:
    """Turn SIGTERM and SIGUSR1 into a note while the context lasts (in the main thread; elsewhere do nothing)."""
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return
    before = {number: signal.signal(number, termination.note) for number in ENDINGS}
    try:
        yield termination
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_endings() -> None:
    """Let SIGTERM and SIGUSR1 do nothing from now on: a finished training would be told as one that has to go on."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


def leave(code: int = 0) -> NoReturn:
    """End a process whose work is done, or that was asked to end, before Python takes torch apart.

    Threads of gloo and DeepSpeed may outlive the group that they served; a rank was then ended by SIGABRT ("terminate
    called without an active exception"), and its training told as one that failed.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def deterministic_torch(threads: int, device: str = "cpu") -> Iterator[None]:
    """Let torch compute on `threads` threads, on the CPU with kernels that give the same bits each time.

    On a GPU the fast kernels for attention have no such form; there only the order of the data is promised.
    """
    filling: Any = torch.utils.deterministic
    before = (
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        filling.fill_uninitialized_memory,
    )
    torch.set_num_threads(threads)
    # What use_deterministic_algorithms(True) sets too; that one also imports the compiler, 0.85 s a process.
    torch.set_deterministic_debug_mode("error" if device == "cpu" else "default")
    # Nothing here reads memory it has not written, and filling it costs a tenth of the time.
    filling.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        filling.fill_uninitialized_memory = before[2]


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Leave torch's generator of the CPU as it was: dropout draws from it, seeded anew for every micro-batch."""
    with torch.random.fork_rng(devices=[]):
        yield


def free_memory(device: torch.device) -> None:
    """Collect what nobody holds any more, and let the GPU have its memory back."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next step, instead of asking the kernel for zeroed pages again.

    Does nothing where there is no glibc.
    """
    _set_malloc(trim_bytes=2**30, mmap_bytes=2**30)


def return_freed_memory() -> None:
    """Let glibc give back at once what is freed, but for small things: what a beginning needs, no step uses again."""
    _set_malloc(trim_bytes=2**17, mmap_bytes=2**20)


def _set_malloc(trim_bytes: int, mmap_bytes: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, trim_bytes)
        mallopt(_MMAP_THRESHOLD, mmap_bytes)
