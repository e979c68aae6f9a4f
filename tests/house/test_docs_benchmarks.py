"""docs/benchmarks.md shows what the command prints, and lists every benchmark that is declared."""

import re
import shutil
from pathlib import Path

import pytest
from checkouts import copy_checkout
from docs_blocks import REPOSITORY, find_difference, read_commands, run_command

from mixlab.config.benchmarks import declared_benchmarks

DOCUMENT = REPOSITORY / "docs/benchmarks.md"


@pytest.mark.shared
@pytest.mark.parametrize("number", range(len(read_commands(DOCUMENT))))
def test_the_document_shows_what_the_command_prints(number: int, tmp_path: Path, shared_data: Path) -> None:
    command = read_commands(DOCUMENT)[number]
    if "lm-eval" in command.text:
        pytest.importorskip("lm_eval", reason="lm_eval is not installed; the extra `lm-eval` brings it")
    root = copy_checkout(tmp_path / "copy")
    shutil.copytree(REPOSITORY / "studies/benchmarks", root / "studies/benchmarks")
    (root / "config.yaml").write_text(f"study: micro\nmachine: {{data_roots: {{shared: {shared_data}}}}}\n")
    assert command.printed
    assert not find_difference(command, run_command(root, command.text))


def test_the_table_lists_every_benchmark_but_those_of_the_demo() -> None:
    first = re.findall(r"^\| (`.+?`) \|", DOCUMENT.read_text(encoding="utf-8"), re.M)
    listed = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    assert listed == {name for name in declared_benchmarks() if not name.startswith("demo_")}
