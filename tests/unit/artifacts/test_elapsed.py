"""Time of attempts: what is kept of one that fails, and of one that is killed, until provenance has it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixlab.artifacts import elapsed
from mixlab.artifacts.elapsed import Elapsed, add_alike, elapsed_path, read_elapsed, timing
from mixlab.artifacts.store import Store

NAME = ("ipt", "0123456789abcdef")
BEATING = """
import time
from pathlib import Path
from mixlab.artifacts import elapsed
from mixlab.artifacts.store import Store
elapsed.BEAT_SECONDS = 0.02
with elapsed.timing(Store(Path.cwd()), ("ipt", "0123456789abcdef"), gpus=8, processes=4):
    time.sleep(60)
"""


def read(root: Path) -> tuple[Elapsed, ...]:
    return read_elapsed(elapsed_path(Store(root), NAME))


def test_an_attempt_that_fails_is_kept_for_the_next_and_forgotten_when_it_is_settled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"), timing(store, NAME, gpus=2, processes=1):
            raise ValueError("mine")
    with pytest.raises(ValueError, match="other"), timing(store, NAME, gpus=4, processes=4):
        raise ValueError("other")
    assert [(one.gpus, one.processes, one.attempts) for one in read(tmp_path)] == [(2, 1, 2), (4, 4, 1)]
    with timing(store, NAME, gpus=4, processes=4) as clock:
        assert [one.attempts for one in clock.earlier] == [2, 1]
        clock.settle()
    assert read(tmp_path) == ()


def test_an_attempt_that_is_killed_counts_up_to_its_last_sign_of_life(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", BEATING], cwd=tmp_path)
    end = time.monotonic() + 60
    while not (found := read(tmp_path)) or not found[0].seconds:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (killed,) = read(tmp_path)
    assert killed.seconds > 0
    assert (killed.gpus, killed.processes, killed.attempts) == (8, 4, 1)


def test_a_full_disk_ends_no_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Path] = []

    def refuse(path: Path, value: object) -> None:
        tried.append(path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(elapsed, "BEAT_SECONDS", 0.001)
    with timing(Store(tmp_path), NAME, gpus=0, processes=1):
        monkeypatch.setattr(elapsed, "write_json", refuse)
        while len(tried) < 3:
            time.sleep(0.001)
    assert [one.attempts for one in read(tmp_path)] == [1]


def test_a_damaged_note_is_named_and_counts_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = elapsed_path(Store(tmp_path), NAME)
    path.parent.mkdir(parents=True)
    for text in ("{", '[{"seconds": 1}]', json.dumps([1])):
        path.write_text(text)
        assert read(tmp_path) == ()
    assert [str(path) in one for one in caplog.messages] == [True] * 3


def test_attempts_that_held_the_same_are_one_line() -> None:
    parts = [Elapsed(1.5, 8, 4), Elapsed(2.0, 0, 1), Elapsed(3.0, 8, 4, attempts=2)]
    assert add_alike(parts) == (Elapsed(4.5, 8, 4, attempts=3), Elapsed(2.0, 0, 1))
