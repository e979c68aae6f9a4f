"""LoRA on a family that transformers computes: the adapter and the merged model, as others open them."""

import logging
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from test_train import run_training
from training_fakes import VOCAB, settings

from mixlab.training.models import in_turn
from mixlab.training.models.foreign import ForeignModel
from mixlab.training.models.weights import read_model, write_model

SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = transformers.Qwen3Config(**SIZES)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_adapter_of_a_foreign_model_loads_in_peft_and_gives_the_merged_models_logits(
    base: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    lora = {"rank": 4, "alpha": 8, "targets": ["q_proj", "down_proj"]}
    wanted = settings(lora=lora, optimizer={"name": "adamw", "learning_rate": 0.03}, steps=3, passes=1)
    out = run_training(tmp_path, wanted, start=base)
    tokens = torch.randint(0, VOCAB, (2, 20), generator=torch.Generator().manual_seed(0))
    auto = transformers.AutoModelForCausalLM
    with torch.no_grad():
        plain = auto.from_pretrained(base)(tokens).logits
        adapted = PeftModel.from_pretrained(auto.from_pretrained(base), out / "adapter")(tokens).logits
        merged = auto.from_pretrained(out)(tokens).logits
    torch.testing.assert_close(merged, adapted, atol=1e-5, rtol=1e-5)
    assert (adapted - plain).abs().max() > 1e-3
    before, after = load_file(base / "model.safetensors"), load_file(out / "model.safetensors")
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"q_proj", "down_proj"}


def test_writing_a_large_model_is_told_before_and_after(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = read_model(base)
    assert isinstance(model, ForeignModel)
    for limit, told in ((10**9, 0), (1_000, 2)):
        monkeypatch.setattr(in_turn, "TOLD_BYTES", limit)
        out = tmp_path / f"out-{limit}"
        out.mkdir()
        with caplog.at_level(logging.INFO, "mixlab"):
            write_model(model, out)
        lines = [record.getMessage() for record in caplog.records if "of weights" in record.getMessage()]
        assert len(lines) == told
    assert lines[0] == "out-1000: writing 0.0 GB of weights"
    assert "GB of weights written in 0 s" in lines[1]
