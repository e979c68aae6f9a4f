"""Deterministic bytes for what reaches an artifact."""

import json
from pathlib import Path
from typing import Any, TextIO

_LINES = json.JSONEncoder(sort_keys=True, ensure_ascii=False)
"""One for all lines: `json.dumps` would build one for each."""


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys."""
    path.write_text(json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_columns(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, one line for each list of plain values: small, and still readable."""
    path.write_text(_render_columns(value, 0) + "\n", encoding="utf-8")


def _render_columns(value: Any, depth: int) -> str:
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        entries = (f"{json.dumps(key)}:{_render_columns(value[key], depth + 1)}" for key in sorted(value))
        return "{" + inner + ("," + inner).join(entries) + outer + "}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[" + inner + ("," + inner).join(_render_columns(item, depth + 1) for item in value) + outer + "]"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def write_line(file: TextIO, value: Any) -> None:
    """Append `value` as one line of JSON with sorted keys."""
    file.write(_LINES.encode(value) + "\n")


def list_lines(path: Path) -> list[str]:
    """List what `write_line` wrote; its texts may hold what `splitlines` takes for ends of lines, such as U+2028."""
    with path.open(encoding="utf-8", newline="\n") as file:
        return list(file)


def read_json(path: Path) -> Any:
    """Read a JSON file that `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
