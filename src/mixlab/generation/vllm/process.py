"""The child process of the engine `vllm`, from this side: started, asked, listened to, ended."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from mixlab.config.problems import DataError
from mixlab.generation.vllm import worker

log = logging.getLogger(__name__)

_LAST_LINES = 15
_END_SECONDS = 20.0
_SETTINGS = "machine.vllm"
_MEMORY_CURE = (
    "on a GPU raise memory_share or tensor_parallel, on a CPU kv_cache_gib; or lower max_sequence_tokens, "
    "max_sequences or max_batched_tokens of "
)

_ALWAYS = {
    # nothing is fetched and nothing is reported
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # one process, so that it dies with ours, and the order in which requests are batched is the same in every run
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # the job's share of the cores is the scheduler's affair
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


class WorkerProcess:
    """A running `worker.py`; `close` ends it, as does the end of this process, however that comes.

    Raises DataError, which begins with `vllm`, for an interpreter that is not there or has no vLLM, for whatever vLLM
    says it cannot do, and when the child dies: then with its last lines.
    """

    def __init__(self, python: Path, threads: int) -> None:
        command = [str(python), "-I", worker.__file__, str(os.getpid())]
        environment = {**os.environ, **_ALWAYS, "OMP_NUM_THREADS": str(threads)}
        environment.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise DataError(
                f"vllm: {_SETTINGS}.python: {python} cannot be run ({error.strerror}): install it with `make vllm`, "
                "or name the Python of an environment that has vllm"
            ) from None
        assert self._process.stdin is not None and self._process.stdout is not None and self._process.stderr is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._owes = False
        self._said = _Said(self._process.stderr)
        self.close = weakref.finalize(self, _end, self._process, self._said)
        hello = self._listen(f"{python} cannot import it", "install it there, or name another Python in ")["said"]
        self.version, self.device, self.gpus = str(hello["version"]), str(hello["device"]), int(hello["gpus"])
        self.device_name = str(hello["name"])

    def open(self, what: str, arguments: Mapping[str, Any]) -> None:
        """Load a model; `arguments` are those of `vllm.LLM`, `what` names the model in a message."""
        self._send({"open": arguments})
        self._listen(f"{what} cannot be opened", "a model that vLLM does not know can be asked with engine hf; see ")

    def generate(
        self, prompts: list[list[int]], sampling: Mapping[str, Any], own: Sequence[Mapping[str, Any]]
    ) -> Iterator[list[worker.Finished]]:
        """Continue prompts of token ids; see `worker.Model.generate`."""
        self._settle()
        self._send({"generate": {"prompts": prompts, "sampling": sampling, "own": own}})
        self._owes = True
        while "finished" in (answer := self._listen("generation failed", "see ")):
            yield answer["finished"]
        self._owes = False

    def _settle(self) -> None:
        """Pass over what a caller of `generate` did not take."""
        while self._owes:
            self._owes = "finished" in self._listen("generation failed", "see ")

    def _send(self, request: Mapping[str, Any]) -> None:
        # a child that is gone is noticed, with its last words, when its answer is awaited
        with suppress(BrokenPipeError):
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()

    def _listen(self, trouble: str, cure: str) -> dict[str, Any]:
        line = "" if self._replies.closed else self._replies.readline()
        if not line.endswith("\n"):
            self.close()
            raise DataError(f"vllm: {trouble}: {_describe_end(self._process.returncode)}{self._said.render()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" not in answer:
            return answer
        self.close()
        if answer["is_memory"]:
            cure = _MEMORY_CURE
        raise DataError(f"vllm: {trouble}: {answer['failed']}; {cure}{_SETTINGS}")


class _Said(threading.Thread):
    """Copies what the child prints to our log as it comes, and keeps the end of it."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self.start()

    def run(self) -> None:
        """Read until every process that holds the pipe has closed it."""
        with self._stream:
            for line in self._stream:
                if line.strip():
                    self._last.append(line.rstrip())
                with suppress(OSError):
                    sys.stderr.write(line)

    def render(self) -> str:
        """The last lines, each on a line of its own."""
        self.join(5)
        return "; the last it said:" + ("".join(f"\n  | {line}" for line in self._last) or "\n  | (nothing)")


def _end(process: "subprocess.Popen[str]", said: _Said) -> None:
    """Let the child go by ending its input; kill it when it does not."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    process.stdout.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    said.join(5)


def _describe_end(code: int) -> str:
    if code >= 0:
        return f"its process left with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    why = {
        "SIGKILL": " (often: out of memory; raise stages.generate.memory_mib or lower machine.vllm.kv_cache_gib)",
        "SIGILL": " (this processor lacks an instruction; on some virtual machines bfloat16 needs the environment "
        "variable ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16)",
    }
    return f"its process was ended by {name}{why.get(name, '')}"
