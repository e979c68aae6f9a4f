import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_train import Killed, kill_after, read_files, read_log, run_training
from training_fakes import VOCAB, settings, small_model

from mixlab.config.problems import DataError
from mixlab.config.training import LoraSettings
from mixlab.training.models.in_turn import take_in_turn
from mixlab.training.models.lora import add_adapter, write_trained
from mixlab.training.models.weights import build_model, named_weights, read_model, trained_weights, write_model
from mixlab.training.optimization.optimizers import OptimizerSet

LORA = {"rank": 4, "alpha": 8, "dropout": 0.3}
RATE = {"name": "adamw", "learning_rate": 0.03}


def tune(folder, base, lora=None, **changes):
    """Fine-tune a base model with LoRA."""
    wanted = settings(lora=LORA | (lora or {}), optimizer=RATE, **changes)
    return run_training(folder, wanted, start=base)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_model(build_model(small_model(), seed=5), folder)
    return folder


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    return tune(tmp_path_factory.mktemp("tuned"), base)


def adapted(base, wanted, seed=1):
    model = read_model(base)
    add_adapter(model, wanted, base, seed)
    return model


def logits(model, tokens_BT):
    batch, length = tokens_BT.shape
    places = torch.arange(length).expand(batch, length)
    with torch.no_grad():
        out = model(tokens_BT, torch.zeros_like(tokens_BT), places, torch.arange(batch * length))
    return out.view(batch, length, -1)


def some_tokens():
    return torch.randint(0, VOCAB, (2, 20), generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_adapter_loads_in_peft_onto_the_base_and_gives_the_merged_models_logits(base, tuned):
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    on_base = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), tuned / "adapter").eval()
    with torch.no_grad():
        there = on_base(some_tokens()).logits
        merged = LlamaForCausalLM.from_pretrained(tuned).eval()(some_tokens()).logits
    ours = logits(read_model(tuned), some_tokens())
    torch.testing.assert_close(ours, there, atol=1e-5, rtol=0)
    torch.testing.assert_close(merged, there, atol=1e-5, rtol=0)
    assert (ours - logits(read_model(base), some_tokens())).abs().max() > 0.01


@pytest.mark.parametrize("rslora", [False, True])
def test_the_merged_weights_are_the_rounded_sum_and_those_without_an_adapter_are_untouched(base, tmp_path, rslora):
    wanted = LoraSettings(rank=4, alpha=8, targets=("q_proj", "down_proj"), rslora=rslora)
    model = adapted(base, wanted)
    for name, weight in trained_weights(model).items():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(len(name)))
    on = logits(model.eval(), some_tokens())
    write_trained(model, take_in_turn(trained_weights(model)), tmp_path)
    merged = read_model(tmp_path)
    torch.testing.assert_close(logits(merged, some_tokens()), on, atol=1e-5, rtol=1e-5)
    scale = 8 / (2 if rslora else 4)
    layer = model.model.layers[1].self_attn.q_proj
    assert layer.scaling == {"default": scale}
    a, b = (part["default"].weight.double() for part in (layer.lora_A, layer.lora_B))
    exact = (layer.base_layer.weight.double() + scale * (b @ a)).float()
    weights, before = named_weights(merged), named_weights(build_model(small_model(), seed=5))
    torch.testing.assert_close(weights["model.layers.1.self_attn.q_proj.weight"], exact, atol=0, rtol=2e-7)
    same = [name for name in before if torch.equal(before[name], weights[name])]
    assert sorted(set(before) - set(same)) == [
        f"model.layers.{layer}.{name}.weight" for layer in (0, 1) for name in ("mlp.down_proj", "self_attn.q_proj")
    ]


def test_a_new_adapter_changes_no_logit_and_the_seed_alone_decides_its_weights(base):
    before = torch.random.get_rng_state()
    first, again, other = (adapted(base, LoraSettings(rank=4, alpha=8), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(logits(first, some_tokens()), logits(build_model(small_model(), seed=5), some_tokens()))
    weights = [trained_weights(model) for model in (first, again, other)]
    drawn = [name for name in weights[0] if "lora_A" in name]
    assert len(drawn) == 2 * 7
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not any(torch.equal(weights[0][name], weights[2][name]) for name in drawn)


def test_frozen_weights_have_no_optimizer_state_and_resume_states_hold_the_adapter_alone(base, tmp_path):
    model = adapted(base, LoraSettings(rank=4, alpha=8))
    state = OptimizerSet(settings().optimizer, trained_weights(model)).state()
    assert {name.split("/")[0] for name in state} == set(trained_weights(model))
    assert all(".lora_" in name for name in trained_weights(model))
    wanted = settings(lora=LORA, optimizer=RATE)
    run_training(tmp_path, wanted, start=base, save_every_steps=4)
    held = load_file(tmp_path / "resume" / "state-00000008" / "model.safetensors")
    assert held.keys() == trained_weights(model).keys()


@pytest.mark.parametrize("steps", [2, 7])
def test_a_killed_lora_run_with_dropout_ends_with_the_same_bits(base, tmp_path, monkeypatch, steps):
    wanted = settings(lora=LORA, optimizer=RATE, keep_epochs=True)
    whole = read_files(run_training(tmp_path / "whole", wanted, start=base))
    with monkeypatch.context() as patch:
        kill_after(patch, steps)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", wanted, start=base, save_every_steps=3)
    torch.manual_seed(99)
    assert read_files(run_training(tmp_path / "killed", wanted, start=base, save_every_steps=3)) == whole
    assert sorted(name for name in whole if name.startswith("epoch-1/")) == [
        "epoch-1/adapter/adapter_config.json",
        "epoch-1/adapter/adapter_model.safetensors",
        "epoch-1/config.json",
        "epoch-1/model.safetensors",
    ]


def test_dropout_acts_once_the_adapter_has_an_effect(base, tmp_path):
    losses = []
    for dropout in (0.0, 0.3):
        log = read_log(tune(tmp_path / str(dropout), base, {"dropout": dropout}, steps=3, passes=1))
        losses.append([row["loss"] for row in log])
    plain, dropped = losses
    assert plain[0] == dropped[0], "B is zero, so that the first step knows no dropout"
    assert plain[1] != dropped[1]
    assert plain[2] != dropped[2]


def test_the_written_adapter_says_what_peft_needs_and_no_path(tuned):
    config = json.loads((tuned / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (4, 8, 0.3)
    assert config["target_modules"] == sorted(config["target_modules"])
    assert config["base_model_name_or_path"] is None
    assert str(tuned) not in json.dumps(config)


def test_a_rank_above_a_projections_width_is_refused_by_name(base, tmp_path):
    with pytest.raises(DataError, match=r"lora\.rank.*rank 17 is more than the 16 of 'q_proj'"):
        tune(tmp_path, base, {"rank": 17})


def test_an_adapter_without_a_model_to_stand_on_is_refused(tmp_path):
    with pytest.raises(DataError, match="an adapter needs a trained model to stand on"):
        run_training(tmp_path, settings(lora=LORA))


def test_lora_learns(tuned):
    losses = [float(row["loss"]) for row in read_log(tuned)]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
