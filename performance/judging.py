"""How fast a model judge is asked, and that nothing is asked twice, over the budget, or lost.

    python performance/judging.py [--items 10000] [--kills 10] [--rounds 3]

Against `judge_server.py`, with 64 requests under way and replies after 50 ms: 1,280 a second would be ideal. Beside it
a bare loop over aiohttp, in turn with ours, that sends requests like ours and keeps nothing; medians of the rounds.
"""

import argparse
import asyncio
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from mixlab.config.endpoints import EndpointSettings
from mixlab.config.judge_budget import JudgeBudget
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.problems import UserError
from mixlab.data.writing import list_lines
from mixlab.evaluation.judges.asking import Asker
from mixlab.evaluation.judges.model_judge import write_model_verdicts
from mixlab.evaluation.judges.store import Account, VerdictStore
from mixlab.generation.openai import ChatClient
from mixlab.generation.responses import Response, write_response_files

HERE = Path(__file__).parent
IN_FLIGHT, LATENCY_SECONDS = 64, 0.05
SETTINGS = ModelJudgeConfig(engine="openai", model="tiny", endpoint="local", max_tokens=64).to_settings("en")


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str

    def stats(self) -> tuple[Counter[str], Counter[str]]:
        """How often each question was asked, and each fault met."""
        with urllib.request.urlopen(self.url + "/stats") as reply:
            found = json.load(reply)
        return Counter(found["asked"]), Counter(found["faults"])

    def calls(self) -> int:
        """Requests so far."""
        return self.stats()[0].total()


@contextmanager
def serve(**options: float) -> Iterator[Server]:
    """Run a server while the context lasts."""
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    process = subprocess.Popen([sys.executable, HERE / "judge_server.py", *given], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        try:
            yield Server(f"http://127.0.0.1:{process.stdout.readline().strip()}/v1")
        finally:
            process.kill()
            process.wait()


def write_answers(folder: Path, items: int) -> None:
    """Write responses, one turn for each item."""
    folder.mkdir()
    write_response_files([Response(str(n), ["q"], responses=[f"answer {n}"]) for n in range(items)], folder)


def judge(
    url: str,
    folder: Path,
    items: int,
    name: str,
    *,
    max_calls: int | None = None,
    timeout_seconds: float = 5.0,
    in_flight: int = IN_FLIGHT,
) -> None:
    """Judge the answers in `folder` into `folder/name`."""
    endpoint = EndpointSettings(url=url, concurrency=in_flight, timeout_seconds=timeout_seconds, max_retries=6)
    client = ChatClient("local", endpoint, None, backoff_seconds=0.05)
    out = folder / name
    out.mkdir()
    rows = ({"id": str(n), "turns": [f"dialogue {n}"]} for n in range(items))
    with ExitStack() as stack:
        store = stack.enter_context(VerdictStore(folder / "judge.sqlite"))
        account = Account("study", "tiny", JudgeBudget(max_calls=max_calls))
        write_model_verdicts(
            SETTINGS,
            rows,
            folder / "answers",
            1,
            out,
            store=store,
            open_asker=lambda: stack.enter_context(Asker(client, store, account, None)),
            work=folder / "work",
        )


def measure_rate(folder: Path, items: int) -> tuple[float, int]:
    """Share of the ideal rate, start and end included, and the calls of a second run."""
    write_answers(folder / "answers", items)
    with serve(latency=LATENCY_SECONDS) as server:
        began = time.perf_counter()
        judge(server.url, folder, items, "first")
        seconds = time.perf_counter() - began
        calls = server.calls()
        judge(server.url, folder, items, "second")
        return items * LATENCY_SECONDS / IN_FLIGHT / seconds, server.calls() - calls


def measure_bare(items: int) -> float:
    """Share of the ideal rate that a bare loop reaches: the same server, requests as long as ours, nothing kept."""
    content = "x" * sum(len(text) for text in (SETTINGS.prompts.system, SETTINGS.prompts.first))
    with serve(latency=LATENCY_SECONDS) as server:
        began = time.perf_counter()
        asyncio.run(_ask_bare(server.url, content, items))
        return items * LATENCY_SECONDS / IN_FLIGHT / (time.perf_counter() - began)


async def _ask_bare(url: str, content: str, items: int) -> None:
    numbers = iter(range(items))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            message = {"role": "user", "content": f"{content} {number}"}
            async with session.post(f"{url}/chat/completions", json={"model": "tiny", "messages": [message]}) as reply:
                await reply.json()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        await asyncio.gather(*(work(session) for _ in range(IN_FLIGHT)))


def measure_kills(folder: Path, items: int, kills: int, seed: int = 1) -> tuple[int, int]:
    """Kill a run at random points, then let it end: all calls, and the most that may be."""
    write_answers(folder / "answers", items)
    chance = random.Random(seed)
    with serve(latency=LATENCY_SECONDS) as server:
        for number in range(kills):
            wanted = server.calls() + chance.randrange(1, max(2, items // (kills + 2)))
            job = _start_job(server.url, folder, items, f"killed-{number}")
            while server.calls() < wanted and job.poll() is None:
                time.sleep(0.005)
            job.kill()
            job.wait()
        if _start_job(server.url, folder, items, "whole").wait():
            raise RuntimeError("the last run failed")
        return server.calls(), items + IN_FLIGHT * kills


def _start_job(url: str, folder: Path, items: int, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, __file__, "--job", url, folder, name, "--items", str(items)])


def measure_budget(folder: Path, items: int, cap: int) -> tuple[int, int]:
    """Judge with a cap of calls: calls made, and verdicts listed as undone."""
    write_answers(folder / "answers", items)
    with serve(latency=LATENCY_SECONDS) as server:
        try:
            judge(server.url, folder, items, "capped", max_calls=cap)
        except UserError as error:
            logging.info("%s", error)
        return server.calls(), len((folder / "work/undone.jsonl").read_text("utf-8").splitlines())


def measure_faults(folder: Path, items: int, share: float) -> tuple[Counter[str], Counter[str]]:
    """Judge against a faulty server: what became of the verdicts, and the faults that were met."""
    write_answers(folder / "answers", items)
    with serve(latency=LATENCY_SECONDS, faults=share) as server:
        judge(server.url, folder, items, "faulty", timeout_seconds=1.0)
        verdicts = [json.loads(line) for line in list_lines(folder / "faulty/verdicts.jsonl")]
        right = Counter("right" if one["score"] == 1 + int(str(one["item"])) % 10 else "other" for one in verdicts)
        right["unparsed"] = sum(not one["parsed"] for one in verdicts)
        return right, server.stats()[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="how often the rate is measured (default 3)")
    parser.add_argument("--job", nargs=3, metavar=("URL", "FOLDER", "NAME"))
    options = parser.parse_args()
    if options.job:
        judge(options.job[0], Path(options.job[1]), options.items, options.job[2])
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rates = [f"rate-{number}" for number in range(options.rounds)]
        for name in (*rates, "kills", "budget", "faults"):
            (folder / name).mkdir()
        measured = [(*measure_rate(folder / name, options.items), measure_bare(options.items)) for name in rates]
        share, bare = (statistics.median(one[place] for one in measured) for place in (0, 2))
        to_bare = statistics.median(one[0] / one[2] for one in measured)
        again = sum(one[1] for one in measured)
        print(f"{options.items} items: {share:.1%} of the ideal rate (>= 85 %); second runs: {again} calls (0)")
        print(f"a bare loop over aiohttp: {bare:.1%} of the ideal rate; ours over it {to_bare:.2f}")
        calls, most = measure_kills(folder / "kills", options.items, options.kills)
        print(f"killed {options.kills} times: {calls} calls for {options.items} items (<= {most})")
        calls, undone = measure_budget(folder / "budget", 1_000, 100)
        print(f"a cap of 100 calls: {calls} made, {undone} of 1000 listed as undone")
        became, met = measure_faults(folder / "faults", options.items, 0.02)
        faults = sum(count for name, count in met.items() if name)
        print(f"{faults} faults of {len(met) - 1} kinds: {dict(became)} of {options.items} verdicts")


if __name__ == "__main__":
    main()
