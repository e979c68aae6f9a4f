"""docs/price.md shows what the command prints."""

import shutil
from pathlib import Path

from checkouts import SHIPPED, copy_checkout
from docs_blocks import REPOSITORY, find_difference, read_commands, run_command


def test_the_document_shows_what_the_demo_and_an_edit_of_it_cost(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "copy", SHIPPED)
    shutil.copy2(REPOSITORY / "studies/demo.yaml", root / "studies")
    before = (root / "studies/demo.yaml").read_bytes()
    commands = read_commands(REPOSITORY / "docs/price.md")
    assert len(commands) == 2
    for command in commands:
        assert command.printed
        difference = find_difference(command, run_command(root, command.text))
        assert not difference, difference
    assert (root / "studies/demo.yaml").read_bytes() == before
