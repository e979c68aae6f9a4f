"""What ranks begin with, and how much memory they take: no rank holds a whole model under ZeRO 3."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rank_program import run_ranks
from safetensors.torch import load_file
from training_fakes import small_model

from mixlab.training.models.weights import build_model, named_weights, write_model

REPOSITORY = Path(__file__).resolve().parents[4]
# less than half of a last place of any weight
STILL = {"name": "adamw", "learning_rate": 1e-30}


@pytest.mark.long
@pytest.mark.parametrize("start", ["scratch", "folder"])
@pytest.mark.parametrize(("parallelism", "dtype"), [("zero3", "float32"), ("zero3", "bfloat16"), ("zero2", "bfloat16")])
def test_ranks_begin_with_the_weights_of_one_process_to_the_bit(tmp_path, parallelism, dtype, start):
    model = build_model(small_model(), 7 if start == "scratch" else 5)
    asked = {"launch": {"parallelism": parallelism}}
    if start == "folder":
        (tmp_path / "start").mkdir()
        write_model(model, tmp_path / "start")
        asked["start"] = str(tmp_path / "start")
    wanted = {"optimizer": STILL, "passes": 1, "dtype": dtype}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
        assert run_ranks(tmp_path / "run", 2, windows=4, settings=wanted, **asked) == [0, 0]
    found, weights = load_file(tmp_path / "run/out/model.safetensors"), named_weights(model)
    assert found.keys() == weights.keys()
    assert [name for name, weight in weights.items() if not torch.equal(found[name], weight)] == []


@pytest.mark.long
def test_a_rank_takes_no_more_memory_than_its_share_and_a_few_weights():
    """The program says what the share is, and fails for more: in the beginning, for a state and for a snapshot."""
    command = [sys.executable, "performance/ranks_memory.py", "--quick", "--ranks", "4"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(", limit ") == 6
