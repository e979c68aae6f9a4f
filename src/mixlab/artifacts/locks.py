"""One writer per artifact: a lock that the kernel drops when its holder dies, with the holder's name in it."""

import errno
import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mixlab.artifacts.errors import ArtifactError, BusyError
from mixlab.artifacts.processes import sign

_TRIES = 5
_PAUSE_SECONDS = 0.05
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that keeps no locks: NFS without its lock service, Lustre mounted without `flock`."""


@dataclass(frozen=True)
class Writer:
    """Who holds a lock: stage and key of the artifact, host, process and since when.

    `run` is the run of Snakemake that started it, `job` the number of its Slurm job; empty where there is none.
    """

    stage: str
    key: str
    host: str
    process: int
    since: str
    run: str = ""
    job: str = ""

    def __str__(self) -> str:
        return f"{self.stage} {self.key} is being written by process {self.process} on {self.host} since {self.since}"


def try_lock(file: IO[str]) -> bool:
    """Lock an open file for this process until it is closed; False where another holds it.

    Raises ArtifactError where the file system keeps no locks.
    """
    return _try(file, fcntl.LOCK_EX)


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        raise ArtifactError(
            f"{file.name}: its file system keeps no locks ({error.strerror}), so that two could write one artifact; "
            "have it mounted with them (NFS: its lock service, Lustre: -o flock), or work in a folder of another one"
        ) from error
    return True


def try_patiently(file: IO[str]) -> bool:
    """Try for a moment: who lists the writers holds each lock for an instant."""
    for _ in range(_TRIES):
        if try_lock(file):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def _read_writer(path: Path) -> Writer:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        card = {}
    return Writer(
        path.parent.name,
        path.stem,
        card.get("host", "?"),
        card.get("process", 0),
        card.get("since", "?"),
        card.get("run", ""),
        card.get("job", ""),
    )


@contextmanager
def hold_lock(path: Path, origin: Mapping[str, str] | None = None) -> Iterator[None]:
    """Hold the lock at `path` (`work/<stage>/<key>.lock`) or raise BusyError naming the holder's host and process.

    `origin` may say of which `run` and `job` the holder is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not try_patiently(file):
            raise BusyError(f"{_read_writer(path)}; wait for it, or stop it and run again")
        file.truncate(0)
        file.write(json.dumps({**sign(), **(origin or {})}))
        file.flush()
        yield


def list_writers(work: Path) -> list[Writer]:
    """List the writers alive on any host that shares this folder's locks.

    A lock that may not be read, as another user's may be, counts as held, by a writer of host `?`.
    """
    return [_read_writer(path) for path in sorted(work.glob("*/*.lock")) if is_held(path)]


def is_held(path: Path) -> bool:
    """Whether a process holds this lock. Asked with a shared lock, so that two who ask never take each other for one.

    A lock that may not be read counts as held. Raises ArtifactError where the file system keeps no locks.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return not _try(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
