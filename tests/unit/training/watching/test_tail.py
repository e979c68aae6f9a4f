"""How far a run is, read from the ends of its metrics file."""

import json
from pathlib import Path
from typing import Any

from mixlab.training.watching.tail import Progress, read_progress

START = {"event": "start", "attempt": 1, "first_step": 1, "steps": 1000, "time": 100.0}


def write_rows(path: Path, *rows: dict[str, Any], torn: str = "") -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + torn)
    return path


def build_steps(first: int, last: int, begin: float, attempt: int = 1) -> list[dict[str, Any]]:
    return [
        {"event": "step", "attempt": attempt, "step": step, "time": begin + 2.0 * (step - first), "loss": 1.0}
        for step in range(first, last + 1)
    ]


def test_the_newest_step_and_the_speed_of_the_last_are_told_however_long_the_run(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", START, *build_steps(1, 990, 110.0), torn='{"event": "st')
    assert path.stat().st_size > 65_536
    progress = read_progress(path)
    assert progress == Progress(990, 1000, 2.0, 110.0 + 2 * 989)
    assert progress.seconds_left == 20.0


def test_after_a_restart_speed_is_that_of_the_new_attempt(tmp_path: Path) -> None:
    again = {**START, "attempt": 2, "first_step": 8, "time": 5000.0}
    begun = write_rows(tmp_path / "a.jsonl", START, *build_steps(1, 10, 110.0), again)
    assert read_progress(begun) == Progress(7, 1000, None, 5000.0)
    one = write_rows(tmp_path / "b.jsonl", START, *build_steps(1, 10, 110.0), again, *build_steps(8, 8, 5010.0, 2))
    progress = read_progress(one)
    assert progress == Progress(8, 1000, None, 5010.0)
    assert progress.seconds_left is None


def test_where_no_run_has_told_anything_there_is_no_progress(tmp_path: Path) -> None:
    assert read_progress(tmp_path / "none.jsonl") is None
    assert read_progress(write_rows(tmp_path / "empty.jsonl")) is None
    assert read_progress(write_rows(tmp_path / "foreign.jsonl", {"step": 3})) is None
