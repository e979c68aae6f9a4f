import errno
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from training_fakes import FakeWindow, FakeWindows, child_environment, settings, small_model

from mixlab.config.problems import DataError
from mixlab.config.tracking import TrackingSettings
from mixlab.training import run
from mixlab.training.loop import Loop
from mixlab.training.run import train
from mixlab.training.tensors import placing
from mixlab.training.watching.log import TrainingLog
from mixlab.training.watching.watch import Watching

MUON = {"name": "muon", "learning_rate": 0.01, "other_learning_rate": 0.01}
SNAPSHOTS = {"every_steps": 2, "keep": 3}


def run_training(folder, wanted=None, windows=None, start=None, **machine):
    train(
        wanted or settings(),
        FakeWindows() if windows is None else windows,
        folder / "out",
        start=start or small_model(),
        resume=folder / "resume",
        **({"micro_batch": 4, "threads": 1, "seed": 7} | machine),
    )
    return folder / "out"


def read_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def read_log(out):
    rows = [line.split(",") for line in (out / "training_log.csv").read_text().splitlines()]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


class Killed(BaseException):
    """Stands for SIGKILL inside the process: nothing of ours may catch it."""


def kill_after(monkeypatch, steps):
    original, done = Loop.step, []

    def step(self, number):
        if len(done) == steps:
            raise Killed
        done.append(number)
        return original(self, number)

    monkeypatch.setattr(Loop, "step", step)
    return done


def test_training_learns_a_text_that_repeats(tmp_path):
    text = FakeWindow(np.arange(16, dtype=np.uint16), [16], np.ones(16, np.bool_))
    windows = FakeWindows()
    windows.windows = [text] * 40
    log = read_log(run_training(tmp_path, settings(passes=8), windows))
    assert float(log[0]["loss"]) > 3
    assert float(log[-1]["loss"]) < 0.5
    assert [int(row["tokens"]) for row in log] == [64 * step for step in range(1, 81)]


@pytest.mark.parametrize("optimizer", [None, MUON])
@pytest.mark.parametrize("steps", [1, 5, 8, 11])
def test_a_run_killed_at_any_step_ends_with_the_same_bits(tmp_path, monkeypatch, steps, optimizer):
    wanted = settings(snapshots=SNAPSHOTS, **({"optimizer": optimizer} if optimizer else {}))
    whole = read_files(run_training(tmp_path / "whole", wanted))
    with monkeypatch.context() as patch:
        kill_after(patch, steps)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", wanted, save_every_steps=3)
    done = kill_after(monkeypatch, 99)
    assert read_files(run_training(tmp_path / "killed", wanted, save_every_steps=3)) == whole
    assert done == list(range(steps // 3 * 3 + 1, 13))


def test_a_run_killed_while_it_hands_over_does_not_start_over_and_ends_with_the_same_bits(tmp_path, monkeypatch):
    wanted = settings(snapshots=SNAPSHOTS)
    whole = read_files(run_training(tmp_path / "whole", wanted))
    original = TrainingLog.write

    def write(self, path):
        if path.parent.name == "out":
            raise Killed
        original(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "write", write)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", wanted, save_every_steps=5)
    shutil.rmtree(tmp_path / "killed" / "out")
    done = kill_after(monkeypatch, 99)
    assert read_files(run_training(tmp_path / "killed", wanted)) == whole
    assert done == [11, 12]


_CHILD = """
import sys, time
from pathlib import Path
from training_fakes import FakeWindows, settings
from mixlab.training.loop import Loop
from test_train import MUON, SNAPSHOTS, run_training
original = Loop.step
def step(self, number):
    time.sleep(float(sys.argv[2]))
    return original(self, number)
Loop.step = step
run_training(Path(sys.argv[1]), settings(snapshots=SNAPSHOTS), save_every_steps=2)
"""


def start_child(folder, seconds_per_step):
    environment = child_environment(OMP_NUM_THREADS="1")
    command = [sys.executable, "-c", _CHILD, str(folder), str(seconds_per_step)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_process_killed_by_sigkill_and_started_again_ends_with_the_same_bits(tmp_path):
    whole = read_files(run_training(tmp_path / "whole", settings(snapshots=SNAPSHOTS)))
    child = start_child(tmp_path / "killed", 0.2)
    wait_for((tmp_path / "killed" / "resume" / "state-00000004" / "digests.json").exists)
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "out").exists()
    again = start_child(tmp_path / "killed", 0)
    again.communicate()
    assert again.returncode == 0
    assert read_files(tmp_path / "killed" / "out") == whole


def test_sigterm_saves_the_state_exits_with_143_and_nothing_is_lost(tmp_path, monkeypatch):
    wanted = settings(snapshots=SNAPSHOTS)
    whole = read_files(run_training(tmp_path / "whole", wanted))
    child = start_child(tmp_path / "ended", 0.1)
    wait_for((tmp_path / "ended" / "resume" / "state-00000002" / "digests.json").exists)
    child.terminate()
    child.communicate()
    assert child.returncode == 143
    assert not (tmp_path / "ended" / "out").exists()
    newest = max(path.name for path in (tmp_path / "ended" / "resume").glob("state-*"))
    done = kill_after(monkeypatch, 99)
    assert read_files(run_training(tmp_path / "ended", wanted)) == whole
    assert newest == f"state-{done[0] - 1:08d}"


def test_at_most_two_states_are_kept(tmp_path):
    run_training(tmp_path, save_every_steps=1)
    states = sorted(path.name for path in (tmp_path / "resume").iterdir())
    assert states == ["state-00000010", "state-00000011"]


def break_a_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("broken", "resumed_after"),
    [
        ("state-00000010/model.safetensors", 8),
        ("state-00000010/optimizer.safetensors", 8),
        ("state-00000010/digests.json", 8),
        ("snapshot-00000010/model.safetensors", 8),
        ("snapshot-00000008/model.safetensors", 0),
    ],
)
def test_a_broken_newest_state_is_skipped_with_a_warning(tmp_path, monkeypatch, caplog, broken, resumed_after):
    wanted = settings(snapshots=SNAPSHOTS)
    whole = read_files(run_training(tmp_path / "whole", wanted))
    with monkeypatch.context() as patch:
        kill_after(patch, 11)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", wanted, save_every_steps=2)
    break_a_byte(tmp_path / "killed" / "resume" / broken)
    done = kill_after(monkeypatch, 99)
    assert read_files(run_training(tmp_path / "killed", wanted)) == whole
    assert done[0] == resumed_after + 1
    assert "state-00000010 is skipped" in caplog.text
    assert "state-00000010/" not in broken or Path(broken).name in caplog.text


def test_the_state_of_a_run_with_other_settings_is_not_taken_over(tmp_path, caplog):
    run_training(tmp_path, save_every_steps=5)
    alone = read_files(run_training(tmp_path / "alone", seed=8))
    assert read_files(run_training(tmp_path, seed=8)) == alone
    assert "another" not in caplog.text
    assert "it belongs to a run with other settings or data" in caplog.text


@pytest.mark.parametrize("loss", ["all", "response"])
def test_the_micro_batch_changes_rounding_only(tmp_path, loss):
    outs = [
        run_training(tmp_path / str(micro), settings(passes=1, loss=loss), micro_batch=micro) for micro in (1, 3, 4)
    ]
    whole, *others = (load_file(out / "model.safetensors") for out in outs)
    for other in others:
        for name, array in whole.items():
            # AdamW's first steps divide gradients by themselves, which lifts rounding from 1e-7.
            np.testing.assert_allclose(other[name], array, atol=2e-4)
    losses = [[float(row["loss"]) for row in read_log(out)] for out in outs]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_response_loss_is_the_mean_over_answer_tokens_alone(tmp_path):
    windows = FakeWindows(count=4)
    rate = {"name": "adamw", "learning_rate": 1e-6}
    wanted = settings(loss="response", passes=1, optimizer=rate, order="mixture")
    row = read_log(run_training(tmp_path, wanted, windows))[0]
    model = run.open_model(small_model(), 7)
    total, count = 0.0, 0
    for window in windows.windows:
        start = 0
        for length in window.segment_lengths:
            tokens = torch.as_tensor(window.tokens_T[start : start + length].astype(np.int64))
            places = torch.arange(length)
            logits = model(tokens[None], torch.zeros(1, length, dtype=torch.long), places[None], places)
            surprise = -logits.detach().log_softmax(-1)
            for place in range(1, length):
                if window.response_mask_T[start + place]:
                    total += float(surprise[place - 1, tokens[place]])
                    count += 1
            start += length
    assert float(row["loss"]) == pytest.approx(total / count, rel=1e-5)


def test_snapshots_are_counted_from_the_end_and_the_newest_is_the_final_model(tmp_path):
    plain = run_training(tmp_path / "plain", settings())
    out = run_training(tmp_path / "kept", settings(snapshots=SNAPSHOTS))
    assert sorted(path.name for path in out.iterdir()) == ["last-00", "last-01", "last-02", "training_log.csv"]
    for name in ("model.safetensors", "config.json"):
        assert (out / "last-00" / name).read_bytes() == (plain / name).read_bytes()
        assert sorted(path.name for path in (out / "last-02").iterdir()) == ["config.json", "model.safetensors"]
    models = [(out / f"last-{number:02d}" / "model.safetensors").read_bytes() for number in range(3)]
    assert len(set(models)) == 3


def test_more_snapshots_than_the_run_can_give_are_refused_before_it_begins(tmp_path):
    with pytest.raises(DataError, match=r"need 17 steps, but the mixture gives 12 .* enough for 3; lower keep"):
        run_training(tmp_path, settings(snapshots={"every_steps": 4, "keep": 5}))
    assert not (tmp_path / "resume").exists()


def test_the_seed_alone_changes_a_run_that_starts_from_a_model(tmp_path):
    base = run_training(tmp_path / "base")
    seeds = {"first": 1, "again": 1, "other": 2}
    outs = [run_training(tmp_path / name, settings(passes=1), start=base, seed=seed) for name, seed in seeds.items()]
    first, again, other = (read_files(out)["model.safetensors"] for out in outs)
    assert first == again
    assert first != other


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path):
    rate = {"name": "adamw", "learning_rate": 10.0, "weight_decay": 10.0}
    with pytest.raises(DataError, match=r"step \d+ of 300: loss .*not finite; lower the learning rate"):
        run_training(tmp_path, settings(optimizer=rate, passes=50, schedule={"name": "constant"}))


def test_a_full_disk_is_an_os_error_that_names_the_file_and_leaves_no_state_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(placing.os, "pwrite", fail)
    with pytest.raises(OSError, match=r"No space left on device: .*model\.safetensors") as caught:
        run_training(tmp_path, save_every_steps=1)
    assert caught.value.errno == errno.ENOSPC
    assert not list((tmp_path / "resume").glob("state-*[0-9]"))


def test_windows_longer_than_the_models_positions_are_refused(tmp_path):
    with pytest.raises(DataError, match="windows of 16 tokens, but the model's max_positions is 8"):
        run_training(tmp_path, start=small_model(max_positions=8))


def test_an_empty_mixture_and_one_without_a_single_answer_are_refused(tmp_path):
    with pytest.raises(DataError, match="has no windows"):
        run_training(tmp_path / "empty", windows=FakeWindows(count=0))
    prompts = FakeWindows()
    prompts.windows = [
        FakeWindow(one.tokens_T, one.segment_lengths, np.zeros_like(one.response_mask_T)) for one in prompts.windows
    ]
    with pytest.raises(DataError, match="none of its windows has a token to learn"):
        run_training(tmp_path / "prompts", settings(loss="response"), prompts)


def test_a_step_without_a_target_moves_nothing_and_is_logged_without_a_loss(tmp_path, caplog):
    windows = FakeWindows(count=8)
    for one in windows.windows[:4]:
        one.response_mask_T[:] = False
    wanted = settings(loss="response", passes=1, order="mixture")
    log = read_log(run_training(tmp_path, wanted, windows))
    assert [bool(row["loss"]) for row in log] == [False, True]
    assert "1 of 2 steps had no token to learn" in caplog.text


def test_training_leaves_threads_determinism_and_signals_as_they_were(tmp_path):
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), signal.getsignal(signal.SIGTERM)
    run_training(tmp_path, settings(passes=1))
    after = torch.get_num_threads(), torch.get_deterministic_debug_mode(), signal.getsignal(signal.SIGTERM)
    assert after == before


def test_progress_is_logged_with_step_loss_and_speed(tmp_path, caplog):
    watching = Watching(tracking=TrackingSettings(log_seconds=1e-9))
    with caplog.at_level("INFO"):
        run_training(tmp_path, settings(passes=1), watching=watching)
    assert "step 3/6, loss " in caplog.text
    assert "tokens/s" in caplog.text


_BFLOAT16 = """
import sys
from pathlib import Path
from training_fakes import settings
from test_train import read_log, run_training
for dtype in ("float32", "bfloat16"):
    out = run_training(Path(sys.argv[1]) / dtype, settings(dtype=dtype, passes=1))
    print(*(row["loss"] for row in read_log(out)))
"""


def test_bfloat16_computes_the_same_losses_up_to_its_eight_bits_and_keeps_float32_weights(tmp_path):
    environment = child_environment(ONEDNN_MAX_CPU_ISA="AVX512_CORE_BF16", OMP_NUM_THREADS="1")
    command = [sys.executable, "-c", _BFLOAT16, str(tmp_path)]
    lines = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()
    exact, rounded = ([float(value) for value in line.split()] for line in lines)
    assert exact != rounded
    np.testing.assert_allclose(rounded, exact, rtol=0.02)
    arrays = load_file(tmp_path / "bfloat16" / "out" / "model.safetensors")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_the_training_room_needs_neither_transformers_nor_torchs_compiler(tmp_path):
    code = (
        "import sys; from pathlib import Path; from test_train import run_training, settings;"
        "run_training(Path(sys.argv[1]), settings(passes=1));"
        "sys.exit(', '.join(m for m in ('transformers', 'torch._dynamo', 'torch._inductor') if m in sys.modules) or 0)"
    )
    environment = child_environment()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
