"""What a field holds becomes a text or a bad record, never a text that nobody wrote."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_formats import read, save, settle

from mixlab.config.problems import DataError
from mixlab.data.records import find_fault, is_blank, is_plain_dialogue
from mixlab.data.sources.mapping import trim
from mixlab.data.sources.reading import read_records

CHAT = {"preset": "messages", "fields": {}}
RAW: dict[str, Any] = {"kind": "raw", "category": None}


def reasons(tmp_path: Path, line: str, **changes: Any) -> list[str]:
    """Why the one record of a file of JSON lines is none; empty when it is one."""
    files = [save(tmp_path / "a", line.encode() + b"\n")]
    return [reason for _, reason in read(settle(files, **changes), files)[1]]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("true", "true, not a text"),
        ("1e400", "Infinity, not a text"),
        ("12", "the number 12, not a text"),
        ("0.5", "the number 0.5, not a text"),
        ("9" * 3000, f"the number {'9' * 40}…, not a text"),
    ],
)
def test_a_text_that_is_one_field_is_a_text(tmp_path: Path, value: str, said: str) -> None:
    fields = {"origin": {"fields": {"text": "{text}"}}}
    assert reasons(tmp_path, f'{{"text": {value}}}', **RAW, **fields) == [f"field `text` holds {said}"]


@pytest.mark.parametrize(("value", "said"), [("5", "the number 5"), ("false", "false"), ("-1e999", "-Infinity")])
def test_a_turn_is_a_text(tmp_path: Path, value: str, said: str) -> None:
    line = f'{{"messages": [{{"role": "user", "content": {value}}}, {{"role": "assistant", "content": "x"}}]}}'
    assert reasons(tmp_path, line, origin=CHAT) == [f"field `messages.0.content` holds {said}, not a text"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"q": "1 + 1?", "a": 18}, []),
        ({"q": "1 + 1?", "a": 0.5}, []),
        ({"q": "1 + 1?", "a": False}, ["field `a` holds false, not a text"]),
        ({"q": "1 + 1?", "a": float("inf")}, ["field `a` holds Infinity, not a text"]),
        ({"q": 18, "a": "x"}, ["field `q` holds the number 18, not a text"]),
    ],
)
def test_an_answer_may_be_a_number_and_a_question_may_not(tmp_path: Path, row: dict[str, Any], told: list[str]) -> None:
    assert (
        reasons(
            tmp_path,
            json.dumps(row).replace("Infinity", "1e999"),
        )
        == told
    )


def test_numbers_stand_within_other_text_and_truth_values_do_not(tmp_path: Path) -> None:
    fields = {"origin": {"fields": {"text": "{title} of {year}"}}}
    assert reasons(tmp_path, '{"title": "A history", "year": 1905}', **RAW, **fields) == []
    told = reasons(tmp_path, '{"title": "A history", "year": true}', **RAW, **fields)
    assert told == ["field `year` holds true, not a text"]


@pytest.mark.parametrize(("value", "told"), [("1", []), ("true", ["field `n` holds true, not a text"])])
def test_an_item_of_a_benchmark_may_be_a_number(tmp_path: Path, value: str, told: list[str]) -> None:
    origin = {"fields": {"id": "{n}", "item": {"answer": "{n}", "all": "{l}"}}}
    line = f'{{"n": {value}, "l": ["x", 2]}}'
    assert reasons(tmp_path, line, kind="benchmark", category=None, origin=origin) == told


def test_a_list_within_a_joined_list_holds_texts(tmp_path: Path) -> None:
    derive = {"steps": {"type": "join", "field": "s", "item": "{0}: {1}"}}
    origin = {"fields": {"derive": derive, "user": "{q}", "assistant": "{steps}"}}
    assert reasons(tmp_path, '{"q": "x", "s": [["a", ["b", 2]]]}', origin=origin) == []
    told = reasons(tmp_path, '{"q": "x", "s": [["a", ["b", null, true]]]}', origin=origin)
    assert told == ["field `s` is missing"]


def test_records_are_selected_by_a_truth_value(tmp_path: Path) -> None:
    rows = b'{"q": "x", "a": "y", "right": true}\n{"q": "x", "a": "z", "right": false}\n'
    files = [save(tmp_path / "a", rows)]
    records, excluded = read(settle(files, origin={"select": {"by": "{right}", "values": ["True"]}}), files)
    assert ([record["messages"][1]["content"] for record in records], excluded) == (["y"], [])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("    a = 1\n    b = 2", "    a = 1\n    b = 2"),
        ("\n \n\tif x:\n\t\ty\n\n", "\tif x:\n\t\ty"),
        ("\r\n\u3000吾輩は猫である。 \u3000\n", "\u3000吾輩は猫である。"),
        ("2", "2"),
        (" \n ", ""),
        ("", ""),
    ],
)
def test_a_message_keeps_the_indentation_of_its_first_line(text: str, kept: str) -> None:
    assert trim(text) == kept


@given(st.text(alphabet=" \t\r\n\u3000a"))
def test_trimming_takes_white_space_alone_and_what_is_trimmed_stays_as_it_is(text: str) -> None:
    assert trim(text).strip() == text.strip()
    assert trim(trim(text)) == trim(text)
    assert not trim(text) or trim(text).splitlines()[0].strip()


def test_an_indented_answer_is_read_with_its_indentation(tmp_path: Path) -> None:
    row = {"q": "Write the body.", "a": "    a = 1\n    b = 2\n"}
    turns = [{"role": "user", "content": row["q"]}, {"role": "assistant", "content": row["a"]}]
    for line, changes in ((row, {}), ({"messages": turns}, {"origin": CHAT})):
        files = [save(tmp_path / "a", json.dumps(line).encode())]
        (record,), _ = read(settle(files, **changes), files)
        assert record["messages"][1]["content"] == "    a = 1\n    b = 2"


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ufeff \u2060\u00ad", "\u3000\u200d"])
def test_a_text_of_white_space_and_invisible_characters_is_blank(text: str) -> None:
    assert is_blank(text)
    assert find_fault("raw", {"text": text}) == "`text` is empty"
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}]
    assert not is_plain_dialogue({"messages": turns})
    assert find_fault("instruction", {"messages": turns}) == "turn 2 (assistant) is empty"


@pytest.mark.parametrize("text", ["x", "\ufeffx", "\u200b \u3000港", "\ue000", " !"])
def test_a_text_with_a_character_that_shows_is_not_blank(text: str) -> None:
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}]
    assert is_plain_dialogue({"messages": turns})
    assert find_fault("instruction", {"messages": turns}) is None
    assert find_fault("raw", {"text": text}) is None


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
@pytest.mark.parametrize(
    ("names", "told"),
    [("qqa", "the columns: q stands there more than once"), ("qsa", "the fields of column s: f stands")],
)
def test_two_columns_or_fields_of_one_name_are_told(tmp_path: Path, format_: str, names: str, told: str) -> None:
    second = pa.array(["2"])
    if "s" in names:
        second = pa.StructArray.from_arrays([pa.array([1]), pa.array(["x"])], names=["f", "f"])
        second = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), second)
    table = pa.table([pa.array(["1"]), second, pa.array(["3"])], names=list(names))
    path = tmp_path / "a"
    if format_ == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    files = [save(path, path.read_bytes())]
    origin = {"fields": {"user": "{q} {s.0.f?}", "assistant": "{a}"}} if "s" in names else {}
    ((number, reason),) = read(settle(files, format_, origin=origin), files)[1]
    assert number == 0
    assert reason.startswith(told)


CUT = pa.Codec("zstd").compress(b'{"q": "x", "a": "y"}\n' * 99, asbytes=True)[:-8]


@pytest.mark.parametrize(("format_", "content"), [("csv", b'q,a\nx,y\nx,"y"z"\n'), ("jsonl", CUT)])
def test_a_file_that_is_not_read_to_its_end_is_told_with_its_cures(
    tmp_path: Path, format_: str, content: bytes
) -> None:
    files = [save(tmp_path / "a", content)]
    with pytest.raises(DataError) as caught:
        list(read_records(settle(files, format_, on_bad_record="fail"), files, lambda exclusion: None))
    assert "the rest of the file is not read" in caught.value.problems[-2].message
    cure = caught.value.problems[-1].message
    assert "download it again" in cure
    assert "`on_bad_record: exclude` to leave bad records out and to keep what was read" in cure


def test_a_file_that_is_no_such_table_at_all_is_not_said_to_be_cut(tmp_path: Path) -> None:
    files = [save(tmp_path / "a", b"q,a,q\nx,y,z\n")]
    with pytest.raises(DataError) as caught:
        list(read_records(settle(files, "csv", on_bad_record="fail"), files, lambda exclusion: None))
    assert "q stands there more than once" in str(caught.value)
    assert "download it again" not in str(caught.value)


def test_speakers_may_be_numbers_that_roles_name(tmp_path: Path) -> None:
    turns = [{"who": 0, "said": "2 + 2?"}, {"who": 1, "said": "4"}]
    files = [save(tmp_path / "a", json.dumps({"turns": turns}).encode())]
    messages = {
        "field": "turns",
        "role_field": "who",
        "content_field": "said",
        "roles": {"0": "user", "1": "assistant"},
    }
    records, excluded = read(settle(files, "jsonl", origin={"fields": {"messages": messages}}), files)
    assert excluded == []
    assert [message["role"] for message in records[0]["messages"]] == ["user", "assistant"]
