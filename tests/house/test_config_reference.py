"""docs/config.md is written from the settings models."""

import re
from pathlib import Path

from mixlab.cli.schema import REFERENCE_COMMAND, render_config_reference

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_configuration_reference_is_up_to_date() -> None:
    path = REPOSITORY / "docs/config.md"
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    assert written == render_config_reference(), f"docs/config.md is not what the models say; run `{REFERENCE_COMMAND}`"


def test_the_reference_has_a_description_for_every_key() -> None:
    rows = [line for line in render_config_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    # a word that tells members of a union apart, and has one value, says all by itself
    tag = re.compile(r"^\| `\w+` \| word \| \S+ \| `\w+` \|  \|$")
    assert [row for row in rows if row.endswith("|  |") and not tag.match(row)] == []
