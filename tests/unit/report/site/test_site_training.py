"""Loss curves: few points, each the mean of what it stands for."""

from pathlib import Path

import pytest

from mixlab.config.problems import DataError
from mixlab.report.site.training import POINTS, TrainedRun, build_curves, thin


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


def test_a_broken_log_is_named_with_its_line(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,tokens,loss,learning_rate\n1,10,3.5,0.1\n2,20,much,0.1\n")
    with pytest.raises(DataError, match=r"log.csv:3: no row of a training log"):
        build_curves([TrainedRun("k1", "sft", "even", log)])
