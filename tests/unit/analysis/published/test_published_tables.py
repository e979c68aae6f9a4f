"""Published tables are read as printed; whatever is wrong with their files is told with its place, all at once."""

from pathlib import Path

import pytest
from paper_tables import write_rows, write_tables

from mixlab.analysis.published.tables import FORMS, load_tables
from mixlab.config.problems import DataError


def find_problems(folder: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        load_tables(folder)
    return [str(problem) for problem in caught.value.problems]


def test_whole_tables_are_read(tmp_path: Path) -> None:
    tables = load_tables(write_tables(tmp_path))
    assert set(tables) == set(FORMS)
    assert tables["03"].title == "Table 3"
    assert tables["03"].one(model="llmjp3", language="EN").printed == {"mean": "1.00", "sd": "1.00"}
    with pytest.raises(DataError, match="one row with model 'gpt', got 0"):
        tables["03"].one(model="gpt")


def test_a_folder_that_is_not_there_is_named_with_the_cure(tmp_path: Path) -> None:
    (problem,) = find_problems(tmp_path / "nowhere")
    assert problem.startswith(f"{tmp_path / 'nowhere'}: no such folder")
    assert "--tables" in problem


def test_every_mistake_is_told_with_file_line_and_column(tmp_path: Path) -> None:
    folder = write_tables(tmp_path)
    (folder / "table01.csv").unlink()
    write_rows(folder / "table09.csv", ["language", "source"], [["English", "Dolma"]])
    header = [*FORMS["16"].keys, *FORMS["16"].numbers]
    row = ["1.8B", "25k", "no", "EN", "coding", "4.58", "0.12"]
    write_rows(folder / "table16.csv", header, [row, row, [*row[:4], "", "4,58", "0.1"]])
    (folder / "table13.csv").write_text("language,category,n_samples,response_tokens_M_llmjp3\n")
    (folder / "table05.csv").write_bytes(b"\xff\xfe\x00")
    told = find_problems(folder)
    assert [one.removeprefix(f"{folder}/") for one in told if "table05" not in one] == [
        "table01.csv: missing: Table 1 of the paper, a row per cell",
        "table09.csv:1: no column raw_tokens_B, upsampling_factor, final_sampling_ratio_pct "
        "(columns: language, source)",
        "table13.csv: holds no row",
        "table16.csv:3: the cell of line 2 again; a cell stands once",
        "table16.csv:4: category: is empty",
        "table16.csv:4: mean: expected a number as it was printed, like 5.50, -0.35 or 12640131, got '4,58'",
    ]
    assert sum("table05" in one for one in told) == 1
