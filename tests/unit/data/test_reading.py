"""What is wrong with a file is told with file and record number; what a file is called decides nothing."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from mixlab.config.problems import DataError
from mixlab.config.sources import SourceConfig, SourceSettings
from mixlab.data.sources.reading import Exclusion, read_records
from mixlab.data.sources.source import build_source, open_source

GOOD = b'{"q": "1 and 1?", "a": "2"}\n'


def _settings(files: list[tuple[str, Path]], *, joined: Any = None, **changes: Any) -> SourceSettings:
    origin = {"type": "files", "paths": ["x"], "format": "jsonl", "fields": {"user": "{q}", "assistant": "{a}"}}
    base = {"kind": "instruction", "language": "en", "category": "math", "licence": "none"}
    origin |= changes.pop("origin", {})
    config = SourceConfig.model_validate(base | changes | {"origin": origin})
    return config.to_settings([digest for digest, _ in files], joined or [])


def _file(path: Path, content: bytes) -> tuple[str, Path]:
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest(), path


def _read(settings: SourceSettings, files: list[tuple[str, Path]]) -> list[dict[str, Any]]:
    return list(read_records(settings, files, lambda exclusion: None))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{not json}", "malformed JSON: Expecting property name"),
        (b'{"q": "\xff"}', "wrong UTF-8: byte 0xff at position 7"),
        (b'{"q": "1?"}', "field `a` is missing"),
        (b'{"q": "1?", "a": null}', "field `a` is missing"),
        (b'{"q": "1?", "a": ["2"]}', "field `a` holds a list, not a text"),
        (b'{"q": "1?", "a": "  "}', "turn 2 (assistant) is empty"),
        (b"[1]", "is a list, not an object"),
    ],
)
def test_a_bad_record_is_named_with_file_record_and_reason(tmp_path: Path, line: bytes, message: str) -> None:
    files = [_file(tmp_path / "データ 1.jsonl", GOOD + line + b"\n" + GOOD)]
    with pytest.raises(DataError) as caught:
        _read(_settings(files), files)
    problem = caught.value.problems[0]
    assert problem.file.endswith("データ 1.jsonl")
    assert problem.key == "record 2"
    assert message in problem.message


def test_all_bad_records_are_told_at_once_and_many_are_counted(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl", b"{\n" * 30 + GOOD), _file(tmp_path / "b.jsonl", b"")]
    with pytest.raises(DataError) as caught:
        _read(_settings(files), files)
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 22
    assert told[-2] == "and 11 more bad records"
    assert "on_bad_record: exclude" in told[-1]


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl", b"\n\n")]
    with pytest.raises(DataError, match=r"a\.jsonl: record 0: the file is empty"):
        _read(_settings(files), files)


def test_a_cut_gzip_file_is_an_error(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl.gz", gzip.compress(GOOD * 1000)[:-20])]
    with pytest.raises(DataError, match="the gzip file is broken"):
        _read(_settings(files), files)


def test_excluded_records_are_listed_with_their_reason(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl", GOOD + b"{\n" + GOOD)]
    settings = _settings(files, on_bad_record="exclude")
    out = tmp_path / "out"
    out.mkdir()
    build_source(settings, files, out)
    index = json.loads((out / "index.json").read_text())
    assert index == {"excluded": 1, "files": [{"bytes": 58, "digest": files[0][0], "records": 2}], "records": 2}
    listed = json.loads((out / "exclusions.jsonl").read_text())
    assert listed["record"] == 2
    assert listed["file_digest"] == files[0][0]
    assert listed["reason"].startswith("malformed JSON")
    assert len(list(open_source(settings, out, files))) == 2


def test_a_source_of_excluded_records_only_is_an_error(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl", b"{\n")]
    with pytest.raises(DataError, match="no record is left"):
        build_source(_settings(files, on_bad_record="exclude"), files, tmp_path)


def test_names_and_places_of_files_do_not_change_the_records(tmp_path: Path) -> None:
    contents = [json.dumps({"q": str(number), "a": "x"}).encode() for number in range(5)]
    files = [_file(tmp_path / f"{number}.jsonl", content) for number, content in enumerate(contents)]
    (tmp_path / "moved").mkdir()
    moved = [_file(tmp_path / "moved" / f"{9 - number}.jsonl", content) for number, content in enumerate(contents)]
    settings = _settings(files)
    assert settings == _settings(moved[::-1])
    assert _read(settings, files) == _read(settings, moved[::-1])


def test_a_file_with_other_bytes_than_declared_is_refused_before_it_is_read(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl", GOOD)]
    settings = _settings(files)
    (tmp_path / "a.jsonl").write_bytes(GOOD.replace(b"2", b"3"))
    with pytest.raises(DataError, match="sha256 is"):
        next(read_records(settings, files, lambda exclusion: None))
    with pytest.raises(DataError, match="no file for the declared digests"):
        _read(settings, [])


def test_a_limit_takes_the_first_records(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl", GOOD * 9)]
    assert len(_read(_settings(files, origin={"limit": 4}), files)) == 4


def test_a_gzip_file_reads_like_its_content(tmp_path: Path) -> None:
    plain, packed = _file(tmp_path / "a", GOOD * 3), _file(tmp_path / "b", gzip.compress(GOOD * 3, mtime=0))
    assert _read(_settings([plain]), [plain]) == _read(_settings([packed]), [packed])


def test_a_table_row_with_too_few_cells_is_named(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.csv", b'q,a\n"1, then?",2\nonly\n')]
    excluded: list[Exclusion] = []
    settings = _settings(files, on_bad_record="exclude", origin={"format": "csv"})
    records = list(read_records(settings, files, excluded.append))
    assert records[0]["messages"][0]["content"] == "1, then?"
    assert [(one.record, one.reason) for one in excluded] == [(2, "has 1 cells, not 2: q, a")]


@pytest.mark.parametrize(
    ("split", "documents"),
    [
        ({"split": "file"}, ["# A\none\n\n# B\ntwo\nthree\n"]),
        ({"split": "lines"}, ["# A", "one", "# B", "two", "three"]),
        ({"split": "blank_lines"}, ["# A\none", "# B\ntwo\nthree"]),
        ({"split": "headings", "heading": "^# "}, ["# A\none", "# B\ntwo\nthree"]),
    ],
)
def test_text_splits_as_stated(tmp_path: Path, split: dict[str, str], documents: list[str]) -> None:
    files = [_file(tmp_path / "a.txt", b"# A\none\n\n# B\ntwo\nthree\n")]
    config = {"kind": "raw", "category": None, "origin": {"format": "text", "fields": {}} | split}
    assert [record["text"] for record in _read(_settings(files, **config), files)] == documents


def test_wrong_utf8_spoils_its_own_document_only(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.txt", b"one\n\nt\xff\n\nthree\n")]
    excluded: list[Exclusion] = []
    origin = {"format": "text", "split": "blank_lines", "fields": {}}
    settings = _settings(files, kind="raw", category=None, on_bad_record="exclude", origin=origin)
    assert [record["text"] for record in read_records(settings, files, excluded.append)] == ["one", "three"]
    assert [(one.record, one.reason) for one in excluded] == [(2, "line 3: wrong UTF-8: byte 0xff at position 1")]


def _benchmark(tmp_path: Path, required: bool) -> tuple[SourceSettings, list[tuple[str, Path]]]:
    main = _file(tmp_path / "main", b'{"n": 1, "q": "a", "t": ["x", "y"]}\n{"n": 2, "q": "b", "t": ["z"]}\n')
    second = _file(tmp_path / "second", b'{"n": 2, "r": {"deep": ["right"]}}\n')
    origin = {
        "fields": {"id": "{n}", "item": {"prompt": "Q: {q}", "turns": "{t}", "note": "{absent?}"}},
        "joined": {
            "paths": ["y"], "format": "jsonl", "id": "{n}", "item": {"answer": "{r.deep.0}"}, "required": required,
        },
    }  # fmt: skip
    settings = _settings([main], joined=[second[0]], kind="benchmark", category=None, origin=origin)
    return settings, [main, second]


def test_a_second_file_adds_fields_to_the_items_with_its_ids(tmp_path: Path) -> None:
    settings, files = _benchmark(tmp_path, required=False)
    assert _read(settings, files) == [
        {"id": "1", "prompt": "Q: a", "turns": ["x", "y"]},
        {"id": "2", "prompt": "Q: b", "turns": ["z"], "answer": "right"},
    ]


def test_an_item_without_its_required_second_half_is_named(tmp_path: Path) -> None:
    settings, files = _benchmark(tmp_path, required=True)
    with pytest.raises(DataError, match="record 1: the id '1' is not in the joined files"):
        _read(settings, files)


def test_two_items_of_one_id_are_refused(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a", b'{"n": 1, "q": "a"}\n{"n": 1, "q": "b"}\n')]
    origin = {"fields": {"id": "{n}", "item": {"prompt": "{q}"}}}
    with pytest.raises(DataError, match="record 2: the id '1' was used before"):
        _read(_settings(files, kind="benchmark", category=None, origin=origin), files)


def test_a_source_of_which_nothing_is_left_says_why_and_where(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.jsonl", b'{"q": NaN, "a": "2"}\n{"q": "1?"}\n[1]\n[2]\n')]
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError) as caught:
        build_source(_settings(files, on_bad_record="exclude"), files, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert lines[0] == "no record is left: 4 were excluded"
    assert lines[1] == f"{tmp_path}/a.jsonl: record 1: malformed JSON: NaN is no number of JSON"
    assert lines[2].startswith(f"{tmp_path}/a.jsonl: record 2: field `a` is missing")
    assert len(lines) == 4


def test_a_column_that_is_there_twice_is_named_and_nameless_ones_are_not(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a.csv", b"q,a,q\n1,2,3\n")]
    with pytest.raises(DataError, match="the row of column names: q stands there more than once"):
        _read(_settings(files, origin={"format": "csv"}), files)
    files = [_file(tmp_path / "b.csv", b"q,a,,\n1,2,,\n")]
    assert len(_read(_settings(files, origin={"format": "csv"}), files)) == 1


def test_items_without_an_id_are_numbered_through_all_files(tmp_path: Path) -> None:
    files = [_file(tmp_path / name, f'{{"q": "{name} 1"}}\n{{"q": "{name} 2"}}\n'.encode()) for name in "abc"]
    settings = _settings(
        files, kind="benchmark", language=None, category=None, origin={"fields": {"item": {"q": "{q}"}}}
    )
    items = _read(settings, files)
    assert [item["id"] for item in items] == ["1", "2", "3", "4", "5", "6"]
    assert len({item["q"] for item in items}) == 6
    assert _read(settings, files[::-1]) == items
