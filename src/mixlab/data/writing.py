"""Deterministic bytes for what reaches an artifact."""

import json
from pathlib import Path
from typing import Any, TextIO


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys."""
    path.write_text(json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_line(file: TextIO, value: Any) -> None:
    """Append `value` as one line of JSON with sorted keys."""
    file.write(json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
