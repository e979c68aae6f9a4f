"""Tokenizing in several processes: blocks go out, tokens come back in the order of the blocks.

Processes of our own on pipes, not `multiprocessing`: a worker imports nothing but what it needs (70 MB), is told from
a dead one at once, and ends by itself when its parent is gone, however that died.
"""

import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mixlab.artifacts.code import note_file
from mixlab.config.chat import ChatTemplate
from mixlab.config.problems import DataError
from mixlab.data.tokens.encoding import Block, Numbered

_READ_AHEAD = 2
"""Blocks that are read while every worker has one; bounds the memory."""


class _Worker:
    """One process."""

    def __init__(self, setting: tuple[Any, ...]) -> None:
        note_file(Path(__file__).with_name("worker.py"))
        command = [sys.executable, "-m", "mixlab.data.tokens.worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._setting: tuple[Any, ...] | None = setting

    def encode(self, block: Numbered) -> Block:
        """Have a block encoded; raises DataError with the worker's problems, or because it died."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if self._setting is not None:
                pickle.dump(self._setting, process.stdin, pickle.HIGHEST_PROTOCOL)
                self._setting = None
            pickle.dump(block, process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(self._say_end()) from error
        if isinstance(answer, Block):
            return answer
        raise DataError(answer)

    def _say_end(self) -> str:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        what = f"ended with exit code {code}; what it said stands above"
        if code < 0:
            what = f"was killed ({signal.Signals(-code).name}); if memory was short, give the job more or fewer threads"
        return f"a tokenizing process {what}. Nothing was published: run again"

    def close(self) -> None:
        """Let it end, by force if it does not."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:
                pass  # what it was sent last is of no use any more


def encode_parallel(
    blocks: Iterable[Numbered], chat: ChatTemplate | None, tokenizer_folder: Path, backend: str, workers: int
) -> Iterator[Block]:
    """Yield the encoded blocks in order, made by `workers` processes with a bounded read-ahead.

    Raises DataError for the first block with a problem, and for a worker that died.
    """
    setting = (chat, str(tokenizer_folder), backend)
    pool = [_Worker(setting) for _ in range(workers)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in pool:
        idle.put(worker)

    def encode(block: Numbered) -> Block:
        worker = idle.get()
        try:
            return worker.encode(block)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(workers, thread_name_prefix="tokenize")
    pending: deque[Future[Block]] = deque()
    try:
        for block in blocks:
            pending.append(threads.submit(encode, block))
            if len(pending) >= workers + _READ_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for worker in pool:
            worker.close()
        threads.shutdown(cancel_futures=True)
