"""docs/price.md shows what the command prints."""

import shutil
from pathlib import Path

from checkouts import copy_checkout
from docs_blocks import REPOSITORY, find_difference, read_commands, run_command


def test_the_document_shows_what_the_demo_costs(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "copy")
    shutil.copy2(REPOSITORY / "studies/demo.yaml", root / "studies")
    (command,) = read_commands(REPOSITORY / "docs/price.md")
    assert command.printed
    assert not find_difference(command, run_command(root, command.text))
