"""Edits of a copied checkout: functions that take its folder and change something in it, and what follows from them."""

import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from checkouts import run_mixlab

STUDY = "studies/micro.yaml"
CONFIG_FOLDER = "src/mixlab/config"

Apply = Callable[[Path], None]


@dataclass(frozen=True)
class Edit:
    """One row: an edit, how many artifacts of each stage it remakes, and a pattern that all their labels match.

    One that is `only_planned` remakes most of the study by a way that another row really runs.
    """

    name: str
    apply: Apply
    counts: Mapping[str, int]
    only: str = ""
    only_planned: bool = False

    def differences(self, made: Mapping[tuple[str, str], str]) -> list[str]:
        """Say how (stage, key) -> label of what was made differs from what this row expects; empty when it does not."""
        counts = Counter(stage for stage, _ in made)
        wrong = [
            f"{stage}: made {counts[stage]}, expected {self.counts.get(stage, 0)}"
            for stage in sorted({*counts, *self.counts})
            if counts[stage] != self.counts.get(stage, 0)
        ]
        strays = [label for label in sorted(made.values()) if not re.search(self.only, label)]
        return [*wrong, *(f"made, though it has nothing to do with the edit: {label}" for label in strays)]


def replace(path: str, old: str, new: str, count: int = 1) -> Apply:
    """Return an edit that replaces `old`, which must stand in the file exactly `count` times."""

    def apply(root: Path) -> None:
        file = root / path
        text = file.read_text(encoding="utf-8")
        if text.count(old) != count:
            raise AssertionError(f"{path}: {old!r} stands there {text.count(old)} times, not {count}; mend the edit")
        file.write_text(text.replace(old, new), encoding="utf-8")

    return apply


def append(path: str, text: str) -> Apply:
    """Return an edit that adds text to the end of a file."""

    def apply(root: Path) -> None:
        with (root / path).open("a", encoding="utf-8") as file:
            file.write(text)

    return apply


def relock(*edits: Apply) -> Apply:
    """Return the edits followed by `mixlab lock`."""
    return together(*edits, lambda root: print(run_mixlab(root, "lock")))


def delete(path: str) -> Apply:
    """Return an edit that deletes a file or folder."""

    def apply(root: Path) -> None:
        target = root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return apply


def together(*edits: Apply) -> Apply:
    """Return several edits as one."""

    def apply(root: Path) -> None:
        for edit in edits:
            edit(root)

    return apply


def discard_stage(stage: str) -> Apply:
    """Return an edit that drops the artifacts of a stage and leaves a tombstone for each."""

    def apply(root: Path) -> None:
        for folder in sorted((root / "artifacts" / stage).iterdir()):
            tombstone = root / "discarded" / stage / f"{folder.name}.json"
            tombstone.parent.mkdir(parents=True, exist_ok=True)
            tombstone.write_text(json.dumps({"key": folder.name, "reason": "averaged"}))
            shutil.rmtree(folder)

    return apply


def reverse_keys(root: Path) -> None:
    """Write the study with the keys of every mapping in reversed order."""

    def reverse(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reverse(value[key]) for key in reversed(value)}
        return [reverse(item) for item in value] if isinstance(value, list) else value

    path = root / STUDY
    text = yaml.safe_dump(reverse(yaml.safe_load(path.read_text())), sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def touch_all(root: Path) -> None:
    """Give every file another modification time, in no order."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    random.Random(0).shuffle(files)
    for moment, path in enumerate(files):
        os.utime(path, (1_700_000_000 + moment, 1_700_000_000 + moment))
