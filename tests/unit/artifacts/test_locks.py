"""One writer per artifact, in whatever process, and none once it is dead."""

import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mixlab.artifacts.errors import ArtifactError, BusyError
from mixlab.artifacts.locks import hold_lock, list_writers
from mixlab.artifacts.store import Store

STAGE, KEY = "ipt", "0123456789abcdef"

HOLDER = f"""
import sys, time
from pathlib import Path
from mixlab.artifacts.store import Store
with Store(Path(sys.argv[1])).writing("{STAGE}", "{KEY}") as draft:
    (draft.resume / "state").write_text("step 7")
    print("holding", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_writer(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that writes the artifact; killed at the end if it still lives."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_refused_naming_host_and_process_of_the_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with another_writer(tmp_path) as other:
        with pytest.raises(BusyError) as raised, store.writing(STAGE, KEY):
            pytest.fail("two writers")
        (writer,) = list_writers(store.work)
    told = f"{STAGE} {KEY} is being written by process {other.pid} on {socket.gethostname()} since "
    assert str(raised.value).startswith(told)
    assert (writer.stage, writer.key, writer.host, writer.process) == (STAGE, KEY, socket.gethostname(), other.pid)


def test_a_refused_writer_leaves_the_first_ones_work_and_name_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with another_writer(tmp_path) as other:
        for _ in range(2):
            with pytest.raises(BusyError, match=f"process {other.pid} "), store.writing(STAGE, KEY):
                pass
        assert (store.work / STAGE / KEY / "resume/state").read_text() == "step 7"
        assert (store.work / STAGE / KEY / "out").is_dir()


def test_a_killed_writers_lock_is_free_and_its_resume_state_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with another_writer(tmp_path) as other:
        other.kill()
        other.wait()
    assert list_writers(store.work) == []
    with store.writing(STAGE, KEY) as draft:
        assert draft is not None
        assert (draft.resume / "state").read_text() == "step 7"


def test_writers_of_other_artifacts_do_not_disturb_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with another_writer(tmp_path), store.writing(STAGE, "f" * 16) as draft:
        assert draft is not None
        assert {writer.process for writer in list_writers(store.work)} >= {os.getpid()}


def test_a_lock_is_free_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / STAGE / f"{KEY}.lock"
    with pytest.raises(RuntimeError), hold_lock(path):
        raise RuntimeError
    with hold_lock(path):
        pass
    assert list_writers(tmp_path) == []


def test_listing_writers_where_nothing_was_ever_written_finds_none(tmp_path: Path) -> None:
    assert list_writers(tmp_path / "work") == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_by_who_writes_and_who_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / STAGE / f"{KEY}.lock"

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("mixlab.artifacts.locks.fcntl.flock", refuse)
    told = f"{path}: its file system keeps no locks ({os.strerror(number)})"
    with pytest.raises(ArtifactError, match=re.escape(told)), hold_lock(path):
        pytest.fail("nobody may write")
    with pytest.raises(ArtifactError, match=re.escape(told)):
        list_writers(tmp_path)
