"""What the commands share: options, tables, JSON."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from mixlab.artifacts.states import Name, States
from mixlab.artifacts.store import Store
from mixlab.cli._errors import print_error as print_error
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.studies import CONFIG
from mixlab.config.studies import list_every_study as list_every_study
from mixlab.config.studies import list_studies as list_studies
from mixlab.plan.graph import Node

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
study_option = click.option(
    "--study", "studies", multiple=True, metavar="NAME", help="Study to look at; may be repeated."
)


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_]?)")
"""Sequences by which a program colours a terminal, moves in it or clears it (ECMA-48)."""
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class NumberRange(click.FloatRange):
    """A range of numbers. nan is none of them, though no bound holds it off."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; fails for one that is out of the range."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"nan is not in the range {self._describe_range()}.", param, ctx)
        return number


def example(*commands: str) -> str:
    """Render the examples that a command's help ends with."""
    return "\b\nExample:\n" + "\n".join(f"  {command}" for command in commands)


def open_store() -> Store:
    """Return the store of the current folder; raises ConfigError where there is no config.yaml."""
    root = Path.cwd()
    if not (root / CONFIG).is_file():
        raise ConfigError(Problem(f"no {CONFIG} in {root}; run mixlab in the folder that has one"))
    return Store(root)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def render_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Render rows under a header; numbers stand to the right, the last column is not padded."""
    table = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    right = [all(row[column].isdigit() for row in table[1:]) for column in range(len(header))]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def render_plain(line: str) -> str:
    """Render a line that another program wrote without what would move, colour or clear a terminal.

    Of a bar that was drawn over itself the last that it showed is left.
    """
    drawn = [part for part in _ESCAPES.sub("", line).split("\r") if part.strip()]
    return _CONTROLS.sub("", drawn[-1]).expandtabs().rstrip() if drawn else ""


def render_count(number: int, noun: str) -> str:
    """Render `1 study`, `2 studies`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def render_bytes(size: int) -> str:
    """Render a size for people, in binary units."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def find_state(states: States, name: Name) -> str:
    """Say what an artifact is in one word: complete (here), tracked (elsewhere), discarded, or absent."""
    if name in states.complete:
        return "complete"
    if name in states.tracked:
        return "tracked"
    return "discarded" if name in states.discarded else "absent"


def describe_node(node: Node) -> dict[str, Any]:
    """Describe a node for JSON."""
    return {"stage": node.stage, "key": node.key, "labels": node.labels}
