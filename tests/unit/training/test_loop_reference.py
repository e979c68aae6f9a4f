"""The whole loop against the plainest torch there is, bit for bit, and through kills at any point, dropout on."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from test_train import Killed, read_files, read_log, run_training
from training_fakes import FakeWindows, settings, small_model

from mixlab.training.checkpoints import state
from mixlab.training.engines.plain import PlainEngine
from mixlab.training.loading.batches import Stream
from mixlab.training.models.weights import build_model, named_weights

RATE, WARMUP, BATCH, MICRO = 0.01, 3, 4, 3
SNAPSHOTS = {"every_steps": 2, "keep": 3}


def train_plainly(windows, seed):
    """Cross-entropy of each token given those before it in its document, clipped to 1, AdamW, cosine."""
    model = build_model(small_model(), seed)
    weights = list(named_weights(model).values())
    matrices, norms = [w for w in weights if w.dim() > 1], [w for w in weights if w.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8, fused=True)
    stream, losses = Stream(len(windows), BATCH, 2, "shuffled", seed), []
    for step in range(1, stream.steps + 1):
        batch = [windows.window(index) for index in stream.batch(step)]
        targets = sum(len(one.tokens_T) - len(one.segment_lengths) for one in batch)
        loss_sum = 0.0
        for first in range(0, len(batch), MICRO):
            part = batch[first : first + MICRO]
            shape = (len(part), max(len(one.tokens_T) for one in part))
            tokens, documents, positions = torch.zeros(shape).long(), torch.full(shape, -1), torch.zeros(shape).long()
            for row, one in enumerate(part):
                numbers = [(d, p) for d, length in enumerate(one.segment_lengths) for p in range(length)]
                tokens[row, : len(numbers)] = torch.tensor(one.tokens_T.astype(np.int64))
                documents[row, : len(numbers)], positions[row, : len(numbers)] = torch.tensor(numbers).T
            rows = torch.nonzero(((documents[:, 1:] >= 0) & (positions[:, 1:] > 0)).flatten()).flatten()
            rows = rows + rows // (shape[1] - 1)  # the last place of a window predicts nothing
            logits = model(tokens, documents, positions, rows)
            loss = F.cross_entropy(logits, tokens.flatten()[rows + 1], reduction="sum") / targets
            loss.backward()
            loss_sum += loss.item()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        progress = (step - 1 - WARMUP) / (stream.steps - WARMUP)
        share = step / WARMUP if step <= WARMUP else 0.5 * (1.0 + np.cos(np.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = RATE * share
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss_sum)
    return {name: weight.detach() for name, weight in named_weights(model).items()}, losses


def test_the_loop_equals_plain_torch_bit_for_bit(tmp_path):
    windows = FakeWindows(count=22)
    out = run_training(tmp_path, windows=windows, micro_batch=MICRO)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weights, losses = train_plainly(windows, 7)
    torch.set_num_threads(threads)
    assert len(losses) == 11
    assert [float(row["loss"]) for row in read_log(out)] == losses
    found = load_file(out / "model.safetensors")
    assert found.keys() == weights.keys()
    for name, weight in weights.items():
        assert torch.equal(found[name], weight), name


def kill_at(patch, counted, at):
    """Raise Killed in the `at`-th of all micro-batches, optimizer steps and written files from now on."""

    def wrap(owner, name):
        original = getattr(owner, name)

        def call(*arguments, **named):
            counted.append(name)
            if len(counted) == at:
                raise Killed
            return original(*arguments, **named)

        patch.setattr(owner, name, call)

    wrap(PlainEngine, "accumulate")
    wrap(PlainEngine, "step")
    wrap(state, "write_in_turn")


def test_a_run_with_dropout_killed_at_20_random_points_and_while_saving_ends_with_the_same_bits(tmp_path, monkeypatch):
    wanted = settings(snapshots=SNAPSHOTS, dropout=0.2, passes=1)
    calls = []
    with monkeypatch.context() as patch:
        kill_at(patch, calls, None)
        whole = read_files(run_training(tmp_path / "whole", wanted, micro_batch=2, save_every_steps=2))
    assert whole != read_files(run_training(tmp_path / "other", settings(snapshots=SNAPSHOTS, passes=1), micro_batch=2))
    saving = [place for place, name in enumerate(calls, 1) if name == "write_in_turn"]
    points = random.Random(4).sample(range(2, len(calls) + 1), 20)
    for number, point in enumerate([*points, saving[3]]):
        folder = tmp_path / f"killed-{number}"
        with monkeypatch.context() as patch:
            kill_at(patch, [], point)
            with pytest.raises(Killed):
                run_training(folder, wanted, micro_batch=2, save_every_steps=2)
        assert read_files(run_training(folder, wanted, micro_batch=2, save_every_steps=2)) == whole, point


def test_watchers_are_told_of_every_step(tmp_path):
    reports = []
    windows = FakeWindows(count=9)
    wanted = settings(passes=1, order="mixture")
    log = read_log(run_training(tmp_path, wanted, windows, watchers=[reports.append]))
    assert [report.windows for report in reports] == [(0, 1, 2, 3), (4, 5, 6, 7), (8,)]
    assert [(report.step, report.steps) for report in reports] == [(1, 3), (2, 3), (3, 3)]
    assert [repr(report.loss) for report in reports] == [row["loss"] for row in log]
    assert [repr(report.learning_rate) for report in reports] == [row["learning_rate"] for row in log]
    last, window = reports[-1], windows.window(8)
    assert last.tokens == len(window.tokens_T)
    assert last.targets == last.tokens - 2
    assert last.squared_tokens == sum(length**2 for length in window.segment_lengths)
    assert last.gradient_norm > 0
    assert 0 < last.data_seconds < last.seconds
