"""Who is at an artifact, and how the last try ended: `work/<stage>/<key>.attempt.json`, there until it succeeds.

Written under the artifact's lock. An attempt whose lock is held is under way; one whose lock is free ended without an
artifact: by an error that it noted, or killed, with nothing noted.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mixlab.artifacts.keys import KEY_LENGTH
from mixlab.artifacts.locks import is_held
from mixlab.artifacts.processes import sign, tell_now
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store, write_json

SUFFIX = ".attempt.json"
GOES_ON = 75
"""Exit code of a training that saved its state before its time was over."""
_LONGEST_ERROR = 4000
_STANDARD_ERROR = "/proc/self/fd/2"


@dataclass(frozen=True)
class Attempt:
    """One try to make an artifact: by which process, since when (ISO 8601), and how it ended.

    `job`: the number of its Slurm job, or nothing. `log`: the file that it writes to, relative to the working folder
    where it lies in it, or nothing. `error`: what ended it, or nothing: under way, or killed.
    """

    stage: str
    key: str
    host: str
    process: int
    since: str
    job: str = ""
    log: str = ""
    error: str = ""
    ended: str = ""

    @property
    def name(self) -> Name:
        """Stage and key."""
        return self.stage, self.key


def attempt_path(store: Store, name: Name) -> Path:
    """Where the attempt at an artifact is noted."""
    return store.work / name[0] / f"{name[1]}{SUFFIX}"


@contextmanager
def attempting(store: Store, name: Name) -> Iterator[None]:
    """Note an attempt; forget it when it succeeds, else note what ended it. The artifact's lock must be held."""
    path = attempt_path(store, name)
    job = os.environ.get("SLURM_JOB_ID", "")
    attempt = {
        "stage": name[0],
        "key": name[1],
        **sign(),
        "job": job,
        "log": _find_log(store),
        "error": "",
        "ended": "",
    }
    write_json(path, attempt)
    try:
        yield
    except BaseException as error:
        # a full disk may be what ended it: that error is the one to tell
        with contextlib.suppress(OSError):
            write_json(path, {**attempt, "error": _describe(error), "ended": tell_now()})
        raise
    forget_attempt(store, name)


def forget_attempt(store: Store, name: Name) -> None:
    """Forget what was tried: the artifact is here."""
    attempt_path(store, name).unlink(missing_ok=True)


def _find_log(store: Store) -> str:
    """The file that this process's standard error goes to, where it is one and the system says so."""
    try:
        path = Path(_STANDARD_ERROR).readlink()
    except OSError:
        return ""
    if not path.is_file():
        return ""
    root = store.root.resolve()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _describe(error: BaseException) -> str:
    """What ended an attempt, in a line or more; exit codes of 128 and more are signals."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if not isinstance(error, SystemExit):
        text = str(error).strip()
        kind = "" if hasattr(error, "exit_code") else f"{type(error).__name__}: "
        return f"{kind}{text}"[:_LONGEST_ERROR]
    code = error.code if isinstance(error.code, int) else 1
    if code == GOES_ON:
        return "stopped before its time was over; goes on from its newest state"
    with contextlib.suppress(ValueError):
        return f"stopped by {signal.Signals(code - 128).name}" if code > 128 else f"ended with exit code {code}"
    return f"ended with exit code {code}"


def list_attempts(store: Store, stages: Iterable[str]) -> list[Attempt]:
    """List the attempts that left no artifact yet, by stage and key; one that cannot be read says so as its error."""
    found = []
    for stage in stages:
        try:
            names = os.listdir(store.work / stage)
        except FileNotFoundError:
            continue
        keys = (name.removesuffix(SUFFIX) for name in sorted(names) if name.endswith(SUFFIX))
        found += [one for key in keys if len(key) == KEY_LENGTH and (one := _read(store, (stage, key))) is not None]
    return found


def _read(store: Store, name: Name) -> Attempt | None:
    path = attempt_path(store, name)
    try:
        attempt = Attempt(**json.loads(path.read_text(encoding="utf-8")))
        datetime.fromisoformat(attempt.since)
        return attempt
    except FileNotFoundError:
        return None  # it succeeded since the folder was listed
    except PermissionError:
        why = "may not be read by this user"
    except (ValueError, TypeError) as error:
        why = f"damaged ({error}); remove it"
    try:
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except FileNotFoundError:
        return None
    return Attempt(*name, "?", 0, since, error=f"{path.relative_to(store.root)}: {why}")


def is_under_way(store: Store, attempt: Attempt) -> bool:
    """Whether somebody holds the artifact's lock."""
    return is_held(store.lock_path(*attempt.name))
