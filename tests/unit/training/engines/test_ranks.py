"""Several processes against one: gradients, losses, order, states. Heavier ones are long."""

import numpy as np
import pytest
from rank_program import STOPPED, main, read_reports, run_ranks
from safetensors.numpy import load_file
from training_fakes import VOCAB, small_model

from mixlab.training.models.weights import build_model, write_model

GENTLE = {"name": "adamw", "learning_rate": 0.001}
"""A rate at which rounding does not grow from step to step."""
STEPS_50 = {"windows": 100, "settings": {"global_batch_windows": 4, "passes": 2, "optimizer": GENTLE}}
ONE_GRADIENT = {"settings": {"gradient_clip": None, "passes": 1}, "stop_after": 2}
UNEVEN = {"settings": {"global_batch_windows": 5, "passes": 1}}
"""21 windows by 5: the last step has one, so that all ranks but one are without work."""


def run_alone(folder, **asked):
    """Run one process, this one; returns its exit code."""
    try:
        main(folder, asked)
    except SystemExit as ended:
        return ended.code
    return 0


def read_gradient(folder):
    """The first step's gradient, from AdamW's running mean after it."""
    files = sorted((folder / "resume/state-00000001").glob("optimizer*.safetensors"))
    tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
    return {name: tensor / 0.1 for name, tensor in tensors.items() if name.endswith("/exp_avg")}


def assert_gradients_agree(found, wanted):
    assert found.keys() == wanted.keys()
    difference = sum(float(np.sum((found[name] - wanted[name]).astype(np.float64) ** 2)) for name in wanted)
    whole = sum(float(np.sum(wanted[name].astype(np.float64) ** 2)) for name in wanted)
    assert whole > 0
    assert (difference / whole) ** 0.5 <= 1e-6


def assert_runs_agree(found, wanted, tolerance=1e-4):
    """The same windows and counts in every step, the same losses to rounding."""
    ours, theirs = read_reports(found), read_reports(wanted)
    exact = ("step", "tokens", "targets", "windows", "squared_tokens", "learning_rate")
    assert [[one[name] for name in exact] for one in ours] == [[one[name] for name in exact] for one in theirs]
    assert [one["loss"] for one in ours] == pytest.approx([one["loss"] for one in theirs], rel=tolerance)
    assert [one["gradient_norm"] for one in ours] == pytest.approx([one["gradient_norm"] for one in theirs], rel=1e-3)


def test_two_ranks_take_the_steps_of_one_and_one_goes_on_from_their_state(tmp_path):
    assert run_alone(tmp_path / "one", **UNEVEN) == 0
    assert run_ranks(tmp_path / "two", 2, **UNEVEN, stop_after=5) == [STOPPED, STOPPED]
    state = tmp_path / "two/resume/state-00000004"
    assert len(list(state.glob("model.rank-*-of-00002.safetensors"))) == 2
    assert run_alone(tmp_path / "two", **UNEVEN) == 0
    assert [report["step"] for report in read_reports(tmp_path / "two", rank=1)] == [1, 2, 3, 4, 5]
    assert_runs_agree(tmp_path / "two", tmp_path / "one")


def test_zero3_goes_on_from_the_state_of_one_process_and_takes_its_steps(tmp_path):
    assert run_alone(tmp_path / "one", **UNEVEN) == 0
    assert run_alone(tmp_path / "zero", **UNEVEN, stop_after=3) == STOPPED
    assert run_ranks(tmp_path / "zero", 2, **UNEVEN, launch={"parallelism": "zero3"}) == [0, 0]
    assert_runs_agree(tmp_path / "zero", tmp_path / "one")
    ours, theirs = (load_file(tmp_path / name / "out/model.safetensors") for name in ("zero", "one"))
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, atol=2e-4)


@pytest.mark.long
@pytest.mark.parametrize("parallelism", ["ddp", "zero1", "zero2", "zero3"])
def test_gradients_of_the_first_step_and_losses_of_fifty_are_those_of_one_process(tmp_path, parallelism):
    launch = {"parallelism": parallelism}
    assert run_alone(tmp_path / "one", **ONE_GRADIENT) == STOPPED
    assert run_ranks(tmp_path / "two", 2, **ONE_GRADIENT, launch=launch) == [STOPPED, STOPPED]
    assert_gradients_agree(read_gradient(tmp_path / "two"), read_gradient(tmp_path / "one"))
    assert run_alone(tmp_path / "long", **STEPS_50, save_every_steps=20) == 0
    assert run_ranks(tmp_path / "ranks", 2, **STEPS_50, save_every_steps=20, launch=launch) == [0, 0]
    assert len(read_reports(tmp_path / "ranks")) == 50
    assert_runs_agree(tmp_path / "ranks", tmp_path / "long")


@pytest.mark.long
def test_a_state_goes_through_one_two_and_four_ranks_and_all_of_zero_and_back(tmp_path):
    wanted = {"windows": 60, "settings": {"global_batch_windows": 5, "passes": 2, "optimizer": GENTLE}}
    assert run_alone(tmp_path / "one", **wanted) == 0
    stages = [(2, "ddp", 5), (4, "ddp", 8), (2, "zero2", 11), (3, "zero3", 14), (2, "zero1", 17), (1, "zero3", 19)]
    folder = tmp_path / "many"
    assert run_alone(folder, **wanted, stop_after=3) == STOPPED
    for ranks, parallelism, after in stages:
        launch = {"parallelism": parallelism}
        assert run_ranks(folder, ranks, **wanted, stop_after=after, launch=launch) == [STOPPED] * ranks
    assert run_alone(folder, **wanted) == 0
    assert_runs_agree(folder, tmp_path / "one")


@pytest.mark.long
@pytest.mark.parametrize("offload", ["optimizer", "optimizer_and_weights"])
def test_zero_with_offload_takes_the_same_steps(tmp_path, offload):
    launch = {"parallelism": "zero3", "offload": offload}
    assert run_alone(tmp_path / "one", **UNEVEN) == 0
    assert run_alone(tmp_path / "zero", **UNEVEN, stop_after=3) == STOPPED
    assert run_ranks(tmp_path / "zero", 2, **UNEVEN, launch=launch) == [0, 0]
    assert_runs_agree(tmp_path / "zero", tmp_path / "one")


@pytest.mark.long
@pytest.mark.parametrize("parallelism", ["ddp", "zero1", "zero2", "zero3"])
def test_bfloat16_over_ranks_stays_near_float32_and_resumes(tmp_path, monkeypatch, parallelism):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    wanted = {"settings": {**UNEVEN["settings"], "dtype": "bfloat16"}}
    launch = {"parallelism": parallelism}
    assert run_alone(tmp_path / "one", **UNEVEN) == 0
    assert run_ranks(tmp_path / "whole", 2, **wanted, launch=launch) == [0, 0]
    assert run_ranks(tmp_path / "cut", 2, **wanted, launch=launch, stop_after=3) == [STOPPED, STOPPED]
    assert run_ranks(tmp_path / "cut", 2, **wanted, launch=launch) == [0, 0]
    assert_runs_agree(tmp_path / "cut", tmp_path / "whole", tolerance=1e-6)
    exact, rounded = ([one["loss"] for one in read_reports(tmp_path / name)] for name in ("one", "whole"))
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.02)


@pytest.mark.long
def test_dropout_does_not_depend_on_the_number_of_ranks_where_micro_batches_fall_alike(tmp_path):
    wanted = {"windows": 24, "settings": {"global_batch_windows": 4, "dropout": 0.3}}
    assert run_alone(tmp_path / "one", **wanted) == 0
    assert run_ranks(tmp_path / "two", 2, **wanted) == [0, 0]
    assert_runs_agree(tmp_path / "two", tmp_path / "one")


LORA = {"rank": 2, "alpha": 4, "dropout": 0.2, "targets": ["q_proj", "v_proj"]}


def write_start(folder, family):
    folder.mkdir()
    if family == "ours":
        write_model(build_model(small_model(), 5), folder)
        return folder
    import transformers

    sizes = {"vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 8}
    sizes |= {"num_key_value_heads": 1, "intermediate_size": 24, "max_position_embeddings": 64}
    model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**sizes, tie_word_embeddings=True))
    model.save_pretrained(folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("family", ["ours", "foreign"])
@pytest.mark.parametrize("parallelism", ["ddp", "zero2", "zero3"])
def test_an_adapter_is_trained_over_ranks_as_by_one_process(tmp_path, parallelism, family):
    start = write_start(tmp_path / "start", family)
    wanted = {"settings": {"lora": LORA, "passes": 1}, "micro_batch": 1, "start": str(start)}
    assert run_alone(tmp_path / "one", **wanted) == 0
    assert run_ranks(tmp_path / "two", 2, **wanted, launch={"parallelism": parallelism}) == [0, 0]
    assert_runs_agree(tmp_path / "two", tmp_path / "one")
    for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
        ours, theirs = (load_file(tmp_path / run / "out" / name) for run in ("two", "one"))
        assert ours.keys() == theirs.keys()
        assert max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours) <= 1e-5


@pytest.mark.long
def test_ranks_go_back_before_a_spike_together_and_end_as_one_process_does(tmp_path):
    rule = {"window_steps": 8, "deviations": 0.5, "action": "rollback", "max_rollbacks": 50}
    wanted = {"windows": 60, "settings": {"global_batch_windows": 4, "passes": 1, "spikes": rule, "optimizer": GENTLE}}
    assert run_alone(tmp_path / "one", **wanted) == 0
    assert run_ranks(tmp_path / "two", 2, **wanted) == [0, 0]
    assert_runs_agree(tmp_path / "two", tmp_path / "one")
    tables = [(tmp_path / run / "out/loss_spikes.csv").read_text().splitlines() for run in ("one", "two")]
    skipped = [[row.rsplit(",", 1)[1] for row in table[1:]] for table in tables]
    assert skipped[0] == skipped[1]
    assert any(skipped[0])


@pytest.mark.long
@pytest.mark.parametrize("parallelism", ["ddp", "zero3"])
def test_held_out_windows_have_the_losses_that_one_process_finds(tmp_path, parallelism):
    wanted = {"settings": {"passes": 1, "global_batch_windows": 4}, "held_out": [9, 1, 5]}
    assert run_alone(tmp_path / "one", **wanted) == 0
    assert run_ranks(tmp_path / "two", 2, **wanted, launch={"parallelism": parallelism}) == [0, 0]
    ours, theirs = (
        [row.split(",") for row in (tmp_path / run / "out/validation_loss.csv").read_text().splitlines()[1:]]
        for run in ("two", "one")
    )
    assert [row[:4] for row in ours] == [row[:4] for row in theirs]
    assert len(ours) > 3
    assert [float(row[4]) for row in ours] == pytest.approx([float(row[4]) for row in theirs], rel=1e-4)
