"""Attempts: what a job leaves behind while it is at work, when it fails, and when it succeeds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mixlab.artifacts.attempts import (
    attempt_path,
    attempting,
    forget_attempt,
    is_under_way,
    list_attempts,
)
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.locks import is_held, list_writers
from mixlab.artifacts.store import Store

NAME = ("ipt", "0123456789abcdef")


def test_an_attempt_is_seen_while_it_lasts_and_forgotten_when_it_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    store = Store(tmp_path)
    with store.writing(*NAME), attempting(store, NAME):
        (attempt,) = list_attempts(store, ["source", "ipt"])
        assert (attempt.name, attempt.process, attempt.job, attempt.error) == (NAME, os.getpid(), "4711", "")
        assert is_under_way(store, attempt)
    assert list_attempts(store, ["ipt"]) == []


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ArtifactError("the disk is full"), "the disk is full"),
        (ValueError("no such thing"), "ValueError: no such thing"),
        (SystemExit(143), "stopped by SIGTERM"),
        (SystemExit(75), "stopped before its time was over; goes on from its newest state"),
        (SystemExit(3), "ended with exit code 3"),
        (SystemExit(200), "ended with exit code 200"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_what_ended_an_attempt_is_kept_and_raised(tmp_path: Path, raised: BaseException, told: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(type(raised)), store.writing(*NAME), attempting(store, NAME):
        raise raised
    (attempt,) = list_attempts(store, ["ipt"])
    assert (attempt.error, attempt.ended != "") == (told, True)
    assert not is_under_way(store, attempt)


def test_a_job_that_was_killed_left_no_word_and_its_log_is_known(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from mixlab.artifacts.attempts import attempting\nfrom mixlab.artifacts.store import Store\n"
        f"store, name = Store(Path.cwd()), {NAME}\n"
        "with store.writing(*name), attempting(store, name):\n    print('there', flush=True)\n    time.sleep(60)\n"
    )
    (tmp_path / "logs").mkdir()
    with (tmp_path / "logs/job.log").open("w") as log:
        job = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=log)
    assert job.stdout is not None
    assert job.stdout.readline() == b"there\n"
    store = Store(tmp_path)
    (attempt,) = list_attempts(store, ["ipt"])
    assert is_under_way(store, attempt)
    assert attempt.log == "logs/job.log"
    job.send_signal(signal.SIGKILL)
    job.wait()
    job.stdout.close()
    assert list_attempts(store, ["ipt"]) == [attempt]
    assert not is_under_way(store, attempt)


def test_a_damaged_note_says_so_and_other_files_are_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = attempt_path(store, NAME)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    path.with_name("notes.attempt.json").write_text("{}")
    (attempt,) = list_attempts(store, ["ipt"])
    assert attempt.error.startswith("work/ipt/0123456789abcdef.attempt.json: damaged (")
    forget_attempt(store, NAME)
    forget_attempt(store, NAME)
    assert list_attempts(store, ["ipt"]) == []


def test_a_failure_on_a_full_disk_keeps_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="mine"), attempting(store, NAME):
        monkeypatch.setattr("mixlab.artifacts.attempts.write_json", refuse)
        raise ValueError("mine")
    assert json.loads(attempt_path(store, NAME).read_text())["error"] == ""


def test_who_asks_for_a_lock_is_no_writer_to_another_who_asks(tmp_path: Path) -> None:
    import fcntl

    store = Store(tmp_path)
    path = store.lock_path(*NAME)
    assert not is_held(path)
    with store.writing(*NAME):
        assert is_held(path)
        assert len(list_writers(store.work)) == 1
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert not is_held(path)
