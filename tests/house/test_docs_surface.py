"""docs/surface.md shows what the commands about response surfaces print."""

import re
from pathlib import Path

from checkouts import copy_checkout
from docs_blocks import (
    CONSOLE,
    REPOSITORY,
    Command,
    find_difference,
    follow,
    read_blocks,
    run_command,
    split_console,
)

DOCUMENT = REPOSITORY / "docs/surface.md"


def blur(line: str) -> str:
    """Leave out what another processor may compute: numbers, and how wide they are."""
    return re.sub(r"\s+", " ", re.sub(r"-?\d+(\.\d+)?(e-\d+)?(/\d+)?", "N", line)).strip()


def test_the_document_shows_a_surface_and_what_to_measure_next(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "copy")
    blocks = [block for block in read_blocks(DOCUMENT) if block.language in (CONSOLE, "csv")]
    assert [block.language for block in blocks] == ["csv", CONSOLE, CONSOLE]
    follow(root, blocks[0])
    for shown in (one for block in blocks[1:] for one in split_console(block)):
        said = "".join(f"{blur(line)}\n" for line in run_command(root, shown.text).splitlines())
        assert len(shown.printed) > 5
        assert not find_difference(Command(shown.block, shown.text, tuple(map(blur, shown.printed))), said)
