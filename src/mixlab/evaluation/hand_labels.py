"""A sample of dialogues that people labelled: one JSON object a line, drawn for them or brought along."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.artifacts.keys import canonical_json
from mixlab.config.categories import CATEGORIES, Category
from mixlab.config.problems import DataError, Problem, did_you_mean
from mixlab.data.records import Record

_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value", type(None): "null"}
"""What JSON holds beside objects, in words."""


@dataclass(frozen=True)
class HandLabel:
    """One line of a sample: its dialogue by ordinal, by content digest, or both, and the category a person gave."""

    line: int
    category: Category
    record: int | None
    digest: str | None


def digest_dialogue(record: Record) -> str:
    """Return 16 hex digits of sha256 over a dialogue's messages."""
    text = canonical_json(record.get("messages"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_hand_labels(path: Path) -> list[HandLabel]:
    """Read a sample: objects with `category`, and `record` (with `digest`) or `messages`; other fields are notes.

    Raises DataError with every problem: no JSON, a category that is none or not filled in, no way to find the
    dialogue, a dialogue twice.
    """
    labels: list[HandLabel] = []
    problems: list[Problem] = []
    seen: dict[int | str | None, int] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise DataError(Problem("is not there; draw a sample with `mixlab labels sample`", str(path))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(Problem(f"cannot be read as UTF-8 text: {error}", str(path))) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = _read_line(number, line)
            name = label.digest if label.record is None else label.record
            if name in seen:
                raise ValueError(f"this dialogue is in line {seen[name]} already; keep one of them")
            seen[name] = number
            labels.append(label)
        except ValueError as error:
            problems.append(Problem(str(error), str(path), number))
    if not labels and not problems:
        problems.append(Problem("holds no line; draw a sample with `mixlab labels sample`", str(path)))
    if problems:
        raise DataError(problems)
    return labels


def _read_line(number: int, line: str) -> HandLabel:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"malformed JSON: {getattr(error, 'msg', 'nested too deeply')}") from None
    if not isinstance(row, dict):
        raise ValueError(f"is {_KINDS[type(row)]}, not an object with `category`: {row!r:.60}")
    record, digest = row.get("record"), row.get("digest")
    if record is not None and (not isinstance(record, int) or isinstance(record, bool) or record < 0):
        raise ValueError(f"`record` is {record!r:.60}, not the position of a record in its source, from 0 on")
    if digest is not None and not isinstance(digest, str):
        raise ValueError(f"`digest` is {digest!r:.60}, not a text")
    if isinstance(row.get("messages"), list):
        digest = digest_dialogue(row)
    if record is None and digest is None:
        raise ValueError("names no dialogue: it needs `record`, `digest` or `messages`")
    return HandLabel(number, _read_category(row), record, digest)


def _read_category(row: Mapping[str, Any]) -> Category:
    category = row.get("category")
    if category is None or category == "":
        raise ValueError(f"`category` is not filled in; write one of {', '.join(CATEGORIES)}")
    if not isinstance(category, str) or category not in CATEGORIES:
        hint = did_you_mean(str(category), CATEGORIES)
        raise ValueError(f"unknown category {category!r:.60}{hint}; allowed: {', '.join(CATEGORIES)}")
    return category


def find_dialogues(labels: list[HandLabel], records: Iterable[tuple[int, Record]]) -> dict[int, str]:
    """Map the ordinals of the dialogues that `labels` name, by ordinal or by content, to their content digests."""
    ordinals = {label.record for label in labels}
    digests = {label.digest for label in labels if label.record is None}
    found = {}
    for ordinal, record in records:
        digest = digest_dialogue(record) if ordinal in ordinals or digests else ""
        if ordinal in ordinals or digest in digests:
            found[ordinal] = digest
    return found


def match_hand_labels(path: Path, labels: list[HandLabel], found: Mapping[int, str]) -> dict[int, HandLabel]:
    """Map the ordinal of each hand-labelled dialogue to its hand label; `found` maps ordinals to content digests.

    Raises DataError naming every line whose dialogue is not there, or is another one by now, or is named twice.
    """
    by_digest: dict[str, int] = {}
    for ordinal, digest in sorted(found.items()):
        by_digest.setdefault(digest, ordinal)
    matched: dict[int, HandLabel] = {}
    problems: list[Problem] = []
    for label in labels:
        at = by_digest.get(label.digest or "") if label.record is None else label.record
        if at is None or at not in found:
            told = "the source has no such dialogue, or its filters exclude it; leave the line out"
        elif label.digest not in (None, found[at]):
            told = f"record {at} of the source is another dialogue by now; draw the sample again"
        elif at in matched:
            told = f"this dialogue is in line {matched[at].line} already; keep one of them"
        else:
            matched[at] = label
            continue
        problems.append(Problem(told, str(path), label.line))
    if problems:
        raise DataError(problems)
    return matched
