"""Data as scripts: no text of a model leaves its string, and no file grows beyond what a page should load."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from mixlab.report.site.files import ChunkWriter, render_json, write_data

NASTY = "</script><img src=x onerror=alert(1)><!-- \u2028 \u2029 \\ \" ' </SCRIPT>"


def read_data(path: Path) -> tuple[str, object]:
    """What a file hands over, read as JSON: name and value."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("mixlabData(") and text.endswith(");\n")
    name, _, value = text.removeprefix("mixlabData(").removesuffix(");\n").partition(",")
    return json.loads(name), json.loads(value)


def test_a_text_that_would_end_a_script_is_written_without_its_letters() -> None:
    text = render_json({"said": NASTY})
    assert not {"<", "\u2028", "\u2029"} & set(text)
    assert json.loads(text) == {"said": NASTY}


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_json([float("nan")])


def test_half_of_a_surrogate_pair_is_written_as_its_escape(tmp_path: Path) -> None:
    write_data(tmp_path, "one", render_json(["a\ud83d b"]))
    assert (tmp_path / "data/one.js").read_bytes() == b'mixlabData("one",["a\\ud83d b"]);\n'


def test_a_browser_language_reads_back_what_was_written(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    write_data(tmp_path, "nasty", render_json([NASTY, "\ud83d"]))
    code = "globalThis.mixlabData = (name, value) => console.log(JSON.stringify([name, value]));"
    code += f"require({json.dumps(str(tmp_path / 'data/nasty.js'))})"
    done = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["nasty", [NASTY, "\ud83d"]]


def test_rows_are_split_by_size_and_by_number_and_none_is_lost(tmp_path: Path) -> None:
    rows = ["x" * size for size in (10, 10, 500, 10, 10, 10, 10)]
    writer = ChunkWriter(tmp_path, "rows", most_bytes=100, most_rows=3)
    for row in rows:
        writer.add(row)
    starts = writer.close()
    # a row that is larger than a file stands alone; then three rows fill one
    assert starts == [0, 2, 3, 6]
    files = [read_data(tmp_path / f"data/rows-{number}.js") for number in range(4)]
    assert [name for name, _ in files] == ["rows-0", "rows-1", "rows-2", "rows-3"]
    assert [row for _, value in files for row in value] == rows
    assert len(list((tmp_path / "data").iterdir())) == 4


def test_nothing_to_write_makes_no_file(tmp_path: Path) -> None:
    assert ChunkWriter(tmp_path, "rows", 100, 3).close() == []
    assert not (tmp_path / "data").exists()
