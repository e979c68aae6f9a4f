"""Every format gives the same records, and packing, parts of a file and memory change nothing."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlab.config.sources import SourceConfig, SourceSettings
from mixlab.data.files import blocks
from mixlab.data.files import json as files_json
from mixlab.data.sources.reading import Exclusion, read_records
from mixlab.data.sources.source import build_source, count_records, open_source

Files = list[tuple[str, Path]]
ROWS = [{"q": f"{number} and {number}?", "a": "二" * number, "extra": number} for number in range(1, 8)]


def save(path: Path, content: bytes) -> tuple[str, Path]:
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest(), path


def settle(files: Files, format_: str = "jsonl", **changes: Any) -> SourceSettings:
    origin = {"type": "files", "paths": ["x"], "format": format_, "fields": {"user": "{q}", "assistant": "{a}"}}
    origin |= changes.pop("origin", {})
    base = {"kind": "instruction", "language": "en", "category": "math", "licence": "MIT", "on_bad_record": "exclude"}
    return SourceConfig.model_validate(base | changes | {"origin": origin}).to_settings([digest for digest, _ in files])


def read(settings: SourceSettings, files: Files) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    excluded: list[Exclusion] = []
    records = list(read_records(settings, files, excluded.append))
    return records, [(one.record, one.reason) for one in excluded]


def texts(settings: SourceSettings, files: Files) -> list[str]:
    records, excluded = read(settings, files)
    assert not excluded
    return [record["text"] if "text" in record else record["messages"][-1]["content"] for record in records]


def write(path: Path, format_: str, rows: list[dict[str, Any]]) -> tuple[str, Path]:
    """Write rows in a format; several row groups and batches of parquet and arrow."""
    if format_ == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    elif format_ == "arrow":
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    elif format_ in ("csv", "tsv"):
        mark = "," if format_ == "csv" else "\t"
        lines = [mark.join(rows[0]), *(mark.join(str(value) for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif format_ == "json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return save(path, path.read_bytes())


@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "tsv", "parquet", "arrow"])
def test_every_format_reads_to_the_same_records(tmp_path: Path, format_: str) -> None:
    files = [write(tmp_path / "a", format_, ROWS)]
    assert texts(settle(files, format_), files) == [row["a"] for row in ROWS]


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.Codec("zstd").compress(data, asbytes=True)])
def test_packed_files_read_like_their_content_and_so_do_several_joined(tmp_path: Path, pack: Any) -> None:
    _, path = write(tmp_path / "plain", "jsonl", ROWS)
    half = len(path.read_bytes()) // 2
    content = pack(path.read_bytes()[:half]) + pack(path.read_bytes()[half:])
    files = [save(tmp_path / "packed", content)]
    assert texts(settle(files), files) == [row["a"] for row in ROWS]


@pytest.mark.parametrize(
    ("preset", "row", "user"),
    [
        ("alpaca", {"instruction": "Add.", "input": "1, 2", "output": "3"}, "Add.\n\n1, 2"),
        ("alpaca", {"instruction": "Add.", "input": "", "output": "3"}, "Add."),
        ("alpaca", {"instruction": "Add.", "output": "3"}, "Add."),
        ("alpaca", {"instruction": "Add.", "input": None, "output": "3"}, "Add."),
        ("question_answer", {"question": "1+2?", "answer": "3"}, "1+2?"),
        (
            "messages",
            {"messages": [{"role": "user", "content": "1+2?"}, {"role": "assistant", "content": "3"}]},
            "1+2?",
        ),
        ("messages", {"conversations": [{"from": "human", "value": "1+2?"}, {"from": "gpt", "value": "3"}]}, "1+2?"),
    ],
)
def test_presets_read_the_usual_forms(tmp_path: Path, preset: str, row: dict[str, Any], user: str) -> None:
    files = [write(tmp_path / "a", "jsonl", [row])]
    (record,), _ = read(settle(files, origin={"preset": preset, "fields": {}}), files)
    assert [turn["role"] for turn in record["messages"]] == ["user", "assistant"]
    assert [turn["content"] for turn in record["messages"]] == [user, "3"]


def test_a_dialogue_of_many_turns_is_one_record_and_a_stranger_in_it_a_bad_one(tmp_path: Path) -> None:
    turns = [{"from": "system", "value": "Be kind."}, *[{"from": f, "value": "x"} for f in ("human", "gpt") * 3]]
    strange = {"conversations": [{"from": "tool", "value": "x"}]}
    files = [write(tmp_path / "a", "jsonl", [{"conversations": turns}, strange])]
    records, excluded = read(settle(files, origin={"preset": "messages", "fields": {}}), files)
    assert [len(record["messages"]) for record in records] == [7]
    assert excluded == [(2, "turn 1 has no role of system, user, assistant")]


def test_records_are_selected_by_a_value_and_the_others_counted_not_listed(tmp_path: Path) -> None:
    rows = [row | {"topic": {"name": "math" if row["extra"] % 2 else "code"}} for row in ROWS]
    files = [write(tmp_path / "a", "jsonl", [*rows, {"q": "no topic", "a": "x"}])]
    select = {"by": "{topic.name}", "values": ["math", "logic"]}
    build_source(settle(files, origin={"select": select}), files, tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    assert (index["records"], index["not_selected"], index["excluded"]) == (4, 3, 1)
    assert "field `topic.name` is missing" in (tmp_path / "exclusions.jsonl").read_text()


def test_a_folder_saved_by_datasets_is_read_from_its_arrow_files(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    turns = [[{"role": "user", "content": row["q"]}, {"role": "assistant", "content": row["a"]}] for row in ROWS]
    datasets.Dataset.from_dict({"messages": turns, "unused": list(range(7))}).save_to_disk(tmp_path / "s", num_shards=2)
    files = [save(path, path.read_bytes()) for path in (tmp_path / "s").glob("*.arrow")]
    found = texts(settle(files, "arrow", origin={"preset": "messages", "fields": {}}), files)
    assert len(files) == 2
    assert sorted(found) == sorted(row["a"] for row in ROWS)


@pytest.mark.parametrize("format_", ["jsonl", "csv", "tsv", "parquet", "arrow", "text", "json", "jsonl.gz"])
def test_any_stretch_of_a_large_file_is_read_alone(
    tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 300)
    rows: list[dict[str, Any]] = [
        {"text": "" if number % 7 == 3 else f"{number} " + "x" * (number % 60), "n": number} for number in range(120)
    ]
    plain = format_.removesuffix(".gz")
    origin: dict[str, Any] = {"fields": {"text": "{text}"}}
    if plain == "text":
        path = tmp_path / "a"
        path.write_text("".join(f"{row['text']}\n\n" for row in rows))
        origin = {"fields": {}, "split": "blank_lines"}
    else:
        _, path = write(tmp_path / "a", plain, rows)
    if format_ != plain:
        path.write_bytes(gzip.compress(path.read_bytes()))
    files = [save(path, path.read_bytes())]
    settings = settle(files, plain, kind="raw", category=None, origin=origin)
    build_source(settings, files, tmp_path)
    whole = list(open_source(settings, tmp_path, files))
    assert whole == list(read_records(settings, files, lambda exclusion: None))
    cards = json.loads((tmp_path / "index.json").read_text())["files"]
    assert [len(card.get("blocks", ())) > 3 for card in cards] == [format_ not in ("json", "jsonl.gz")]
    total = count_records(tmp_path)
    for first, last in [(0, 1), (0, total), (17, 18), (40, 90), (total - 1, total), (total, total + 5), (90, 4000)]:
        assert list(open_source(settings, tmp_path, files, first, last)) == whole[first:last], (first, last)


def test_a_stretch_over_several_files_skips_the_others(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{at}", "jsonl", [{"q": f"{at} {n}", "a": f"{at} {n}"} for n in range(5)]) for at in "abc"
    ]
    settings = settle(files)
    build_source(settings, files, tmp_path)
    whole = list(open_source(settings, tmp_path, files))
    untouched = sorted(files)[0][1]
    untouched.write_bytes(b"changed")
    assert list(open_source(settings, tmp_path, files, 7, 12)) == whole[7:12]


def test_a_changed_block_is_found_when_it_is_read_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mixlab.config.problems import DataError

    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)
    files = [write(tmp_path / "a", "jsonl", ROWS)]
    settings = settle(files)
    build_source(settings, files, tmp_path)
    content = files[0][1].read_bytes()
    files[0][1].write_bytes(content.replace(b"7 and 7", b"7 und 7"))
    assert len(list(open_source(settings, tmp_path, files, 0, 2))) == 2
    with pytest.raises(DataError, match="are not those that were indexed"):
        list(open_source(settings, tmp_path, files))
    files[0][1].unlink()
    with pytest.raises(DataError, match="not there, or not of the size"):
        list(open_source(settings, tmp_path, files, 0, 2))


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _NAMES,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_NAMES, children, max_size=3),
    max_leaves=8,
)


@given(
    values=st.lists(_VALUES, max_size=6),
    around=st.dictionaries(_NAMES, _VALUES, max_size=3),
    indent=st.sampled_from([None, 0, 2]),
    is_ascii=st.booleans(),
    chunk=st.integers(1, 30),
)
def test_a_json_list_is_split_as_the_parser_reads_it_whatever_the_borders_of_pieces(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[Any],
    around: dict[str, Any],
    indent: int | None,
    is_ascii: bool,
    chunk: int,
) -> None:
    from mixlab.config.origins import FileLayout
    from mixlab.data.files.rows import WHOLE

    path = tmp_path_factory.mktemp("json") / "a.json"
    content = {"before": around, "records": values, **around} | {"records": values}
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=is_ascii), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_json, "_CHUNK_BYTES", chunk)
        rows = list(files_json.read_json(path, FileLayout(format="json", records_at="records.*"), WHOLE))
    plain = {name: value for name, value in content.items() if not isinstance(value, dict | list)}
    assert [row.fault for row in rows] == [None] * len(values)
    assert [row.value for row in rows] == [plain | value if isinstance(value, dict) else value for value in values]
