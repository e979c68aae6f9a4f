"""Files that are cut, damaged, of another format or encoding, empty or gigantic: told, never a traceback."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_formats import Files, read, save, settle, texts, write

from mixlab.data.sources.source import build_source, open_source

GOOD = [{"q": f"question {number}", "a": f"answer {number}"} for number in range(200)]
LIMIT = {"max_record_mib": 1}
HUGE = "x" * (3 << 20)


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


@pytest.mark.parametrize(
    ("format_", "pack", "words"),
    [
        ("jsonl", gzip.compress, "the gzip file is broken"),
        ("jsonl", zstd, "the zstd file is broken: Truncated"),
        ("json", gzip.compress, "the gzip file is broken"),
        ("json", bytes, "the file ends within the JSON text: it is cut or damaged; the rest of the file is not read"),
        ("csv", zstd, "the zstd file is broken"),
        ("parquet", bytes, "the parquet file is broken"),
        ("arrow", bytes, "the arrow file is broken"),
    ],
)
def test_a_cut_file_is_told_and_what_lies_before_the_cut_is_kept(
    tmp_path: Path, format_: str, pack: Any, words: str
) -> None:
    _, path = write(tmp_path / "whole", format_, GOOD)
    packed = pack(path.read_bytes())
    files = [save(tmp_path / "cut", packed[: len(packed) * 2 // 3])]
    records, excluded = read(settle(files, format_), files)
    assert words in excluded[-1][1]
    assert excluded[-1][0] == len(records) + len(excluded)
    assert len(records) < 200


@pytest.mark.parametrize("cut", ["footer", "last batch"])
def test_a_file_of_columns_that_ends_early_is_told(tmp_path: Path, cut: str) -> None:
    format_ = "parquet" if cut == "footer" else "arrow"
    _, path = write(tmp_path / "whole", format_, GOOD)
    # an Arrow stream cut between two batches looks whole but for its end mark of eight bytes
    files = [save(tmp_path / "cut", path.read_bytes()[:-8])]
    _, excluded = read(settle(files, format_), files)
    assert "file is broken" in excluded[-1][1]


@pytest.mark.parametrize(
    ("declared", "real", "words"),
    [
        ("jsonl", "parquet", "the file holds no jsonl, it is parquet: set `format: parquet`"),
        ("csv", "arrow", "the file holds no csv, it is arrow: set `format: arrow`"),
        ("parquet", "jsonl", "the file is no parquet file"),
        ("parquet", "arrow", "it is arrow: set `format: arrow`"),
        ("arrow", "parquet", "it is parquet: set `format: parquet`"),
        ("arrow", "csv", "the arrow file is broken"),
        ("json", "jsonl", "JSON lines are format jsonl"),
        ("jsonl", "json", "a JSON array is format json"),
        ("json", "csv", "plain value stands where"),
    ],
)
def test_a_file_of_another_format_is_told_with_the_cure(tmp_path: Path, declared: str, real: str, words: str) -> None:
    files = [write(tmp_path / "a", real, GOOD)]
    if (declared, real) == ("jsonl", "json"):
        files = [save(tmp_path / "a", json.dumps(GOOD, indent=1).encode())]
    records, excluded = read(settle(files, declared), files)
    assert not records
    assert words in excluded[0][1]


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_a_packed_file_of_columns_is_told(tmp_path: Path, format_: str) -> None:
    _, path = write(tmp_path / "a", format_, GOOD)
    files = [save(tmp_path / "b", gzip.compress(path.read_bytes()))]
    assert "unpack it" in read(settle(files, format_), files)[1][0][1]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "text"])
def test_utf_16_and_utf_32_are_told_by_their_mark(tmp_path: Path, encoding: str, format_: str) -> None:
    files = [save(tmp_path / "a", '{"q": "x", "a": "y"}\n'.encode(encoding))]
    changes: dict[str, Any] = {"kind": "raw", "category": None, "origin": {"fields": {}}} if format_ == "text" else {}
    _, excluded = read(settle(files, format_, **changes), files)
    assert excluded == [(0, f"the file holds no {format_}, it is {encoding.upper()}: save it as UTF-8")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"q": "\x00", "a": "x"}', "holds a NUL byte at position 7"),
        ('{"q": "日", "a": "x"}'.encode("shift_jis"), "wrong UTF-8: byte 0x93"),
        (rb'{"q": "\u0000", "a": "x"}', "turn 1 (user) holds a NUL character (U+0000)"),
        (rb'{"q": "\u200b\ufeff ", "a": "x"}', "turn 1 (user) is empty"),
        (rb'{"q": "\ud83d", "a": "x"}', "turn 1 (user) holds half of a surrogate pair (U+D83D)"),
        (b'{"q": ' + b"9" * 5000 + b', "a": "x"}', "malformed JSON: Exceeds the limit"),
        (b"[" * 100_000, "malformed JSON: nested too deeply"),
        (b"{}", "field `q` is missing"),
        (b"null", "is a NoneType, not an object"),
    ],
)
def test_a_strange_line_is_one_bad_record_among_good_ones(tmp_path: Path, line: bytes, words: str) -> None:
    good = b'{"q": "x", "a": "y"}\n'
    files = [save(tmp_path / "a", good + line + b"\n" + good)]
    records, excluded = read(settle(files), files)
    assert len(records) == 2
    assert [number for number, _ in excluded] == [2]
    assert words in excluded[0][1]


def test_a_strange_element_of_a_json_list_is_one_bad_record_among_good_ones(tmp_path: Path) -> None:
    content = b'[{"q": "x", "a": "y"}, {"q": "\xff", "a": 1}, {"q" 1}, [1], {"q": "x", "a": "]}"}]'
    files = [save(tmp_path / "a", content)]
    records, excluded = read(settle(files, "json"), files)
    assert [record["messages"][1]["content"] for record in records] == ["y", "]}"]
    assert [number for number, _ in excluded] == [2, 3, 4]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"q": "x", "a": "y"},]', "malformed JSON"),
        (b'[{"q": "x", "a": "y"} {"q": "x", "a": "y"}]', "expected"),
        (b'[{"q": "x", "a": "y"}] [', "more follows after the list"),
        (b'[{"q": "x", "a": "y"}', "cut or damaged"),
        (b'{"q": "x"}', "a dict stands where `records_at` expects a list"),
    ],
)
def test_a_json_list_out_of_joint_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    files = [save(tmp_path / "a", content)]
    assert words in read(settle(files, "json"), files)[1][-1][1]


@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "tsv", "parquet", "arrow", "text", "python"])
def test_an_empty_file_is_told(tmp_path: Path, format_: str) -> None:
    files = [save(tmp_path / "a", b"")]
    is_text = format_ in ("text", "python")
    changes: dict[str, Any] = {"kind": "raw", "category": None, "origin": {"fields": {}}} if is_text else {}
    assert read(settle(files, format_, **changes), files) == ([], [(0, "the file is empty")])


@pytest.mark.parametrize("format_", ["parquet", "arrow", "json", "csv"])
def test_a_file_without_a_row_is_empty_too(tmp_path: Path, format_: str) -> None:
    schema = pa.schema([("q", pa.string()), ("a", pa.string())])
    path = tmp_path / "a"
    if format_ == "parquet":
        pq.write_table(schema.empty_table(), path)
    elif format_ == "arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema):
            pass
    else:
        path.write_bytes(b"[]" if format_ == "json" else b"q,a\n")
    files = [save(path, path.read_bytes())]
    assert read(settle(files, format_), files) == ([], [(0, "the file is empty")])


def _with_a_huge_record(path: Path, format_: str) -> Files:
    rows = [*GOOD[:3], {"q": "huge", "a": HUGE}, *GOOD[3:6]]
    if format_ == "csv":
        cell = ("y,\n" * (1 << 20)) + 'a ""quote""'
        lines = ["q,a", *(f"{row['q']},{row['a']}" for row in rows[:3]), f'huge,"{cell}"', "", "question 3,answer 3"]
        path.write_text("\n".join(lines) + "\nquestion 4,answer 4\nquestion 5,answer 5\n")
        return [save(path, path.read_bytes())]
    return [write(path, format_, rows)]


@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "tsv", "parquet", "arrow"])
def test_a_record_above_the_limit_is_left_out_alone(tmp_path: Path, format_: str) -> None:
    files = _with_a_huge_record(tmp_path / "a", format_)
    records, excluded = read(settle(files, format_, origin=LIMIT), files)
    assert [record["messages"][1]["content"] for record in records] == [row["a"] for row in GOOD[:6]]
    assert excluded == [(4, "the record is larger than 1 MiB (max_record_mib): raise it, or split or mend the record")]
    if format_ != "csv":
        assert len(texts(settle(files, format_, origin={"max_record_mib": 4}), files)) == 7


@pytest.mark.parametrize("split", ["lines", "blank_lines", "headings"])
def test_a_document_above_the_limit_is_left_out_alone(tmp_path: Path, split: str) -> None:
    border = "\n# " if split == "headings" else "\n\n"
    lines = "many lines\n" * 300_000 if split != "lines" else HUGE
    files = [save(tmp_path / "a", f"# one{border}{lines}{border}two".encode())]
    origin = {"fields": {}, "split": split} | ({"heading": "^# "} if split == "headings" else {}) | LIMIT
    records, excluded = read(settle(files, "text", kind="raw", category=None, origin=origin), files)
    assert [record["text"].strip("# ") for record in records] == ["one", "two"]
    assert [number for number, _ in excluded] == [2]


def test_quotes_that_never_close_are_told_to_cost_the_rest_of_the_file(tmp_path: Path) -> None:
    files = [save(tmp_path / "a", b'q,a\nx,"' + b"y\n" * (1 << 20))]
    _, excluded = read(settle(files, "csv", origin=LIMIT), files)
    assert "its quotes never close, so the rest of the file is not read" in excluded[0][1]


def test_a_page_of_parquet_too_large_for_memory_costs_its_rows_and_those_behind(tmp_path: Path) -> None:
    rows = {"q": ["x"] * 9, "a": ["y", "y", "z" * (97 << 20), *["y"] * 6]}
    pq.write_table(pa.table(rows), tmp_path / "a", use_dictionary=False, data_page_size=1, write_batch_size=1)
    files = [save(tmp_path / "a", (tmp_path / "a").read_bytes())]
    records, excluded = read(settle(files, "parquet"), files)
    assert len(records) == 2
    assert [number for number, _ in excluded] == list(range(3, 10))
    assert "row group 1, column a: a page of 97 MiB, more than the 96 MiB that fit in memory" in excluded[0][1]


_PEAK = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_formats import read, settle
files = [(sys.argv[3], Path(sys.argv[2]))]
records, excluded = read(settle(files, sys.argv[4]), files)
print(len(records), len(excluded), [line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line][0])
"""


@pytest.mark.long
@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "tsv", "parquet", "arrow"])
def test_a_record_of_200_mb_takes_less_than_500_mb_of_memory(tmp_path: Path, format_: str) -> None:
    digest, path = write(tmp_path / "a", format_, [GOOD[0], {"q": "huge", "a": "x" * 200_000_000}, GOOD[1]])
    command = [sys.executable, "-c", _PEAK, str(Path(__file__).parent), str(path), digest, format_]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    records, excluded, peak_kib = map(int, done.stdout.split())
    assert records + excluded == 3
    assert excluded >= 1
    assert peak_kib * 1024 < 500_000_000


def build(folder: Path, settings: Any, files: Files) -> dict[str, Any]:
    folder.mkdir()
    build_source(settings, files, folder)
    index: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return index


@pytest.mark.parametrize(
    ("format_", "pack", "words"),
    [
        ("jsonl", gzip.compress, "the gzip file is broken"),
        ("jsonl", zstd, "the zstd file is broken"),
        ("json", bytes, "the rest of the file is not read"),
        ("csv", None, "the rest of the file is not read"),
        ("arrow", bytes, "the arrow file is broken"),
    ],
)
def test_a_file_that_was_not_read_to_its_end_is_marked_on_its_card_and_told_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, format_: str, pack: Any, words: str
) -> None:
    _, path = write(tmp_path / "whole", format_, GOOD)
    content = path.read_bytes()
    if pack is None:
        half = content.index(b"\n", len(content) // 2) + 1
        content = content[:half] + b'"' + content[half:]
    else:
        packed = pack(content)
        content = packed[: len(packed) * 2 // 3]
    files = [save(tmp_path / "cut", content), write(tmp_path / "sound", format_, GOOD)]
    index = build(tmp_path / "out", settle(files, format_), files)
    cut, sound = (next(one for one in index["files"] if one["digest"] == digest) for digest, _ in files)
    assert words in cut["truncated"]
    assert sound == {"digest": files[1][0], "bytes": files[1][1].stat().st_size, "records": 200}
    (loud,) = [one.getMessage() for one in caplog.records if "TRUNCATED" in one.getMessage()]
    assert loud.startswith(f"TRUNCATED FILE {tmp_path}/cut: ")
    # what was kept is read again as it was
    assert len(list(open_source(settle(files, format_), tmp_path / "out", files))) == index["records"]


def test_bad_records_are_counted_and_the_first_named_and_are_no_truncation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = b'{"q": "x", "a": "y"}\n'
    files = [save(tmp_path / "a", good * 9 + b"[1]\n" * 5)]
    index = build(tmp_path / "out", settle(files), files)
    assert (index["excluded"], {*index["files"][0]}) == (5, {"digest", "bytes", "records"})
    (said,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert said.startswith(f"5 records were excluded, 9 are left; the first: {tmp_path}/a: record 10: ")
    assert said.count("record 1") == 3


def test_a_sound_source_warns_of_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [write(tmp_path / "a", "jsonl", GOOD)]
    build(tmp_path / "out", settle(files), files)
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
