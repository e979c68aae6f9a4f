"""Cache files of a hub data set that are not as `datasets` wrote them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixlab.config.problems import DataError
from mixlab.config.sources import SourceConfig, SourceSettings
from mixlab.data.sources import hub_records
from mixlab.data.sources.hub_records import index_hub, read_hub

ROWS = 6


def declare(**changes: Any) -> SourceSettings:
    origin = {"type": "hub", "preset": "question_answer", "id": "acme/qa"}
    base = {"kind": "instruction", "language": "en", "category": "math", "licence": "MIT", "origin": origin, **changes}
    return SourceConfig.model_validate(base).to_settings(revision="c" * 40)


def table(first: int, rows: int = ROWS) -> pa.Table:
    numbers = [str(number) for number in range(first, first + rows)]
    return pa.table({"question": pa.array(numbers, pa.string()), "answer": pa.array(numbers, pa.string())})


def write_arrow(path: Path, held: pa.Table) -> Path:
    with pa.ipc.new_stream(path, held.schema) as writer:
        writer.write_table(held, max_chunksize=2)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two files of records, and between them one without rows and one without bytes."""
    paths = [
        write_arrow(tmp_path / "0.arrow", table(0)),
        write_arrow(tmp_path / "1.arrow", table(0, 0)),
        tmp_path / "2.arrow",
        write_arrow(tmp_path / "3.arrow", table(ROWS)),
    ]
    paths[2].touch()
    monkeypatch.setattr(hub_records, "fetch_split", lambda origin: paths)
    return paths


def read_all(settings: SourceSettings) -> list[str]:
    blocks = index_hub(settings, lambda exclusion: None, lambda: None)
    return [record["messages"][0]["content"] for record in read_hub(settings, blocks, 0, 2 * ROWS)]


def test_a_cache_file_without_rows_is_passed_over(cache: list[Path]) -> None:
    assert read_all(declare()) == [str(number) for number in range(2 * ROWS)]


def write_parquet(path: Path) -> None:
    pq.write_table(table(0), path)


def write_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><title>502 Bad Gateway</title>")


def pack(path: Path) -> None:
    pa.output_stream(path, compression="gzip").write(b"records")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])


@pytest.mark.parametrize("on_bad_record", ["fail", "exclude"])
@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (write_parquet, "it is parquet"),
        (pack, "packed with gzip"),
        (write_page, "the arrow file is broken"),
        (cut, "the arrow file is broken"),
    ],
)
def test_a_broken_or_foreign_cache_file_is_refused_by_name_with_the_cure(
    cache: list[Path], spoil: Any, fault: str, on_bad_record: str
) -> None:
    spoil(cache[0])
    with pytest.raises(DataError) as caught:
        read_all(declare(on_bad_record=on_bad_record))
    told = str(caught.value)
    assert "hub data set acme/qa at cccccccccccc" in told
    assert str(cache[0]) in told
    assert fault in told
    assert "empty the cache of `datasets` and fetch it again" in told


def test_a_cache_file_cut_after_it_was_indexed_is_refused(cache: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_records, "BLOCK_BYTES", 1)
    settings = declare()
    blocks = index_hub(settings, lambda exclusion: None, lambda: None)
    assert [record["messages"][0]["content"] for record in read_hub(settings, blocks, 9, 10)] == ["9"]
    cut(cache[0])
    with pytest.raises(DataError, match=r"0\.arrow: the arrow file is broken"):
        list(read_hub(settings, blocks, 9, 10))
