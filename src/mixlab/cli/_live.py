"""Show something again and again: in a terminal over itself until `q`, elsewhere a line whenever it changes."""

import os
import select
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import click

_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_BEGIN = "\x1b[H\x1b[2J"
QUIT = "q"


@dataclass(frozen=True)
class Frame:
    """What there is to see: in full, in a line, and whether it is the last."""

    text: str
    line: str
    is_last: bool


def show_again(look: Callable[[], Frame], seconds: float) -> None:
    """Show frames until the last, or until `q` in a terminal; Ctrl-C raises KeyboardInterrupt, as everywhere."""
    if sys.stdout.isatty():
        click.echo(_show_in_terminal(look, seconds).text)
    else:
        show_lines(look, seconds)


def show_lines(look: Callable[[], Frame], seconds: float, *, dated: bool = True) -> None:
    """Print the line of each frame that differs from the one before, behind the time unless it is not `dated`."""
    told = ""
    while True:
        frame = look()
        if frame.line != told:
            click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {frame.line}" if dated else frame.line)
            told = frame.line
        if frame.is_last:
            return
        time.sleep(seconds)


def _show_in_terminal(look: Callable[[], Frame], seconds: float) -> Frame:
    """Draw on the terminal's other screen, and leave the first as it was; return the last frame."""
    with _reading_keys() as wait:
        click.echo(_OTHER_SCREEN, nl=False)
        try:
            while True:
                frame = look()
                click.echo(_BEGIN + _fit(frame.text), nl=False)
                if frame.is_last or wait(seconds) == QUIT:
                    return frame
        finally:
            click.echo(_FIRST_SCREEN, nl=False)


def _fit(text: str) -> str:
    """Cut what does not fit, and say how much; the last line is for the key."""
    columns, rows = shutil.get_terminal_size()
    lines = text.splitlines()
    room = max(1, rows - 2)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... {len(lines) - room + 1} more lines: `mixlab status`"]
    return "\n".join([*(_cut(line, columns) for line in lines), f"{QUIT} leaves"])


def _cut(line: str, columns: int) -> str:
    """Cut a line to so many columns of a terminal: a wide letter, as 数, takes two, and what joins another none."""
    width = 0
    for at, letter in enumerate(line):
        if not unicodedata.combining(letter):
            width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > columns:
            return line[:at]
    return line


@contextmanager
def _reading_keys() -> Iterator[Callable[[float], str]]:
    """Give a function that waits so many seconds for a key, and returns it or nothing."""
    if not sys.stdin.isatty():
        yield _wait
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield _read_key
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _read_key(seconds: float) -> str:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return os.read(sys.stdin.fileno(), 1).decode(errors="replace").lower() if ready else ""
