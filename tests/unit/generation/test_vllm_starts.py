"""How a real vLLM starts, refuses and dies; each test starts one. Skipped where `make vllm` was not run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import TEXTS, continue_all
from vllm_models import LLAMA, NARROW, QWEN2, open_vllm, write_random

from mixlab.config.engines import HfEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.generation.hf import open_engine as open_hf

# one vLLM at a time
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vllm")]

GREEDY = SamplingSettings(max_new_tokens=24)


def test_a_tied_qwen2_of_ours_shared_by_two_processes_answers_as_transformers_does(
    vllm_python: Path, tmp_path: Path
) -> None:
    folders = write_random(QWEN2.model_copy(update={"kv_heads": 2}), tmp_path)
    engine = open_vllm(folders, vllm_python, tensor_parallel=2)
    try:
        ours = continue_all(engine, TEXTS, GREEDY, 0, chat=True)
    finally:
        engine.close()
    hf = open_hf(*folders, HfEngineSettings(), threads=1, batch=8)
    assert ours == continue_all(hf, TEXTS, GREEDY, 0, chat=True)


def test_a_model_that_vllm_cannot_compute_is_told_before_it_is_asked(vllm_python: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be opened: ValueError: head size 8 is none of .* engine hf"):
        open_vllm(write_random(NARROW, tmp_path), vllm_python)


def test_a_cache_too_small_for_the_models_positions_is_told_with_the_settings_that_help(
    vllm_python: Path, tmp_path: Path
) -> None:
    folders = write_random(LLAMA.model_copy(update={"max_positions": 4096}), tmp_path)
    with pytest.raises(
        DataError, match=r"cannot be opened: ValueError: .*on a CPU kv_cache_gib; or lower max_sequence"
    ):
        open_vllm(folders, vllm_python, kv_cache_gib=0.001)


def test_vllm_dies_with_the_process_that_started_it(vllm_python: Path, tmp_path: Path) -> None:
    write_random(LLAMA, tmp_path)
    command = [sys.executable, __file__, str(vllm_python), str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").is_dir()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while Path(f"/proc/{child}").is_dir() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{child}").is_dir()


if __name__ == "__main__":
    python, base = map(Path, sys.argv[1:])
    opened = open_vllm((base / "model", base / "tokenizer"), python)
    print(opened._process._process.pid, flush=True)
    time.sleep(600)
