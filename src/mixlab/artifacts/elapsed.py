"""What the attempts at an artifact took: `work/<stage>/<key>/elapsed.json`, there until its provenance has it.

An attempt writes its seconds anew every BEAT_SECONDS, so that one that was killed counts up to its last sign of life:
that is at most so much too little. The time before its process came to the artifact is in no attempt.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store, write_json

log = logging.getLogger(__name__)

ELAPSED = "elapsed.json"
BEAT_SECONDS = 15.0


@dataclass(frozen=True)
class Elapsed:
    """Attempts that held the same: their seconds in all, the GPUs that each held, and its processes."""

    seconds: float
    gpus: int
    processes: int
    attempts: int = 1


def elapsed_path(store: Store, name: Name) -> Path:
    """Where the time of attempts at an artifact is noted."""
    return store.work / name[0] / name[1] / ELAPSED


class Clock:
    """Notes how long an attempt takes while it lasts; `earlier` is what those before it took."""

    def __init__(self, path: Path, gpus: int, processes: int) -> None:
        self._path, self._gpus, self._processes = path, gpus, processes
        self._started = time.monotonic()
        self._ended = threading.Event()
        self.earlier = read_elapsed(path)
        self._write()
        self._thread = threading.Thread(target=self._beat, name="elapsed", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # a full disk is the attempt's own affair; the next sign of life may be kept
                self._write()

    def _write(self) -> None:
        own = Elapsed(round(time.monotonic() - self._started, 3), self._gpus, self._processes)
        write_json(self._path, [asdict(one) for one in add_alike((*self.earlier, own))])

    def settle(self) -> None:
        """Forget it all: it stands in provenance."""
        self._end()
        self._path.unlink(missing_ok=True)

    def stop(self) -> None:
        """Note what it came to, unless it stands in provenance."""
        if not self._ended.is_set():
            self._end()
            with suppress(OSError):  # what ended the attempt is the error to tell
                self._write()

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()


@contextmanager
def timing(store: Store, name: Name, gpus: int, processes: int) -> Iterator[Clock]:
    """Note how long an attempt takes, as one that holds so many GPUs. The artifact's lock must be held."""
    clock = Clock(elapsed_path(store, name), gpus, processes)
    try:
        yield clock
    finally:
        clock.stop()


def read_elapsed(path: Path) -> tuple[Elapsed, ...]:
    """Read what attempts took; nothing of a file that is damaged or may not be read, with a warning that names it."""
    try:
        return tuple(Elapsed(**one) for one in json.loads(path.read_bytes()))
    except FileNotFoundError:
        return ()
    except PermissionError:
        log.warning("mixlab: %s may not be read by this user: what earlier attempts took is not counted", path)
        return ()
    except (ValueError, TypeError) as error:
        log.warning("mixlab: %s is damaged (%s): what earlier attempts took is not counted", path, error)
        return ()


def add_alike(parts: Iterable[Elapsed]) -> tuple[Elapsed, ...]:
    """Add up those that held the same, so that a job that is tried without end is told in a line."""
    sums: dict[tuple[int, int], Elapsed] = {}
    for one in parts:
        held = one.gpus, one.processes
        known = sums.get(held, Elapsed(0.0, *held, attempts=0))
        sums[held] = Elapsed(round(known.seconds + one.seconds, 3), *held, known.attempts + one.attempts)
    return tuple(sums.values())
