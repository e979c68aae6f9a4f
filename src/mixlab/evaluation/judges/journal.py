"""What one process sends and is told, line by line, so that a kill loses nothing that had arrived.

A commit to the store waits for the disk; a line here does not, and outlives its process all the same. The kernel drops
the file's lock with the process, so that another one knows who is gone, without a clock.
"""

import fcntl
import json
import logging
import os
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mixlab.config.problems import DataError
from mixlab.data.replies import Reply

log = logging.getLogger(__name__)

Name = tuple[bytes, int]
"""A question and the number of the attempt at it."""


class Journal:
    """The journal of this process, in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.owner = uuid.uuid4().hex
        self._is_torn = False
        self._path = folder / f"{self.owner}.jsonl"
        fresh = folder / f"{self.owner}.new"
        self._file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        # under its name only once it is locked: one that is not belongs to a process that is gone
        fcntl.flock(self._file, fcntl.LOCK_EX)
        fresh.rename(self._path)

    def note_sent(self, name: Name) -> None:
        """Note that a request leaves now."""
        self._write(f'{{"sent":"{name[0].hex()}","attempt":{name[1]}}}')

    def note_reply(self, name: Name, reply: Reply, cost_pico: int) -> None:
        """Note what came back and what it cost."""
        self._write(json.dumps({"reply": name[0].hex(), "attempt": name[1], "cost": cost_pico, **vars(reply)}))

    def close(self, *, is_kept: bool) -> None:
        """Let go of the journal; it is removed unless the store still lacks something that it holds."""
        if not is_kept:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _write(self, line: str) -> None:
        text = line + "\n"
        # what a full disk cut short must not swallow the line after it
        data = ("\n" + text if self._is_torn else text).encode()
        try:
            while data:
                data = data[os.write(self._file, data) :]
            self._is_torn = False
        except OSError as error:
            self._is_torn = True
            raise DataError(f"{self._path}: {error.strerror}; what is committed is kept, run again") from None


@dataclass
class Left:
    """What a process left behind when it ended: how often each question was sent, and replies with their costs."""

    path: Path
    sent: Counter[Name] = field(default_factory=Counter)
    replies: dict[Name, tuple[Reply, int]] = field(default_factory=dict)
    is_lost: bool = False
    """Whether the journal, or a line of it, cannot be read any more: what it granted itself counts as sent."""

    @property
    def owner(self) -> str:
        """The name of the process."""
        return self.path.stem


def list_owners(folder: Path) -> list[str]:
    """Name the processes with a journal in `folder`, alive or gone."""
    return sorted(path.stem for path in folder.glob("*.jsonl"))


def read_left(folder: Path, owner: str) -> Left | None:
    """Read the journal of a process that is gone; None while it lives. A half-written last line was no reply yet.

    Any other line that cannot be read, as a full disk or a crash of the machine leaves it, is skipped with a warning.
    """
    left = Left(folder / f"{owner}.jsonl")
    try:
        with left.path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        left.is_lost = True
        return left
    broken = [number for number, line in enumerate(lines, start=1) if line and not _take_line(left, line)]
    if broken:
        left.is_lost = True
        log.warning(
            "%s: %d of %d lines cannot be read, the first is line %d; they are skipped, and every request that this "
            "run was granted and got no reply to counts as sent",
            left.path,
            len(broken),
            len(lines),
            broken[0],
        )
    return left


def _take_line(left: Left, line: bytes) -> bool:
    """Take a line in; False where it cannot be read."""
    try:
        card = json.loads(line)
        if "sent" in card:
            left.sent[(bytes.fromhex(card["sent"]), int(card["attempt"]))] += 1
        else:
            tokens = int(card["prompt_tokens"]), int(card["response_tokens"])
            reply = Reply(card["text"], card["finish_reason"], *tokens)
            left.replies[(bytes.fromhex(card["reply"]), int(card["attempt"]))] = reply, int(card["cost"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return False
    return True
