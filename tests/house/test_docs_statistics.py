"""docs/statistics.md shows what its commands print, and what the simulation found."""

from pathlib import Path

from checkouts import copy_checkout
from docs_blocks import REPOSITORY, find_difference, read_blocks, read_commands, run_command

from mixlab.analysis.simulated_levels import read_levels

DOCUMENT = REPOSITORY / "docs/statistics.md"


def test_the_document_shows_what_replicates_cost_and_what_can_be_found(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "copy")
    (added,) = (block for block in read_blocks(DOCUMENT) if block.above == "At the end of `studies/micro.yaml`:")
    study = root / "studies/micro.yaml"
    first, second = read_commands(DOCUMENT)
    for command in (first, second):
        if command is second:
            study.write_text(f"{study.read_text(encoding='utf-8')}\n{added.text}", encoding="utf-8")
        assert command.printed
        difference = find_difference(command, run_command(root, command.text))
        assert not difference, difference


def test_the_document_shows_the_committed_levels() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    shown = {line.split("`")[1]: [one.strip() for one in line.split("|")[2:-1]] for line in rows}
    levels = {name: [f"{one.level * 100:.1f}" for one in found.values()] for name, found in read_levels().items()}
    assert {name: shown.get(name) for name in levels} == levels
