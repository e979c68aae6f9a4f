"""Spikes of the loss: the rule against a plain reckoning, a resumed run, and the way back with data left out."""

import csv
import random
import statistics

import numpy as np
import pytest
from test_train import Killed, kill_after, read_files, read_log, run_training
from training_fakes import FakeWindow, FakeWindows, settings, step_report

from mixlab.config.problems import DataError
from mixlab.config.training import SpikeSettings
from mixlab.training.watching.measures import Devices, Meter
from mixlab.training.watching.metrics import read_metrics
from mixlab.training.watching.reactions import RolledBack, Spikes
from mixlab.training.watching.spikes import SpikeDetector, plan_rollback
from mixlab.training.watching.watch import Watch, Watching

RULE = SpikeSettings(window_steps=20, deviations=6)


def draw_losses(count=300, seed=0):
    source = random.Random(seed)
    losses = [3 / (1 + step / 50) + source.gauss(0, 0.05) for step in range(count)]
    for step in (120, 121, 250):
        losses[step] += 1.0
    losses[40] -= 1.0
    return losses


def test_a_spike_is_a_loss_far_above_the_median_of_those_before_it():
    losses = draw_losses()
    detector = SpikeDetector(RULE)
    found = [spike for step, loss in enumerate(losses) if (spike := detector.add(step, loss)) is not None]
    expected = []
    for step in range(20, len(losses)):
        before = np.array(losses[step - 20 : step])
        mad = np.median(np.abs(before - np.median(before)))
        if losses[step] > np.median(before) + 6 * 1.4826 * mad:
            expected.append(step)
    assert [spike.step for spike in found] == expected == [120, 121, 250]
    assert found[0].median == pytest.approx(statistics.median(losses[100:120]))


def test_a_resumed_detector_decides_the_same():
    losses = draw_losses()
    for cut in (5, 20, 121, 249):
        detector = SpikeDetector(RULE, losses[:cut])
        found = [step for step in range(cut, len(losses)) if detector.add(step, losses[step]) is not None]
        assert found == [step for step in (120, 121, 250) if step >= cut]


def test_nothing_is_a_spike_before_there_is_enough_to_compare_with_nor_among_equal_losses():
    detector = SpikeDetector(RULE)
    assert [detector.add(step, 100.0 if step == 10 else 1.0) for step in range(20)] == [None] * 20
    steady = SpikeDetector(RULE, [1.0] * 20)
    assert [steady.add(step, 1.0) for step in range(5)] == [None] * 5
    assert steady.add(5, 1.0001) is not None


def test_a_level_that_stays_is_a_spike_for_half_of_the_window_at_most():
    detector = SpikeDetector(RULE, [1.0 + 0.001 * (step % 7) for step in range(20)])
    found = [step for step in range(60) if detector.add(step, 5.0 + 0.001 * (step % 5)) is not None]
    assert found == list(range(10))


def test_a_step_without_a_loss_is_no_spike_and_is_not_compared_with():
    detector = SpikeDetector(RULE, [1.0] * 19)
    assert detector.add(20, None) is None
    assert detector.add(21, 9.0) is None
    assert detector.add(22, 9.0) is not None


def test_no_step_before_the_first_is_left_out():
    detector = SpikeDetector(SpikeSettings(window_steps=8), [1.0] * 8)
    spike = detector.add(9, 50.0)
    rule = SpikeSettings(window_steps=8, action="rollback", skip_steps=100)
    assert (plan_rollback(rule, spike, []).first_skipped, plan_rollback(rule, spike, []).last_skipped) == (1, 9)


WINDOWS, BAD = 96, (68, 69, 70, 71)
"""Step 18 of a run in the mixture's order is four windows of noise among windows of one text."""


def build_windows(bad=BAD):
    text = FakeWindow(np.arange(16, dtype=np.uint16), [16], np.ones(16, np.bool_))
    noise = FakeWindows(count=WINDOWS)
    noise.windows = [noise.windows[place] if place in bad else text for place in range(WINDOWS)]
    return noise


def ask(**changes):
    rule = {"window_steps": 8, "deviations": 6.0, "action": "rollback"}
    return settings(passes=1, order="mixture", spikes=rule | changes)


def read_spikes(out):
    with (out / "loss_spikes.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_warning_changes_nothing_but_the_table_of_spikes(tmp_path, caplog):
    plain = read_files(run_training(tmp_path / "plain", settings(passes=1, order="mixture"), build_windows()))
    out = run_training(tmp_path / "warned", ask(action="warn"), build_windows())
    (spike,) = read_spikes(out)
    assert (spike["step"], spike["skipped_from"]) == ("18", "")
    assert "step 18: loss " in caplog.text
    files = read_files(out)
    del files["loss_spikes.csv"]
    assert files == plain


@pytest.mark.parametrize("skip", [1, 3])
def test_a_rollback_leaves_the_steps_out_wherever_the_states_lie(tmp_path, caplog, skip):
    outs = [
        read_files(run_training(tmp_path / str(every), ask(skip_steps=skip), build_windows(), save_every_steps=every))
        for every in (1, 5, 100)
    ]
    assert outs[0] == outs[1] == outs[2]
    first = 18 - skip + 1
    assert f"going back, to leave out steps {first} to 18" in caplog.text
    log = read_log(tmp_path / "1" / "out")
    assert [int(row["step"]) for row in log] == list(range(1, 25))
    assert [int(row["step"]) for row in log if not row["loss"]] == list(range(first, 19))
    assert int(log[17]["tokens"]) == 64 * (first - 1)
    (spike,) = read_spikes(tmp_path / "1" / "out")
    assert (spike["step"], spike["skipped_from"]) == ("18", str(first))
    assert float(spike["loss"]) > 1.3 * float(spike["median"])
    # what the left out steps would have seen makes no difference any more, and none of them has "nothing to learn"
    other = build_windows()
    other.windows[68] = build_windows((1,)).windows[1]
    assert (
        read_files(run_training(tmp_path / "other", ask(skip_steps=skip), other))["model.safetensors"]
        == (outs[0]["model.safetensors"])
    )
    assert "no token to learn" not in caplog.text


@pytest.mark.parametrize("steps", [19, 21, 22])
def test_a_run_killed_after_a_rollback_ends_with_the_same_bits(tmp_path, monkeypatch, steps):
    whole = read_files(run_training(tmp_path / "whole", ask(), build_windows(), save_every_steps=5))
    with monkeypatch.context() as patch:
        kill_after(patch, steps)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", ask(), build_windows(), save_every_steps=5)
    assert read_files(run_training(tmp_path / "killed", ask(), build_windows(), save_every_steps=5)) == whole


def test_a_run_killed_between_dropping_states_and_deciding_comes_to_the_same_end(tmp_path, monkeypatch):
    whole = read_files(run_training(tmp_path / "whole", ask(skip_steps=4), build_windows(), save_every_steps=3))

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("mixlab.training.watching.reactions.write_rollbacks", die)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", ask(skip_steps=4), build_windows(), save_every_steps=3)
    assert sorted(path.name for path in (tmp_path / "killed" / "resume").glob("state-*")) == ["state-00000012"]
    again = run_training(tmp_path / "killed", ask(skip_steps=4), build_windows(), save_every_steps=3)
    assert read_files(again) == whole


def test_a_rollback_is_told_in_the_metrics(tmp_path):
    watching = Watching(tmp_path / "metrics")
    run_training(tmp_path, ask(), build_windows(), watching=watching, save_every_steps=5)
    rows = read_metrics(watching.metrics)
    (rollback,) = [row for row in rows if row["event"] == "rollback"]
    assert (rollback["step"], rollback["first_skipped"], rollback["last_skipped"]) == (18, 18, 18)
    starts = [(row["attempt"], row["first_step"]) for row in rows if row["event"] == "start"]
    assert starts == [(1, 1), (2, 16)]
    assert [row["step"] for row in rows if row["event"] == "step"] == [*range(1, 18), *range(19, 25)]


def test_a_rank_that_is_not_the_first_goes_back_too_and_leaves_the_folder_to_it(tmp_path):
    rule = SpikeSettings(window_steps=8, action="rollback")
    spikes = Spikes(rule, tmp_path, "run", is_first=False)
    spikes.resume([(step, 1.0 + step / 100) for step in range(1, 9)])
    watch = Watch(Watching(is_first=False), Meter(Devices("cpu"), lambda *_: 0), 20, 9)
    with pytest.raises(RolledBack, match="leave out steps 9 to 9"):
        spikes.look(step_report(step=9, loss=99.0), watch, lambda step: pytest.fail("it dropped states"))
    assert not list(tmp_path.iterdir())


def test_more_spikes_than_rollbacks_are_an_error_that_names_them(tmp_path):
    bad = (*BAD, 88, 89, 90, 91)
    with pytest.raises(DataError, match=r"step 23: .* after 1 rollbacks already \(spikes in steps 18, 23\); lower"):
        run_training(tmp_path, ask(max_rollbacks=1), build_windows(bad))
    out = run_training(tmp_path / "two", ask(max_rollbacks=2), build_windows(bad))
    assert [row["step"] for row in read_spikes(out)] == ["18", "23"]


def test_the_rollbacks_of_another_run_are_not_taken_over(tmp_path):
    alone = read_files(run_training(tmp_path / "alone", ask(), build_windows(()), seed=8))
    run_training(tmp_path, ask(), build_windows(), seed=7)
    assert read_files(run_training(tmp_path, ask(), build_windows(()), seed=8)) == alone
