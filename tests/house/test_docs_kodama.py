"""docs/kodama-oda.md shows what follows from the published tables, and what does not."""

import json
from pathlib import Path

from checkouts import copy_checkout
from docs_blocks import REPOSITORY, find_difference, read_commands, run_command

DOCUMENT = REPOSITORY / "docs/kodama-oda.md"


def test_the_document_shows_what_the_command_prints(tmp_path: Path, shared_data: Path) -> None:
    root = copy_checkout(tmp_path / "copy")
    with (root / "config.yaml").open("a") as file:
        file.write(f"    shared: {json.dumps(str(shared_data))}\n")
    (shown,) = read_commands(DOCUMENT)
    assert len(shown.printed) > 20
    difference = find_difference(shown, run_command(root, shown.text))
    assert not difference, difference
