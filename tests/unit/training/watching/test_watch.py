"""What a run says of itself: metrics that survive a kill, facts, a bar or lines, and a loss that is not finite."""

import json
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_train import Killed, kill_after, read_files, run_training
from training_fakes import FakeWindows, child_environment, settings, step_report

from mixlab.config.problems import DataError
from mixlab.config.tracking import TrackingSettings
from mixlab.training.loop import Loop
from mixlab.training.watching.metrics import list_rows, read_facts, read_metrics
from mixlab.training.watching.progress import Progress
from mixlab.training.watching.watch import Watching


def watched(folder, **tracking):
    return Watching(folder / "metrics", "ipt/key", "a run", TrackingSettings.model_validate(tracking))


def test_every_step_is_a_line_and_the_provenance_is_told_the_medians(tmp_path):
    watching = watched(tmp_path, peak_flops=1e12)
    run_training(tmp_path, settings(passes=1), watching=watching)
    facts = read_facts(watching.metrics)
    rows = read_metrics(watching.metrics)
    steps = [row for row in rows if row["event"] == "step"]
    assert [row["event"] for row in rows] == ["start", *["step"] * 6, "end"]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    log = (tmp_path / "out" / "training_log.csv").read_text().splitlines()[1:]
    assert [f"{row['loss']!r},{row['learning_rate']!r}" for row in steps] == [line.split(",", 2)[2] for line in log]
    assert all(row["gradient_norm"] > 0 and 0 < row["mfu"] < 1 and 0 < row["data_share"] < 1 for row in steps)
    speeds = [row["tokens"] / row["seconds"] for row in steps]
    assert float(facts["tokens_per_second"]) == pytest.approx(np.median(speeds), rel=1e-5)
    assert float(facts["mfu"]) == pytest.approx(np.median([row["mfu"] for row in steps]), abs=1e-4)
    assert (facts["device"], facts["ranks"], facts["watched_steps"]) == ("cpu", "1", "1-6")
    assert int(facts["peak_rss_bytes"]) == steps[-1]["peak_rss_bytes"]


def test_mfu_is_left_out_where_the_peak_of_the_device_is_not_known(tmp_path):
    watching = watched(tmp_path)
    run_training(tmp_path, settings(passes=1), watching=watching)
    facts = read_facts(watching.metrics)
    assert "mfu" not in facts
    assert [row["mfu"] for row in read_metrics(watching.metrics) if row["event"] == "step"] == [None] * 6


def test_watching_changes_no_byte_of_the_result(tmp_path):
    alone = read_files(run_training(tmp_path / "alone"))
    watching = watched(tmp_path, tensorboard=True, peak_flops=1.0)
    assert read_files(run_training(tmp_path / "watched", watching=watching)) == alone


def test_a_killed_run_goes_on_in_the_same_file_and_its_restart_is_marked(tmp_path, monkeypatch):
    watching = watched(tmp_path)
    with monkeypatch.context() as patch:
        kill_after(patch, 8)
        with pytest.raises(Killed):
            run_training(tmp_path, save_every_steps=3, watching=watching)
    run_training(tmp_path, save_every_steps=3, watching=watching)
    starts = [(row["attempt"], row["first_step"]) for row in read_metrics(watching.metrics) if row["event"] == "start"]
    assert starts == [(1, 1), (2, 7)]
    attempts = [(row["step"], row["attempt"]) for row in read_metrics(watching.metrics) if row["event"] == "step"]
    assert attempts == [(step, 1 if step < 7 else 2) for step in range(1, 13)]
    repeated = [row["step"] for row in list_rows(watching.metrics) if row["event"] == "step"]
    assert repeated == [*range(1, 9), *range(7, 13)]


def test_the_gradient_norm_is_that_before_clipping_and_known_without_it(tmp_path):
    norms = {}
    for clip in (None, 1e-3, 1e6):
        watching = watched(tmp_path / str(clip))
        wanted = settings(passes=1, order="mixture", gradient_clip=clip)
        run_training(tmp_path / str(clip), wanted, watching=watching)
        norms[clip] = [row["gradient_norm"] for row in read_metrics(watching.metrics) if row["event"] == "step"]
    assert norms[None] == norms[1e6]
    assert norms[1e-3][0] == norms[None][0] > 1e-3


class TracedWindows(FakeWindows):
    """Windows that know where they come from."""

    def origin(self, index):
        return "0123456789abcdef", index + 100, 2 * index, 2 * index + 1


def test_a_loss_that_is_not_finite_names_step_data_state_and_cure_and_all_windows_are_listed(tmp_path, monkeypatch):
    original = Loop._accumulate

    def accumulate(self, own, targets, step):
        return float("nan") if step == 5 else original(self, own, targets, step)

    monkeypatch.setattr(Loop, "_accumulate", accumulate)
    watching = watched(tmp_path)
    wanted = settings(order="mixture", global_batch_windows=10, passes=4)
    with pytest.raises(DataError) as caught:
        run_training(tmp_path, wanted, TracedWindows(), save_every_steps=2, watching=watching)
    text = str(caught.value)
    assert "step 5 of 10: loss nan, gradient norm " in text
    assert "not finite; lower the learning rate (peak 0.01" in text
    assert f"newest whole state: {tmp_path / 'resume' / 'state-00000004'}" in text
    # step 5 sees places 40 to 49 of an order of 24 windows
    assert "window 116 of pack 0123456789abcdef (documents 32 to 33)" in text
    assert "and 2 more" in text
    (row,) = [row for row in list_rows(watching.metrics) if row["event"] == "not_finite"]
    assert row["windows"] == [16, 17, 18, 19, 20, 21, 22, 23, 0, 1]
    assert [one["window"] for one in row["origins"]] == [index + 100 for index in row["windows"]]
    assert list_rows(watching.metrics)[-1]["event"] == "not_finite"


def test_no_weight_moves_by_a_step_that_is_not_finite(tmp_path, monkeypatch):
    moved = []
    monkeypatch.setattr("mixlab.training.optimization.optimizers.OptimizerSet.step", lambda *_: moved.append(1))
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    with pytest.raises(DataError, match=r"loss \d.*, gradient norm inf: not finite.*\n.*\n  newest whole state: none"):
        run_training(tmp_path)
    assert moved == []


def test_a_log_gets_a_line_when_it_is_time_to_and_at_the_end(caplog, monkeypatch):
    seconds = iter([0.0, 10.0, 61.0, 70.0, 80.0])
    monkeypatch.setattr("mixlab.training.watching.progress.time.monotonic", lambda: next(seconds))
    progress = Progress(4, 1, 60.0, in_terminal=False)
    with caplog.at_level(logging.INFO):
        for step in range(1, 5):
            progress.report(step_report(step=step, steps=4, loss=None if step == 4 else 1.0))
    assert [record.getMessage() for record in caplog.records] == [
        "step 2/4, loss 1.0000, 33 tokens/s, 61 s left",
        "step 4/4, loss none, 50 tokens/s, 0 s left",
    ]


def test_a_terminal_gets_a_bar_that_begins_where_the_run_goes_on(capsys, caplog):
    progress = Progress(10, 7, 60.0, in_terminal=True)
    with caplog.at_level(logging.INFO):
        for step in range(7, 11):
            progress.report(step_report(step=step))
    progress.close()
    shown = capsys.readouterr().err
    assert "6/10" in shown.split("\r")[1]
    assert "10/10" in shown
    assert "loss 2.5000" in shown
    assert caplog.records == []


def test_of_several_ranks_only_the_first_writes_and_shows_anything(tmp_path, caplog):
    watching = replace(watched(tmp_path, tensorboard=True, log_seconds=1e-9), is_first=False)
    with caplog.at_level(logging.INFO, "mixlab.training.watching"):
        run_training(tmp_path, settings(passes=1), watching=watching)
    assert caplog.records == []
    assert not (tmp_path / "metrics").exists()


def test_no_tracker_is_imported_unless_it_is_asked_for(tmp_path):
    code = (
        "import sys; from pathlib import Path; from test_train import run_training, settings;"
        "from mixlab.training.watching.watch import Watching;"
        "run_training(Path(sys.argv[1]), settings(passes=1), watching=Watching(Path(sys.argv[1]) / 'm'));"
        "print([m for m in ('tensorboard', 'wandb') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert json.loads((tmp_path / "m" / "run.jsonl").read_text().splitlines()[0])["first_step"] == 1
