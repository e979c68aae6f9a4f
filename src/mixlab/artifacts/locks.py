"""One writer per artifact: a lock that the kernel drops when its holder dies, with the holder's name in it."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mixlab.artifacts.errors import BusyError

_TRIES = 5
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Writer:
    """Who holds a lock: stage and key of the artifact, host, process and since when."""

    stage: str
    key: str
    host: str
    process: int
    since: str

    def __str__(self) -> str:
        return f"{self.stage} {self.key} is being written by process {self.process} on {self.host} since {self.since}"


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_patiently(file: IO[str]) -> bool:
    """Try for a moment: who lists the writers holds each lock for an instant."""
    for _ in range(_TRIES):
        if _try_lock(file):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def _read_writer(path: Path) -> Writer:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        card = {}
    return Writer(path.parent.name, path.stem, card.get("host", "?"), card.get("process", 0), card.get("since", "?"))


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock at `path` (`work/<stage>/<key>.lock`) or raise BusyError naming the holder's host and process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not _try_patiently(file):
            raise BusyError(f"{_read_writer(path)}; wait for it, or stop it and run again")
        file.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since}))
        file.flush()
        yield


def list_writers(work: Path) -> list[Writer]:
    """List the writers alive on any host that shares this folder's locks."""
    writers = []
    for path in sorted(work.glob("*/*.lock")):
        with path.open("r+") as file:
            if not _try_lock(file):
                writers.append(_read_writer(path))
    return writers


def is_held(path: Path) -> bool:
    """Whether a writer holds this lock. Asked with a shared lock, so that two who ask never take each other for one."""
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
