"""The child process of the engine vllm: what is told when it cannot start, cannot do, or dies. No vLLM is needed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mixlab.config.engines import VllmEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.config.vllm import VllmSettings
from mixlab.generation.encoding import PromptEncoder
from mixlab.generation.engine import Request
from mixlab.generation.vllm import worker
from mixlab.generation.vllm.engine import VllmEngine, build_arguments, open_engine
from mixlab.generation.vllm.process import WorkerProcess

HELLO = {"said": {"version": "0.1", "device": "cpu", "gpus": 0, "name": "cpu"}}
Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make a program that stands for an interpreter: it says what it is given, a line for each line it reads."""

    def make(*answers: object, end: str = "sys.stdin.read()") -> Path:
        lines = [json.dumps(one) for one in answers]
        text = f"#!{sys.executable}\nimport os, sys, time\nfor number, line in enumerate({lines!r}):\n"
        text += "    if number: sys.stdin.readline()\n    print(line, flush=True)\n"
        path = tmp_path / "interpreter"
        path.write_text(text + end + "\n")
        path.chmod(0o755)
        return path

    return make


def is_running(process: WorkerProcess) -> bool:
    return process._process.poll() is None


def test_an_interpreter_that_is_not_there_is_told_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"machine\.vllm\.python: .*absent cannot be run \(No such file.*`make vllm`"):
        WorkerProcess(tmp_path / "absent", 1)


def test_an_interpreter_without_vllm_is_told() -> None:
    with pytest.raises(DataError, match=r"cannot import it: ModuleNotFoundError: No module named 'vllm'"):
        WorkerProcess(Path(sys.executable), 1)


def test_a_child_that_is_killed_leaves_its_last_words_and_the_setting_that_may_help(script: Script) -> None:
    end = "print('first', 'last words', sep='\\n', file=sys.stderr, flush=True)\nos.kill(os.getpid(), 9)"
    process = WorkerProcess(script(HELLO, end="sys.stdin.readline()\n" + end), 1)
    with pytest.raises(DataError) as told:
        process.open("models/a", {"model": "folder"})
    assert "models/a cannot be opened: its process was ended by SIGKILL" in str(told.value)
    assert "raise stages.generate.memory_mib" in str(told.value)
    assert str(told.value).endswith("the last it said:\n  | first\n  | last words")


def test_a_child_that_leaves_during_generation_is_told(script: Script) -> None:
    process = WorkerProcess(script(HELLO, {"finished": [[0, [5], "stop"]]}, end="sys.exit(3)"), 1)
    finished = process.generate([[1], [2]], {}, [{}, {}])
    assert next(finished) == [[0, [5], "stop"]]
    with pytest.raises(DataError, match="generation failed: its process left with exit code 3"):
        next(finished)


def test_too_little_memory_is_told_with_the_settings_that_help(script: Script) -> None:
    failed = worker.fail(ValueError("Try increasing `gpu_memory_utilization` when initializing the engine"))
    process = WorkerProcess(script(HELLO, failed), 1)
    with pytest.raises(DataError, match=r"on a GPU raise memory_share .* on a CPU kv_cache_gib; .* of machine\.vllm"):
        process.open("models/a", {})
    assert not is_running(process)


def test_a_model_that_vllm_does_not_know_is_told_in_its_words(script: Script) -> None:
    failed = worker.fail(ValueError("Model architectures ['Other'] are not supported for now"))
    with pytest.raises(DataError, match=r"'Other'\] are not supported for now; .* can be asked with engine hf"):
        WorkerProcess(script(HELLO, failed), 1).open("models/a", {})


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"), True),
        (ValueError("unsupported KV cache dtype"), False),
    ],
)
def test_want_of_memory_is_told_from_other_failures(error: Exception, is_memory: bool) -> None:
    assert worker.fail(error)["is_memory"] is is_memory


def test_what_a_caller_does_not_take_is_passed_over_by_the_next(script: Script) -> None:
    lines = [{"finished": [[0, [5], "stop"]]}, {"said": {}}, {"finished": [[0, [7], "stop"]]}, {"said": {}}]
    answers = "\n".join(json.dumps(one) for one in lines[:2]), "\n".join(json.dumps(one) for one in lines[2:])
    end = "".join(f"sys.stdin.readline()\nprint({answer!r}, flush=True)\n" for answer in answers)
    process = WorkerProcess(script(HELLO, end=end), 1)
    assert next(process.generate([[1]], {}, [{}])) == [[0, [5], "stop"]]
    assert list(process.generate([[2]], {}, [{}])) == [[[0, [7], "stop"]]]


def test_a_child_that_is_forgotten_is_ended(script: Script) -> None:
    process = WorkerProcess(script(HELLO), 1)
    child = process._process
    assert child.poll() is None
    del process
    assert child.poll() is not None


def test_more_gpus_than_vllm_sees_are_told(script: Script, model_folders: tuple[Path, Path]) -> None:
    machine = VllmSettings(python=str(script(HELLO)))
    with pytest.raises(DataError, match=r"ask for 2 GPUs, but vllm 0\.1 sees 0 \(it runs on cpu\)"):
        open_engine(*model_folders, VllmEngineSettings(), machine, threads=1, gpus=2)


def test_a_model_is_opened_from_safetensors_alone_and_without_its_code() -> None:
    machine = VllmSettings(max_sequence_tokens=512, compile=False)
    arguments = build_arguments(VllmEngineSettings(dtype="bfloat16"), machine, 2, 4096, "cpu")
    assert (arguments["load_format"], arguments["trust_remote_code"]) == ("safetensors", False)
    assert (arguments["dtype"], arguments["max_model_len"], arguments["tensor_parallel_size"]) == ("bfloat16", 512, 2)
    assert (arguments["kv_cache_memory_bytes"], arguments["enforce_eager"]) == (4 * 2**30, True)
    assert "kv_cache_memory_bytes" not in build_arguments(VllmEngineSettings(), VllmSettings(), 1, 4096, "cuda")


def test_the_end_of_its_input_ends_a_child(script: Script) -> None:
    process = WorkerProcess(script(HELLO), 1)
    process.close()
    assert not is_running(process)


def test_a_response_that_was_broken_off_is_no_answer(model_folders: tuple[Path, Path]) -> None:
    rows: list[tuple[int, list[int], str]] = []
    process = SimpleNamespace(
        version="0.1", device="cpu", device_name="cpu", generate=lambda *given: iter([[row] for row in rows])
    )
    engine = VllmEngine(process, PromptEncoder(model_folders[1], 96), None)  # type: ignore[arg-type]
    rows += [(0, [5], "length"), (1, [5], "abort")]
    found = engine.generate([Request("a", 1), Request("b", 2)], SamplingSettings(max_new_tokens=1), chat=False)
    assert next(found)[0][1].finish_reason == "length"
    with pytest.raises(DataError, match=r"broken off.*finish reason 'abort'"):
        next(found)


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (HELLO["said"], {"device": "cpu", "gpus": "0"}),
        (
            {"version": "0.1", "device": "cuda", "gpus": 8, "name": "NVIDIA H100 80GB HBM3"},
            {"device": "NVIDIA H100 80GB HBM3", "gpus": "4"},
        ),
    ],
    ids=["cpu", "gpus"],
)
def test_an_engine_says_on_which_gpus_it_computes(script: Script, hello: dict[str, Any], told: dict[str, str]) -> None:
    process = WorkerProcess(script({"said": hello}), 1)
    engine = VllmEngine(process, cast(Any, SimpleNamespace(special_tokens=())), None, 4)
    engine.close()
    assert engine.facts == {"engine": "vllm 0.1", **told}
