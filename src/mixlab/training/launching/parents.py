"""Processes that do not outlive the one that started them: nobody else would end them, and a second training may begin.

`python -m mixlab.training.launching.parents COMMAND...` becomes COMMAND, which is sent SIGTERM when its parent is gone.
Linux only; elsewhere does nothing. Imports nothing heavy.
"""

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "MIXLAB_PARENT"
"""Environment variable with the process id of who started this one."""

_PR_SET_PDEATHSIG = 1  # sys/prctl.h


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send this process, or what it becomes by exec, a signal when `parent` is gone."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        raise SystemExit(1)


if __name__ == "__main__":
    die_with_parent(int(os.environ[PARENT_VARIABLE]), signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])
