"""metrics/<stage>/<key>.jsonl: appended over restarts, steps computed twice told apart, torn lines survived."""

import json

import pytest

from mixlab.config.problems import DataError
from mixlab.training.watching.metrics import MetricsFile, list_rows, read_metrics


def write_attempt(path, first, last, loss):
    file = MetricsFile(path)
    file.write("start", {"first_step": first, "steps": 9})
    for step in range(first, last + 1):
        file.write("step", {"step": step, "loss": loss})
    file.close()


def test_of_steps_computed_twice_the_newer_count_and_both_are_kept(tmp_path):
    path = tmp_path / "ipt" / "key.jsonl"
    write_attempt(path, 1, 6, 1.0)
    write_attempt(path, 4, 9, 2.0)
    rows = [row for row in read_metrics(path) if row["event"] == "step"]
    assert [(row["step"], row["loss"], row["attempt"]) for row in rows] == [
        *((step, 1.0, 1) for step in (1, 2, 3)),
        *((step, 2.0, 2) for step in (4, 5, 6, 7, 8, 9)),
    ]
    assert len(list_rows(path)) == 2 + 6 + 6


def test_an_event_that_is_no_measure_of_a_step_outlives_a_restart_before_it(tmp_path):
    path = tmp_path / "key.jsonl"
    file = MetricsFile(path)
    file.write("start", {"first_step": 1, "steps": 9})
    file.write("rollback", {"step": 5})
    file.write("spike", {"step": 6})
    file.close()
    write_attempt(path, 1, 2, 1.0)
    assert [row["event"] for row in read_metrics(path)] == ["start", "rollback", "start", "step", "step"]


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_torn_by_a_kill_is_left_out_and_the_next_attempt_begins_a_line(tmp_path, cut):
    path = tmp_path / "key.jsonl"
    write_attempt(path, 1, 3, 1.0)
    path.write_bytes(path.read_bytes()[:-cut])
    torn = [row["step"] for row in list_rows(path) if row["event"] == "step"]
    assert torn == ([1, 2, 3] if cut == 1 else [1, 2])
    write_attempt(path, 3, 4, 2.0)
    rows = [row for row in read_metrics(path) if row["event"] == "step"]
    assert [(row["step"], row["attempt"]) for row in rows] == [(1, 1), (2, 1), (3, 2), (4, 2)]


def test_a_file_that_is_something_else_is_refused_with_its_line(tmp_path):
    path = tmp_path / "key.jsonl"
    write_attempt(path, 1, 1, 1.0)
    path.write_text(path.read_text() + "hello\n" + '{"event": "step", "attempt": 1, "step": 2}\n')
    with pytest.raises(DataError, match=r"key\.jsonl:3: is not a row of metrics; move the file away"):
        MetricsFile(path)


def test_a_line_ends_at_a_newline_alone(tmp_path):
    path = tmp_path / "key.jsonl"
    path.write_text('{"event": "end", "attempt": 1, "device": "one\u2028another\u0085"}\n', "utf-8")
    assert [row["device"] for row in list_rows(path)] == ["one\u2028another\u0085"]


def test_values_that_are_not_finite_are_text_since_json_has_none(tmp_path):
    path = tmp_path / "key.jsonl"
    file = MetricsFile(path)
    file.write("not_finite", {"loss": float("nan"), "gradient_norm": float("inf"), "step": 1})
    file.close()
    (row,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (row["loss"], row["gradient_norm"], row["step"]) == ("nan", "inf", 1)


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "metrics").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"metrics.*: cannot be written \(.*\); a run writes its metrics there"):
        MetricsFile(tmp_path / "metrics" / "ipt" / "key.jsonl")
