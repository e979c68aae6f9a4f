"""What went wrong in a rank, left in a file for the process that started it."""

import json
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from mixlab.config.problems import DataError, UserError


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


def raise_failure(failure: Failure) -> None:
    """Raise what the rank raised: DataError, OSError with its number, or RuntimeError with the rank's traceback."""
    if failure.is_users:
        raise DataError(failure.text)
    if failure.errno:
        last = failure.text.strip().splitlines()[-1]
        raise OSError(failure.errno, f"rank {failure.rank}: {last}", failure.file or None)
    raise RuntimeError(f"rank {failure.rank} of the training failed:\n{failure.text}")
