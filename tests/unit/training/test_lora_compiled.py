"""LoRA where the machine compiles layers: the adapter is put in after the layers were told to be compiled."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_train import Killed, kill_after, read_files, run_training
from training_fakes import settings, small_model

from mixlab.config.kernels import KernelSettings
from mixlab.training.models.weights import build_model, write_model

# torch's own tracing looks at the gradient of tensors that have none
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")]

RATE = {"name": "adamw", "learning_rate": 0.03}
COMPILED = KernelSettings(compile=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_model(build_model(small_model(), seed=5), folder)
    return folder


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Compiles by tracing alone, and keeps what is compiled."""
    kept: list[Any] = []
    whole: Callable[..., Any] = torch.compile

    def spy(function: Any, **options: Any) -> Any:
        kept.append(function)
        return whole(function, **{**options, "backend": "aot_eager"})

    monkeypatch.setattr(torch, "compile", spy)
    yield kept
    torch.compiler.reset()


def test_compiled_layers_train_the_same_adapter(base: Path, tmp_path: Path, compiled: list[Any]) -> None:
    wanted = settings(lora={"rank": 4, "alpha": 8}, optimizer=RATE, steps=3, passes=1)
    plain = run_training(tmp_path / "plain", wanted, start=base)
    assert not compiled
    fast = run_training(tmp_path / "fast", wanted, start=base, kernels=COMPILED)
    assert len(compiled) == 4  # heads and feed-forward of two layers
    for file in ("adapter/adapter_model.safetensors", "model.safetensors"):
        before, after = load_file(plain / file), load_file(fast / file)
        assert before.keys() == after.keys()
        assert not any("_orig_mod" in name for name in after)
        for name, weight in before.items():
            torch.testing.assert_close(after[name], weight, atol=1e-5, rtol=1e-4)
    moved = load_file(fast / "adapter/adapter_model.safetensors")
    assert all(weight.any() for name, weight in moved.items() if "lora_B" in name)


def test_a_killed_run_with_compiled_layers_and_dropout_ends_with_the_same_bits(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[Any]
) -> None:
    wanted = settings(lora={"rank": 4, "alpha": 8, "dropout": 0.3}, optimizer=RATE, steps=4, passes=1)
    options: dict[str, Any] = {"start": base, "kernels": COMPILED, "save_every_steps": 2}
    whole = read_files(run_training(tmp_path / "whole", wanted, **options))
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(Killed):
            run_training(tmp_path / "killed", wanted, **options)
    torch.manual_seed(99)
    assert read_files(run_training(tmp_path / "killed", wanted, **options)) == whole
    assert compiled
