"""The loss on held-out windows: against a reckoning by hand, over kills, and without a trace in the model."""

import csv

import numpy as np
import pytest
import torch
from test_train import Killed, kill_after, read_files, run_training
from training_fakes import FakeWindows, settings, small_model

from mixlab.config.held_out import ValidationSettings
from mixlab.config.problems import DataError
from mixlab.training.models.weights import open_model
from mixlab.training.watching.metrics import read_metrics
from mixlab.training.watching.validation import HeldOut, Validation
from mixlab.training.watching.watch import Watching


def hold_out(every_steps=5, windows=4):
    """Two sources of Japanese code and one of English text."""
    cells = [
        {"language": "ja", "category": "code"},
        {"language": "en", "category": "raw"},
        {"language": "ja", "category": "code"},
    ]
    asked = ValidationSettings.model_validate({"every_steps": every_steps, "windows": windows, "cells": cells})
    return HeldOut(asked, [FakeWindows(count=count, seed=count) for count in (9, 3, 5)])


def read_rows(out):
    with (out / "validation_loss.csv").open() as file:
        return list(csv.DictReader(file))


def reckon(model, windows, places):
    """Loss and number of targets, document by document."""
    total, count = 0.0, 0
    for place in places:
        window, start = windows.window(place), 0
        for length in window.segment_lengths:
            tokens = torch.as_tensor(window.tokens_T[start : start + length].astype(np.int64))
            seen = torch.arange(length)
            logits = model(tokens[None], torch.zeros(1, length, dtype=torch.long), seen[None], seen)
            surprise = -logits.detach().log_softmax(-1)
            total += sum(float(surprise[at - 1, tokens[at]]) for at in range(1, length))
            count += length - 1
            start += length
    return total, count


def test_the_loss_of_a_cell_is_the_mean_over_the_tokens_of_its_sources(tmp_path):
    held_out = hold_out()
    rows = read_rows(run_training(tmp_path, settings(passes=1), held_out=held_out))
    assert [(row["step"], row["language"], row["category"]) for row in rows] == [
        (step, *cell) for step in ("0", "5", "6") for cell in (("en", "raw"), ("ja", "code"))
    ]
    model = open_model(small_model(), 7)
    first, english, second = held_out.sources
    raw, raw_tokens = reckon(model, english, [0, 1, 2])
    code = [reckon(model, first, [0, 2, 4, 6]), reckon(model, second, [0, 1, 2, 3])]
    code_tokens = sum(count for _, count in code)
    assert [int(row["tokens"]) for row in rows[:2]] == [raw_tokens, code_tokens]
    assert float(rows[0]["loss"]) == pytest.approx(raw / raw_tokens, rel=1e-5)
    assert float(rows[1]["loss"]) == pytest.approx(sum(total for total, _ in code) / code_tokens, rel=1e-5)
    last = open_model(tmp_path / "out", 7)
    total, count = reckon(last, english, [0, 1, 2])
    assert float(rows[-2]["loss"]) == pytest.approx(total / count, rel=1e-5)


def test_validation_leaves_no_trace_in_what_is_trained(tmp_path):
    plain = read_files(run_training(tmp_path / "plain"))
    files = read_files(run_training(tmp_path / "watched", held_out=hold_out(every_steps=1)))
    del files["validation_loss.csv"]
    assert files == plain


@pytest.mark.parametrize("steps", [1, 4, 6, 11])
def test_a_killed_run_has_the_same_table(tmp_path, monkeypatch, steps):
    whole = read_files(run_training(tmp_path / "whole", held_out=hold_out(2)))
    with monkeypatch.context() as patch:
        kill_after(patch, steps)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", held_out=hold_out(2), save_every_steps=3)
    assert read_files(run_training(tmp_path / "killed", held_out=hold_out(2), save_every_steps=3)) == whole


@pytest.mark.parametrize("validations", [0, 1, 3, 6])
def test_a_run_killed_while_it_validates_makes_up_for_it(tmp_path, monkeypatch, validations):
    whole = read_files(run_training(tmp_path / "whole", held_out=hold_out(2)))
    original, done = Validation.measure, []

    def measure(self, *arguments):
        if len(done) == validations:
            raise Killed
        done.append(1)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "measure", measure)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", held_out=hold_out(2), save_every_steps=1)
    assert read_files(run_training(tmp_path / "killed", held_out=hold_out(2), save_every_steps=1)) == whole


def test_a_run_that_begins_anew_takes_nothing_over_from_another(tmp_path):
    alone = read_files(run_training(tmp_path / "alone", seed=8, held_out=hold_out()))
    run_training(tmp_path, seed=7, held_out=hold_out(), save_every_steps=5)
    assert read_files(run_training(tmp_path, seed=8, held_out=hold_out())) == alone


def test_a_state_without_the_validations_before_it_is_refused(tmp_path, monkeypatch):
    kill_after(monkeypatch, 7)
    with pytest.raises(Killed):
        run_training(tmp_path, held_out=hold_out(2), save_every_steps=3)
    (tmp_path / "resume" / "validation_loss.csv").unlink()
    with pytest.raises(DataError, match=r"lacks the validation after step 0, .* state after step 6; remove .*resume"):
        run_training(tmp_path, held_out=hold_out(2))


def test_the_losses_are_metrics_too(tmp_path):
    watching = Watching(tmp_path / "metrics")
    out = run_training(tmp_path, settings(passes=1), held_out=hold_out(), watching=watching)
    rows = [row for row in read_metrics(watching.metrics) if row["event"] == "validation"]
    table = read_rows(out)
    assert [row["step"] for row in rows] == [0, 5, 6]
    assert [rows[1]["losses"][cell] for cell in ("en/raw", "ja/code")] == [float(row["loss"]) for row in table[2:4]]


def test_a_source_without_windows_and_one_without_answers_are_refused(tmp_path):
    held_out = hold_out()
    held_out.sources[1].windows = []
    with pytest.raises(DataError, match="validation: a source of en raw has no windows; name another"):
        run_training(tmp_path / "empty", held_out=held_out)
    held_out = hold_out()
    for window in held_out.sources[1].windows:
        window.response_mask_T[:] = False
    with pytest.raises(DataError, match="validation: en raw: none of its windows has a token to learn"):
        run_training(tmp_path / "raw", settings(loss="response"), held_out=held_out)
