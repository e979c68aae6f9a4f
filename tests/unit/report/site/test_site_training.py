"""Loss curves: few points, each the mean of what it stands for."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixlab.config.problems import DataError
from mixlab.report.site.training import POINTS, TOLD, TrainedRun, build_curves, thin


def test_a_short_run_keeps_every_step_that_has_a_loss() -> None:
    assert thin([(1, 4.0), (2, None), (3, 2.0)]) == (1, [[1, 4.0], [3, 2.0]])


def test_a_long_run_is_thinned_to_means_and_ends_at_its_last_step() -> None:
    losses = [(step, float(step % 2)) for step in range(1, 4 * POINTS + 2)]
    every, points = thin(losses)
    assert every == 5 and len(points) <= POINTS
    assert points[0] == [5, 0.6]
    assert points[-1][0] == 4 * POINTS + 1


def test_a_run_without_its_log_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,tokens,loss,learning_rate\n1,10,3.5,0.1\n2,25,,0.1\n")
    runs = [TrainedRun("k1", "sft", "even", log), TrainedRun("k2", "ipt", "odd", None, "sft k2 is discarded: old")]
    here, gone = build_curves(runs)
    assert (here["points"], here["steps"], here["tokens"], here["last"]) == ([[1, 3.5]], 2, 25, 3.5)
    assert gone == {"key": "k2", "purpose": "ipt", "label": "odd", "missing": "sft k2 is discarded: old"}


def test_a_log_without_any_loss_has_no_point_and_no_last_loss(tmp_path: Path) -> None:
    silent, empty = tmp_path / "silent.csv", tmp_path / "empty.csv"
    silent.write_text("step,tokens,loss,learning_rate\n1,10,,0.1\n2,25,,0.1\n")
    empty.write_text("step,tokens,loss,learning_rate\n")
    said, nothing = build_curves([TrainedRun(log.stem, "sft", "even", log) for log in (silent, empty)])
    assert (said["points"], said["steps"], said["tokens"], said["last"]) == ([], 2, 25, None)
    assert (nothing["points"], nothing["steps"], nothing["tokens"], nothing["last"]) == ([], 0, 0, None)


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-inf", "1e999", "much"])
def test_a_loss_that_is_no_finite_number_is_named_with_its_line_column_value_and_cure(
    tmp_path: Path, value: str
) -> None:
    log = tmp_path / "log.csv"
    log.write_text(f"step,tokens,loss,learning_rate\n1,10,3.5,0.1\n2,20,{value},0.1\n")
    with pytest.raises(DataError) as caught:
        build_curves([TrainedRun("k1", "sft", "even", log)])
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.key) == (str(log), 3, "loss")
    assert f"expected a finite number, or nothing where a step had no loss, got '{value}'; " in problem.message
    assert problem.message.endswith("mend the log where the run was made, and bring the run here again")


def test_all_wrong_fields_of_all_logs_are_told_at_once(tmp_path: Path) -> None:
    logs = [tmp_path / f"{name}.csv" for name in ("fields", "columns", "many")]
    logs[0].write_text("step,tokens,loss\n1,10,nan\ntwo,,inf\n3\n")
    logs[1].write_text("step,time\n1,10\n")
    logs[2].write_text("step,tokens,loss\n" + "1,1,nan\n" * (TOLD + 3))
    with pytest.raises(DataError) as caught:
        build_curves([TrainedRun(log.stem, "sft", "even", log) for log in logs])
    told = [(Path(one.file).stem, one.line, one.key) for one in caught.value.problems]
    assert told[:6] == [
        ("fields", 2, "loss"),
        ("fields", 3, "step"),
        ("fields", 3, "tokens"),
        ("fields", 3, "loss"),
        ("fields", 4, "tokens"),
        ("fields", 4, "loss"),
    ]
    assert told[6] == ("columns", 1, "") and "it has no column tokens, loss" in str(caught.value)
    assert told[7:] == [*(("many", line, "loss") for line in range(2, TOLD + 2)), ("many", 0, "")]
    assert caught.value.problems[-1].message == "and 3 more fields like these"


@pytest.fixture
def short_fields() -> Iterator[None]:
    """The longest field that Python reads as it comes; reading sources raises it for the whole process."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("short_fields")
def test_logs_that_are_no_text_or_no_csv_are_told_with_their_lines_together_with_the_others(tmp_path: Path) -> None:
    logs = [tmp_path / f"{name}.csv" for name in ("bytes", "torn", "fields", "header", "large")]
    logs[0].write_bytes(b"step,tokens,loss\n1,10,2.5\n2,20,\xff\n")
    logs[1].write_text(f"step,tokens,loss\n1,10,nan\n2,20,{'9' * 200_000}\n")
    logs[2].write_text("step,tokens,loss\n1,10,nan\n")
    logs[3].write_text(f"{'s' * 200_000},tokens\n")
    logs[4].write_text(f"step,tokens,loss\n1,{'9' * 400},2.5\n")
    with pytest.raises(DataError) as caught:
        build_curves([TrainedRun(log.stem, "sft", "even", log) for log in logs])
    told = [(Path(one.file).stem, one.line, one.message.partition(";")[0][:22]) for one in caught.value.problems]
    assert told == [
        ("bytes", 3, "expected UTF-8, got by"),
        ("torn", 2, "expected a finite numb"),
        ("torn", 3, "cannot be read as CSV "),
        ("fields", 2, "expected a finite numb"),
        ("header", 1, "cannot be read as CSV "),
        ("large", 2, "expected a whole numbe"),
    ]
    assert "got byte 0xff; mend the log" in caught.value.problems[0].message
