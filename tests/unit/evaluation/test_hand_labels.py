"""A sample that people labelled is read strictly: every mistake is named with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from mixlab.config.problems import DataError
from mixlab.evaluation.hand_labels import (
    HandLabel,
    digest_dialogue,
    find_dialogues,
    match_hand_labels,
    read_hand_labels,
)


def build_record(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}]}


RECORDS = list(enumerate([build_record("a"), build_record("b"), build_record("a"), build_record("c")]))
DIGESTS = {ordinal: digest_dialogue(record) for ordinal, record in RECORDS}


def write(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "hand.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def match(path: Path) -> dict[int, str]:
    labels = read_hand_labels(path)
    return {at: one.category for at, one in match_hand_labels(path, labels, find_dialogues(labels, RECORDS)).items()}


def test_dialogues_are_found_by_their_ordinal_their_digest_or_their_messages(tmp_path: Path) -> None:
    rows = [
        {"record": 1, "category": "code", "note": "ignored"},
        {"record": 3, "digest": DIGESTS[3], "category": "math"},
        {"messages": RECORDS[0][1]["messages"], "category": "general"},
    ]
    assert match(write(tmp_path, *rows)) == {1: "code", 3: "math", 0: "general"}


def test_a_line_separator_within_a_text_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "hand.jsonl"
    path.write_text('{"record": 1, "dialogue": "a\u2028b\x85c", "category": "code"}\n', "utf-8")
    assert read_hand_labels(path) == [HandLabel(1, "code", 1, None)]


def test_blank_lines_and_a_byte_order_mark_are_no_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "hand.jsonl"
    path.write_text('\n{"record": 1, "category": "code"}\n\n', "utf-8-sig")
    assert read_hand_labels(path) == [HandLabel(2, "code", 1, None)]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"record": 1, "category": None}, "`category` is not filled in; write one of code, general"),
        ({"record": 1}, "`category` is not filled in"),
        ({"record": 1, "category": "maths"}, "unknown category 'maths'; did you mean 'math'\\?"),
        ({"record": 1, "category": ["math"]}, "unknown category"),
        ({"category": "math"}, "names no dialogue"),
        ({"record": -1, "category": "math"}, "`record` is -1"),
        ({"record": True, "category": "math"}, "`record` is True"),
        ({"record": "1", "category": "math"}, "`record` is '1'"),
        ({"record": 1, "digest": 5, "category": "math"}, "`digest` is 5"),
        ('{"record": 1, "cat', "malformed JSON"),
        ("[" * 100_000, "malformed JSON"),
        ("[1]", r"is a list, not an object with `category`: \[1\]"),
        ("null", "is null, not an object"),
        ("3", "is a number, not an object"),
        ('"math"', "is a text, not an object with `category`: 'math'"),
        ("true", "is a truth value, not an object"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, row: Any, told: str) -> None:
    with pytest.raises(DataError, match=rf"hand\.jsonl:2: {told}"):
        read_hand_labels(write(tmp_path, {"record": 0, "category": "code"}, row))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, {"record": 0, "category": "x"}, {"record": 1, "category": "y"}, {"record": 2})
    with pytest.raises(DataError) as caught:
        read_hand_labels(path)
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]


def test_a_dialogue_twice_is_a_mistake_by_whatever_name(tmp_path: Path) -> None:
    twice = {"record": 0, "category": "code"}
    with pytest.raises(DataError, match=r"hand\.jsonl:2: this dialogue is in line 1 already"):
        read_hand_labels(write(tmp_path, twice, twice))
    path = write(tmp_path, twice, {"messages": RECORDS[0][1]["messages"], "category": "code"})
    with pytest.raises(DataError, match=r"hand\.jsonl:2: this dialogue is in line 1 already"):
        match(path)


def test_dialogues_that_are_not_there_or_have_changed_are_mistakes(tmp_path: Path) -> None:
    rows = [
        {"record": 99, "category": "code"},
        {"digest": "0" * 16, "category": "code"},
        {"record": 1, "digest": DIGESTS[0], "category": "code"},
    ]
    with pytest.raises(DataError) as caught:
        match(write(tmp_path, *rows))
    told = [problem.message.split(";")[0] for problem in caught.value.problems]
    absent = "the source has no such dialogue, or its filters exclude it"
    assert told == [absent, absent, "record 1 of the source is another dialogue by now"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", None])
def test_a_file_that_holds_no_sample_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "hand.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"hand\.jsonl"):
        read_hand_labels(path)
