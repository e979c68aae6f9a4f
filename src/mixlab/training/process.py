"""What training asks of its process: fixed threads, deterministic kernels, and to be told before it is ended."""

import ctypes
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

logger = logging.getLogger(__name__)

# M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
TERMINATED = 128 + signal.SIGTERM


class Termination:
    """Whether the process was asked to end."""

    def __init__(self) -> None:
        self.asked = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.asked = True


@contextmanager
def watch_termination() -> Iterator[Termination]:
    """Turn SIGTERM into a note for as long as the context lasts (in the main thread; elsewhere do nothing)."""
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return
    before = signal.signal(signal.SIGTERM, termination.note)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deterministic_torch(threads: int) -> Iterator[None]:
    """Let torch compute on `threads` threads with kernels that give the same bits each time."""
    filling: Any = torch.utils.deterministic
    before = (
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        filling.fill_uninitialized_memory,
    )
    torch.set_num_threads(threads)
    # What use_deterministic_algorithms(True) sets too; that one also imports the compiler, 0.85 s a process.
    torch.set_deterministic_debug_mode("error")
    # Nothing here reads memory it has not written, and filling it costs a tenth of the time.
    filling.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        filling.fill_uninitialized_memory = before[2]


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next step, instead of asking the kernel for zeroed pages again.

    Does nothing where there is no glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**30)
        mallopt(_MMAP_THRESHOLD, 2**30)
