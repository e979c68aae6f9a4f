import numpy as np
import pytest
from test_train import read_log, run_training
from training_fakes import VOCAB, FakeWindow, FakeWindows, settings

from mixlab.data.packs.packing import best_fit

WINDOW = 32


def make_dialogues(count=30):
    """One dialogue a window, of two turns each: every other half is an answer; a few have hardly any."""
    random = np.random.default_rng(3)
    dialogues = []
    for _ in range(count):
        length = int(random.integers(2, WINDOW + 1))
        quarter = np.arange(length) * 4 // length
        answers = (quarter == 1) | (quarter == 3) | (np.arange(length) == length - 1)
        dialogues.append(FakeWindow(random.integers(0, VOCAB, length).astype(np.uint16), [length], answers))
    return dialogues


def pack(dialogues):
    bins = best_fit(np.array([len(one.tokens_T) for one in dialogues]), WINDOW)
    windows = []
    for number in range(int(bins.max()) + 1):
        inside = [one for one, place in zip(dialogues, bins, strict=True) if place == number]
        tokens, answers = (
            np.concatenate([getattr(one, name) for one in inside]) for name in ("tokens_T", "response_mask_T")
        )
        windows.append(FakeWindow(tokens, [len(one.tokens_T) for one in inside], answers))
    return windows


def losses(folder, windows):
    fakes = FakeWindows(count=0, sequence_tokens=WINDOW)
    fakes.windows = windows
    rate = {"name": "adamw", "learning_rate": 0.003}
    wanted = settings(
        loss="response", passes=4, global_batch_windows=len(windows), optimizer=rate, schedule={"name": "constant"}
    )
    return [float(row["loss"]) for row in read_log(run_training(folder, wanted, fakes, micro_batch=5))]


def test_packed_dialogues_are_learnt_as_if_each_had_a_window_of_its_own(tmp_path):
    dialogues = make_dialogues()
    packed = pack(dialogues)
    assert sum(len(one.segment_lengths) for one in packed) == len(dialogues)
    assert len(packed) < len(dialogues) * 0.7
    single = losses(tmp_path / "single", dialogues)
    assert losses(tmp_path / "packed", packed) == pytest.approx(single, rel=2e-5)
    assert single[-1] < single[0] - 0.05
