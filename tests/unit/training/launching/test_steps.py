"""What srun is sent in place of the signals that came, and what is made of its end."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from mixlab.config.problems import DataError
from mixlab.training.launching.steps import Step

SRUN = """#!{python}
import os, pathlib, signal, sys, time
def end(number, frame):
    pathlib.Path({folder!r}, "received").write_text(signal.Signals(number).name)
    if signal.Signals(number).name in {ends}:
        sys.exit(75 if number == signal.SIGUSR1 else 137)
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    signal.signal(number, end)
pathlib.Path({folder!r}, "arguments").write_text(" ".join(sys.argv[1:]))
time.sleep(60)
"""


def run(folder: Path, number: signal.Signals, stop_seconds: float, ends: tuple[str, ...]) -> int:
    """Run a step by a srun that ends of some signals, and send this process one when it listens."""
    srun = folder / "srun"
    srun.write_text(SRUN.format(python=sys.executable, folder=str(folder), ends=ends))
    srun.chmod(0o755)

    def send() -> None:
        end = time.monotonic() + 30
        while not (folder / "arguments").exists() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", path)
            return Step(stop_seconds).run_step(3, ["program", "job"], os.environ)
    finally:
        thread.join()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 75)])
def test_srun_is_asked_by_the_signal_that_it_passes_on(tmp_path: Path, number: signal.Signals, code: int) -> None:
    assert run(tmp_path, number, 60, ("SIGUSR1", "SIGTERM")) == code
    assert (tmp_path / "received").read_text() == "SIGUSR1"
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("--nodes 3 --ntasks 3 --ntasks-per-node 1 --kill-on-bad-exit=0 --export=ALL --overlap ")
    assert arguments.endswith(" program job")


def test_a_step_that_does_not_end_in_time_is_ended_by_srun(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 1 processes had not ended 0\.3 s after SIGUSR1"):
        run(tmp_path, signal.SIGUSR1, 0.3, ("SIGTERM",))
    assert (tmp_path / "received").read_text() == "SIGTERM"


def test_an_interrupt_ends_the_step_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, signal.SIGINT, 60, ("SIGTERM",))
    assert (tmp_path / "received").read_text() == "SIGTERM"
