"""What went wrong in a rank, left in a file for the process that started it."""

import json
import os
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from mixlab.config.problems import DataError, UserError

_NEAR_END_SECONDS = 60.0
"""Slurm looks for jobs whose time is over twice a minute, and sends SIGTERM half a minute before it kills."""


@dataclass(frozen=True)
class Failure:
    """One rank's end; `when` is in seconds since 1970, `errno` is that of an OSError."""

    rank: int
    is_users: bool
    text: str
    when: float
    errno: int = 0
    file: str = ""

    @property
    def has_cause(self) -> bool:
        """Whether it is no mere consequence of another rank's end."""
        return self.is_users or self.errno != 0


def write_failure(folder: Path, rank: int, error: BaseException) -> None:
    """Leave what ended a rank."""
    is_users = isinstance(error, UserError)
    text = str(error) if is_users else "".join(traceback.format_exception(error))
    number, file = (error.errno or 0, str(error.filename or "")) if isinstance(error, OSError) else (0, "")
    failure = Failure(rank, is_users, text, time.time(), number, file)
    path = folder / f"failure-{rank}.json"
    temporary = path.with_suffix(".part")  # others look for it all the time
    temporary.write_text(json.dumps(asdict(failure)), encoding="utf-8")
    temporary.replace(path)


def has_failed(folder: Path) -> bool:
    """Whether a rank of any machine has left word of its failure."""
    return any(folder.glob("failure-*.json"))


def find_first_failure(folder: Path) -> Failure | None:
    """The failure that ended the others: a user's mistake before all else, then the earliest."""
    found = [Failure(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("failure-*.json")]
    # A rank that loses its peer fails too, later, and says nothing of the cause.
    return min(found, key=lambda failure: (not failure.is_users, not failure.has_cause, failure.when), default=None)


def explain_cut_off(newest_step: int | None, now: float) -> DataError:
    """Say that a training ended with code 0 and is not finished, as srun does when Slurm ends its step.

    `now` is in seconds since 1970; Slurm notes in the environment when the job's time is over, if its version does.
    """
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if end.isdigit() and now >= int(end) - _NEAR_END_SECONDS:
        cause = "the job's time is over: raise stages.STAGE.runtime_minutes if it takes more"
    else:
        cause = "its step was ended from outside, as by the job's time limit (stages.STAGE.runtime_minutes) or scancel"
    kept = "no state is saved yet, so it begins anew" if newest_step is None else f"it goes on after step {newest_step}"
    return DataError(f"training: not finished: {cause}; {kept} when it is started again")


def raise_failure(failure: Failure) -> None:
    """Raise what the rank raised: DataError, OSError with its number, or RuntimeError with the rank's traceback."""
    if failure.is_users:
        raise DataError(failure.text)
    if failure.errno:
        last = failure.text.strip().splitlines()[-1]
        raise OSError(failure.errno, f"rank {failure.rank}: {last}", failure.file or None)
    raise RuntimeError(f"rank {failure.rank} of the training failed:\n{failure.text}")
