"""How far apart two training runs lie."""

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mixlab.training.likeness import compare_runs
from mixlab.training.watching.log import TrainingLog

WEIGHTS = {"a": np.array([[1.0, -4.0], [0.5, 2.0]], np.float32), "b": np.array([0.25], np.float32)}


def write(folder: Path, losses: list[float | None], weights: dict[str, np.ndarray], member: str = "") -> Path:
    (folder / member).mkdir(parents=True)
    log = TrainingLog()
    for step, loss in enumerate(losses, 1):
        log.add(step, 8, loss, 0.1)
    log.write(folder / "training_log.csv")
    save_file(weights, folder / member / "model.safetensors")
    return folder


def test_equal_runs_lie_nowhere_apart(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, [2.0, None, 1.0], WEIGHTS, "last-00") for name in ("old", "new")]
    difference = compare_runs(*folders, None)
    assert (difference.final_loss, difference.step_loss, difference.update) == (0, 0, 0)


def test_losses_are_relative_to_the_old_ones_and_weights_to_how_far_the_old_run_moved(tmp_path: Path) -> None:
    moved = {**WEIGHTS, "a": WEIGHTS["a"] + np.array([[0, 0.2], [0, 0]], np.float32)}
    old = write(tmp_path / "old", [2.0, 1.0], WEIGHTS)
    began = {"a": WEIGHTS["a"] - np.array([[3, 0], [0, 4]], np.float32), "b": WEIGHTS["b"]}
    start = write(tmp_path / "start", [], began)
    difference = compare_runs(old, write(tmp_path / "new", [2.5, 1.1], moved), start)
    assert difference.step_loss == pytest.approx(0.25)
    assert difference.final_loss == pytest.approx(0.1)
    assert difference.update == pytest.approx(0.2 / 5)
    from_nothing = math.sqrt(sum(float(np.square(one).sum()) for one in WEIGHTS.values()))
    assert compare_runs(old, tmp_path / "new", None).update == pytest.approx(0.2 / from_nothing)


def test_the_final_loss_is_the_mean_of_the_last_tenth(tmp_path: Path) -> None:
    old = write(tmp_path / "old", [9.0] * 18 + [1.0, 3.0], WEIGHTS)
    new = write(tmp_path / "new", [9.0] * 18 + [2.0, 3.0], WEIGHTS)
    assert compare_runs(old, new, None).final_loss == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("losses", "weights"),
    [
        ([2.0], WEIGHTS),
        ([2.0, None], WEIGHTS),
        ([2.0, math.nan], WEIGHTS),
        ([2.0, 1.0], {"a": WEIGHTS["a"]}),
        ([2.0, 1.0], {**WEIGHTS, "b": np.array([math.nan], np.float32)}),
        ([2.0, 1.0], {**WEIGHTS, "b": np.array([0.25, 0.0], np.float32)}),
    ],
)
def test_what_cannot_be_compared_lies_infinitely_apart(
    tmp_path: Path, losses: list[float | None], weights: dict[str, np.ndarray]
) -> None:
    old = write(tmp_path / "old", [2.0, 1.0], WEIGHTS)
    difference = compare_runs(old, write(tmp_path / "new", losses, weights), None)
    assert math.inf in (difference.final_loss, difference.step_loss, difference.update)


def test_other_members_are_infinitely_far(tmp_path: Path) -> None:
    old = write(tmp_path / "old", [1.0], WEIGHTS, "last-00")
    assert compare_runs(old, write(tmp_path / "new", [1.0], WEIGHTS, "last-01"), None).update == math.inf
