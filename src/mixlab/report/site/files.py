"""Data of a page as scripts that register themselves: a page opened as a file may load scripts, and fetch nothing."""

import json
from pathlib import Path
from typing import Any

DATA = "data"
"""The folder beside the page."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_UNSAFE = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render_json(value: Any) -> str:
    """Render JSON that holds neither `<`, so that no text of a model ends a script, nor a line end of JavaScript."""
    text = _ENCODER.encode(value)
    for letter, escaped in _UNSAFE.items():
        text = text.replace(letter, escaped)
    return text


def write_data(out: Path, name: str, text: str) -> None:
    """Write JSON `text` to `data/NAME.js`, which hands it to the page under `name` (letters, digits, `-`, `/`).

    Half of a surrogate pair, which a broken reply may hold, is written as JavaScript's escape for it.
    """
    path = out / DATA / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    script = f'mixlabData("{name}",{text});\n'
    path.write_bytes(script.encode("utf-8", errors="backslashreplace"))


class ChunkWriter:
    """Rows in files of bounded size, `data/NAME-0.js` and on, so that a page loads only what is looked at."""

    def __init__(self, out: Path, name: str, most_bytes: int, most_rows: int) -> None:
        self._out, self._name, self._most_bytes, self._most_rows = out, name, most_bytes, most_rows
        self._rows: list[str] = []
        self._bytes = self._total = 0
        self._starts: list[int] = []

    def add(self, row: Any) -> None:
        """Append a row; a row larger than a file has a file of its own."""
        text = render_json(row)
        size = len(text.encode("utf-8", errors="backslashreplace"))
        if self._rows and (self._bytes + size > self._most_bytes or len(self._rows) >= self._most_rows):
            self._flush()
        self._rows.append(text)
        self._bytes += size

    def close(self) -> list[int]:
        """Write what is left; return the number of the first row of each file."""
        if self._rows:
            self._flush()
        return self._starts

    def _flush(self) -> None:
        write_data(self._out, f"{self._name}-{len(self._starts)}", f"[{','.join(self._rows)}]")
        self._starts.append(self._total)
        self._total += len(self._rows)
        self._rows, self._bytes = [], 0
