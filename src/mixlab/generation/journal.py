"""Completions as they come, in the work folder of a job: a killed job asks only for what is missing."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixlab.data.writing import write_line
from mixlab.generation.engine import REFUSED, Completion, Request

FILE = "completions.jsonl"

_TYPES = {"text": str, "finish_reason": str, "cut_tokens": int}
_COUNTS = ("prompt_tokens", "response_tokens")


class Journal:
    """Completions of one artifact by prompt digest and seed; `kept` were there when it was opened.

    `holds_answers`: some of those were no refusals.

    What a kill left of a last line is cut off. A work folder belongs to one key, so that model, prompts and sampling
    are the same; without a folder nothing outlives the process. `keeps_refusals: False` where a refusal fails the job:
    it is asked again by the next attempt, whose endpoint may be mended.
    """

    def __init__(self, folder: Path | None = None, *, keeps_refusals: bool = True) -> None:
        self._path = folder / FILE if folder is not None else None
        self._keeps_refusals = keeps_refusals
        self._found: dict[tuple[str, int], Completion] = {}
        if self._path is not None and self._path.is_file():
            self._read(self._path)
        self.kept = len(self._found)
        self.holds_answers = any(one.finish_reason != REFUSED for one in self._found.values())

    def find(self, request: Request) -> Completion | None:
        """Return what a request was answered, None where it is still to be asked."""
        return self._found.get(_name(request))

    def add(self, finished: Iterable[tuple[Request, Completion]]) -> None:
        """Keep completions; they are with the operating system when this returns."""
        named = [(_name(request), completion) for request, completion in finished]
        self._found.update(named)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8", newline="\n") as stream:
                for (prompt, seed), completion in filter(self._is_lasting, named):
                    entry = {"prompt": prompt, "seed": seed, **asdict(completion)}
                    del entry["note"]
                    write_line(stream, entry)

    def _read(self, path: Path) -> None:
        """Read whole lines up to the first that is none, and drop what is behind."""
        whole = 0
        with path.open("rb+") as stream:
            for line in stream:
                entry = _parse(line)
                if entry is None:
                    break
                if self._is_lasting(entry):
                    self._found[entry[0]] = entry[1]
                whole += len(line)
            stream.truncate(whole)

    def _is_lasting(self, entry: tuple[tuple[str, int], Completion]) -> bool:
        return self._keeps_refusals or entry[1].finish_reason != REFUSED


def digest_prompt(text: str) -> str:
    """Return the sha256 of a whole prompt."""
    return hashlib.sha256(text.encode()).hexdigest()


def _name(request: Request) -> tuple[str, int]:
    return digest_prompt(request.text), request.seed


def _parse(line: bytes) -> tuple[tuple[str, int], Completion] | None:
    try:
        entry: Any = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    prompt, seed = entry.pop("prompt", None), entry.pop("seed", None)
    is_whole = entry.keys() == {*_TYPES, *_COUNTS} and isinstance(prompt, str) and type(seed) is int
    if not is_whole or not all(isinstance(entry[name], kind) for name, kind in _TYPES.items()):
        return None
    if not all(entry[name] is None or type(entry[name]) is int for name in _COUNTS):
        return None
    return (prompt, seed), Completion(**entry)
