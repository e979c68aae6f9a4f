"""docs/status.md shows what `mixlab status` prints of a study that is half done."""

import re
from pathlib import Path

from checkouts import copy_checkout
from docs_blocks import REPOSITORY, Command, find_difference, read_commands, run_command
from status_lab import keep_busy

DOCUMENT = REPOSITORY / "docs/status.md"
CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:+]+"), "MOMENT"),
    (re.compile(r"process \d+ on [\w.-]+"), "PROCESS"),
    (re.compile(r"\b\d+(\.\d+)? (s|min|h) ago"), "AGO"),
    (re.compile(r"\d+\.?\d* min\b"), "MINUTES"),
)


def blur(line: str) -> str:
    """Leave out what is another in each run: moments, processes, how long ago."""
    for pattern, word in CHANGING:
        line = pattern.sub(word, line)
    return line


def test_the_document_shows_a_study_at_work(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "copy")
    (shown,) = read_commands(DOCUMENT)
    assert len(shown.printed) > 20
    with keep_busy(root):
        said = run_command(root, shown.text)
    blurred = Command(shown.block, shown.text, tuple(map(blur, shown.printed)))
    assert not find_difference(blurred, "".join(f"{blur(line)}\n" for line in said.splitlines()))
