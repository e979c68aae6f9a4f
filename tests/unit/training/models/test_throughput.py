"""performance/throughput.py, which is for a GPU, on a CPU with a tiny model."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from torch.utils.flop_counter import FlopCounterMode

from mixlab.config.models import ModelSettings

FILE = Path(__file__).resolve().parents[4] / "performance/throughput.py"


@pytest.fixture(scope="module")
def throughput() -> ModuleType:
    spec = importlib.util.spec_from_file_location("throughput", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_tiny_model_is_measured_on_a_cpu(throughput: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--tiny", "--device", "cpu", "--windows", "1", "--steps", "2", "--warmup", "1", "--documents", "2"]
    throughput.main([*asked, "--peak-tflops", "0.5"])
    (line,) = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    assert len(row["step_seconds"]) == 2
    flops = throughput.count_flops(throughput.TINY, throughput.TINY_VOCABULARY, 256, 128)
    median = sum(row["step_seconds"]) / 2
    assert row["tokens_per_second"] == pytest.approx(256 / median, rel=0.01)
    assert row["mfu"] == pytest.approx(flops / median / 0.5e12, rel=0.05, abs=1e-4)
    assert row["fits"]


@pytest.mark.parametrize("tied", [True, False])
def test_flops_are_those_that_torch_counts_but_for_attention_above_the_diagonal(
    throughput: ModuleType, tied: bool
) -> None:
    import torch

    from mixlab.config.kernels import KernelSettings

    base = {"hidden_size": 32, "layers": 2, "heads": 4, "kv_heads": 2, "feed_forward": 48, "tie_embeddings": tied}
    settings, tokens = ModelSettings.model_validate(base), 64
    model = throughput.build(settings, 100, torch.device("cpu"), KernelSettings(attention="dense"))
    places = torch.arange(tokens)
    with FlopCounterMode(display=False) as counted:
        logits = model(places[None], torch.zeros(1, tokens).long(), places[None], places)
        logits.sum().backward()
    by_kind = {str(kind): flops for kind, flops in counted.get_flop_counts()["Global"].items()}
    matrices = sum(flops for kind, flops in by_kind.items() if "mm" in kind)
    attention = 6 * tokens * settings.layers * settings.hidden_size * tokens
    assert throughput.count_flops(settings, 100, tokens, tokens) - attention == matrices
