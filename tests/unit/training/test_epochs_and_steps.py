from fractions import Fraction
from itertools import pairwise

import pytest
from pydantic import ValidationError
from test_train import read_log, run_training
from training_fakes import FakeWindows, settings

from mixlab.config.problems import DataError
from mixlab.plan.canonical import to_plain


def names(out):
    return sorted(path.name for path in out.iterdir())


@pytest.mark.parametrize(("passes", "kept"), [(3, [1, 2]), ("5/2", [1, 2]), (2, [1])])
def test_every_whole_pass_before_the_last_leaves_its_model_and_the_finished_one_stands_at_the_root(
    tmp_path, passes, kept
):
    wanted = settings(passes=passes, schedule={"name": "constant"}, keep_epochs=True)
    out = run_training(tmp_path / "kept", wanted)
    members = [f"epoch-{number}" for number in kept]
    assert names(out) == ["config.json", *members, "model.safetensors", "training_log.csv"]
    for number in kept:
        # with a constant rate a run of so many passes ends where this one was
        alone = run_training(tmp_path / f"alone{number}", settings(passes=number, schedule={"name": "constant"}))
        for name in ("config.json", "model.safetensors"):
            assert (out / f"epoch-{number}" / name).read_bytes() == (alone / name).read_bytes()
    plain = run_training(tmp_path / "plain", settings(passes=passes, schedule={"name": "constant"}))
    assert (out / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()


def test_a_pass_that_ends_within_a_step_is_kept_after_that_step(tmp_path):
    constant = {"global_batch_windows": 5, "schedule": {"name": "constant"}}
    out = run_training(tmp_path / "kept", settings(passes=2, keep_epochs=True, **constant))
    alone = run_training(tmp_path / "alone", settings(passes=1, steps=5, **constant))
    assert (out / "epoch-1" / "model.safetensors").read_bytes() == (alone / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"passes": 1, "steps": 6}, "24 windows of a mixture of 24, 4 a step, so no pass ends before the last"),
        ({"passes": 3, "global_batch_windows": 60}, "two passes end in one step; lower global_batch_windows"),
    ],
)
def test_epochs_that_cannot_be_kept_are_refused_before_the_run_begins(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        run_training(tmp_path, settings(keep_epochs=True, **changes))
    assert not (tmp_path / "resume").exists()


@pytest.mark.parametrize("steps", [1, 5, 8, 13])
def test_a_run_has_exactly_the_steps_asked_for_each_of_a_whole_batch(tmp_path, steps):
    windows = FakeWindows(count=7)
    log = read_log(run_training(tmp_path, settings(passes=1, steps=steps, schedule={"name": "constant"}), windows))
    assert len(log) == steps
    sizes = sorted(len(one.tokens_T) for one in windows.windows)
    increments = [int(log[0]["tokens"])]
    increments += [int(b["tokens"]) - int(a["tokens"]) for a, b in pairwise(log)]
    assert all(sum(sizes[:4]) <= tokens <= 4 * sizes[-1] for tokens in increments)


def test_steps_that_come_to_whole_passes_give_the_bits_of_those_passes(tmp_path):
    by_steps = run_training(tmp_path / "steps", settings(passes=1, steps=12))
    by_passes = run_training(tmp_path / "passes", settings(passes=2))
    assert (by_steps / "model.safetensors").read_bytes() == (by_passes / "model.safetensors").read_bytes()
    assert settings(passes=1, steps=12).count_passes(24) == Fraction(2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 5}, "steps 5 and passes 2 both say when to end"),
        ({"passes": 1, "keep_epochs": True}, "with passes 1 there is no pass before the last"),
        ({"keep_epochs": True, "snapshots": {"every_steps": 1, "keep": 2}}, "a run keeps one or the other"),
        ({"lora": {"rank": 2, "alpha": 4, "targets": ["q_proj", "q_proj"]}}, "names q_proj twice"),
        ({"lora": {"rank": 2, "alpha": 4, "targets": ["lm_head"]}}, "'q_proj'"),
        ({"lora": {"rank": 2, "alpha": 4, "targets": []}}, "at least 1"),
        (
            {
                "lora": {"rank": 2, "alpha": 4},
                "optimizer": {"name": "muon", "learning_rate": 0.1, "other_learning_rate": 0.1},
            },
            "muon is for whole projections",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        settings(**changes)


def test_the_new_settings_are_absent_from_the_spec_unless_used_and_targets_have_one_order():
    assert to_plain(settings()).keys().isdisjoint({"lora", "steps", "keep_epochs"})
    given, turned = (
        settings(lora={"rank": 2, "alpha": 4, "targets": targets})
        for targets in (["v_proj", "q_proj"], ["q_proj", "v_proj"])
    )
    assert to_plain(given) == to_plain(turned)
    assert to_plain(given)["lora"]["targets"] == ["q_proj", "v_proj"]
