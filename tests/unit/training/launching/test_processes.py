"""Processes that were asked to end and do not are killed in time, and it is told."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import DataError
from mixlab.training.launching.processes import HUNG, Children, find_ending

HANGS = """
import os, pathlib, signal, sys, time
signal.signal({signal}, signal.SIG_IGN)
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
time.sleep(60)
"""
"""A rank in a collective: a handler of Python's is not run there."""

ENDS = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.1), sys.exit(143)))
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
time.sleep(60)
"""


def run(program: str, folder: Path, number: int, stop_seconds: float) -> list[int]:
    """Run two processes, and send this one a signal when both are there."""

    def send() -> None:
        end = time.monotonic() + 30
        while len(list(folder.iterdir())) < 2:
            if time.monotonic() > end:
                return
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        return Children(stop_seconds).run([sys.executable, "-c", program, str(folder)], [os.environ, os.environ])
    finally:
        thread.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_processes_that_ignore_the_signal_are_killed_after_the_deadline(tmp_path: Path, number: int) -> None:
    begun = time.monotonic()
    with pytest.raises(DataError) as caught:
        run(HANGS.format(signal=int(number)), tmp_path, number, 0.5)
    assert time.monotonic() - begun < 30
    name = signal.Signals(number).name
    told = str(caught.value)
    assert told.startswith(f"training: 2 of 2 processes had not ended 0.5 s after {name}, ")
    assert "raise stages.STAGE.launch.stop_seconds" in told
    started = [int(path.name) for path in tmp_path.iterdir()]
    assert len(started) == 2
    assert not any(psutil.pid_exists(one) for one in started)


def test_processes_that_end_in_time_have_their_own_codes(tmp_path: Path) -> None:
    assert run(ENDS, tmp_path, signal.SIGTERM, LaunchSettings().stop_seconds) == [143, 143]


def test_processes_that_wait_for_a_failed_one_on_another_machine_are_ended() -> None:
    begun = time.monotonic()
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert Children(600, lambda: True, 0.2).run(command, [os.environ, os.environ]) == [HUNG, HUNG]
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("codes", "ending"), [([138], 75), ([-10, 0], 75), ([75, 143], 143), ([0, 1, 137], 0)])
def test_a_process_that_died_of_the_signal_itself_ended_too(codes: list[int], ending: int) -> None:
    assert find_ending(codes) == ending
