"""How fast a model is asked: our engine vllm, vLLM's own offline use and our engine hf, on the same prompts.

Each round starts every contestant in a process of its own, one after the other, and asks it `--repeats` sets of
prompts, each with another beginning, so that no cache of prefixes holds them; the first set of a process only warms it
up. Timed is the way from prompts as text to responses as text; the start of a process, with its model, is told beside
it. vLLM's own use is a program of its environment that knows nothing of ours: `LLM.generate` on text with its defaults,
given the same model, dtype, KV cache and compilation.

    make vllm
    python performance/generation.py [--prompts 256] [--new-tokens 64] [--rounds 3] [--repeats 5] [--threads 2]
    python performance/generation.py --model MODEL --tokenizer TOKENIZER --dtype bfloat16 --compile --gpus 1

Without folders a random Llama of `--hidden` numbers and `--layers` layers is made on the spot. Prints one JSON line:
tokens generated per second (median over all timed sets), seconds to start (median), and our rate over vLLM's.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixlab.config.engines import HfEngineSettings, VllmEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.config.models import ModelSettings
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.config.vllm import VllmSettings
from mixlab.generation.engine import Engine, Request

CONTESTANTS = ("ours", "vllm", "hf")
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "answers",
    "every",
    "question",
    "asked",
    "here",
)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=".venv-vllm/bin/python", help="the Python that has vLLM")
    parser.add_argument("--model", type=Path, help="model folder; absent: a random one")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer folder of the model")
    parser.add_argument("--hidden", type=int, default=256, help="width of the random model (default 256)")
    parser.add_argument("--layers", type=int, default=4, help="layers of the random model (default 4)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--prompts", type=int, default=256, help="prompts in a set (default 256)")
    parser.add_argument("--words", type=int, default=40, help="words of a prompt (default 40)")
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens of a response (default 64)")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each contestant (default 3)")
    parser.add_argument("--repeats", type=int, default=5, help="timed sets after each start (default 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads (default: all)")
    parser.add_argument("--batch", type=int, default=256, help="prompts in a batch of hf (default 256)")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that share the model (default 0: the CPU)")
    parser.add_argument("--kv-cache-gib", type=float, default=1.0, help="vLLM's KV cache (default 1)")
    parser.add_argument("--compile", action="store_true", help="torch.compile and CUDA graphs, for both uses of vLLM")
    parser.add_argument("--contestants", nargs="+", default=CONTESTANTS, choices=CONTESTANTS)
    parser.add_argument("--only", choices=("ours", "hf"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def build_sets(options: argparse.Namespace) -> list[list[str]]:
    """Draw the prompts of all sets; no two begin alike, so that prefixes are not what is measured."""
    drawn = random.Random(0)
    return [
        [
            f"{number} {drawn.random()} " + " ".join(drawn.choices(WORDS, k=options.words))
            for number in range(options.prompts)
        ]
        for _ in range(options.repeats + 1)
    ]


def make_model(options: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Write a random model as training writes it, and a tokenizer."""
    from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer
    from mixlab.training.models.weights import NewModel, open_model, write_model

    model, tokenizer = folder / "model", folder / "tokenizer"
    model.mkdir()
    tokenizer.mkdir()
    train_tokenizer(TokenizerSettings(vocab_size=2000), [[{"text": " ".join(WORDS) * 50}]], tokenizer)
    size = load_tokenizer(tokenizer).get_vocab_size()
    settings = ModelSettings(
        hidden_size=options.hidden,
        layers=options.layers,
        heads=options.hidden // 32,
        feed_forward=4 * options.hidden,
        max_positions=2048,
    )
    write_model(open_model(NewModel(settings, vocab_size=size), seed=0), model)
    return model, tokenizer


def time_sets(engine: Engine, sets: list[list[str]], new_tokens: int) -> list[tuple[int, float]]:
    """Ask every set; return tokens and seconds of each."""
    sampling = SamplingSettings(max_new_tokens=new_tokens)
    measured = []
    for prompts in sets:
        begin = time.perf_counter()
        requests = [Request(prompt, 0) for prompt in prompts]
        finished = [one for some in engine.generate(requests, sampling, chat=True) for one in some]
        measured.append((sum(one.response_tokens or 0 for _, one in finished), time.perf_counter() - begin))
    return measured


def run_here(options: argparse.Namespace) -> None:
    """Start one of our engines in this process and print what it took."""
    begin = time.perf_counter()
    engine: Engine
    if options.only == "ours":
        from mixlab.generation.vllm.engine import open_engine

        machine = VllmSettings(python=options.python, kv_cache_gib=options.kv_cache_gib, compile=options.compile)
        settings = VllmEngineSettings(dtype=options.dtype)
        engine = open_engine(
            options.model, options.tokenizer, settings, machine, threads=options.threads, gpus=options.gpus
        )
    else:
        from mixlab.generation.hf import open_engine as open_hf

        device = "cuda" if options.gpus else "cpu"
        hf = HfEngineSettings(dtype=options.dtype)
        engine = open_hf(
            options.model, options.tokenizer, hf, threads=options.threads, batch=options.batch, device=device
        )
    start = time.perf_counter() - begin
    print(json.dumps({"start": start, "sets": time_sets(engine, build_sets(options), options.new_tokens)}))


OFFLINE = Path(__file__).with_name("generation_offline.py")


def run_contestant(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Start one contestant in a process of its own; return what it printed."""
    asked = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    if name == "vllm":
        command = [options.python, "-I", str(OFFLINE)]
        given = json.dumps({**asked, "sets": build_sets(options)})
    else:
        words = [[f"--{key.replace('_', '-')}", str(value)] for key, value in asked.items() if _is_passed(key, value)]
        flags = ["--compile"] * options.compile
        command = [sys.executable, __file__, "--only", name, *flags, *(word for pair in words for word in pair)]
        given = ""
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    environment = {**os.environ, **quiet, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _is_passed(key: str, value: object) -> bool:
    return key not in ("compile", "contestants", "only") and value is not None


def main() -> None:
    """Run the rounds and print the medians."""
    options = parse_arguments()
    if options.only:
        run_here(options)
        return
    with tempfile.TemporaryDirectory() as made:
        if options.model is None:
            options.model, options.tokenizer = make_model(options, Path(made))
        rates: dict[str, list[float]] = {name: [] for name in options.contestants}
        starts: dict[str, list[float]] = {name: [] for name in options.contestants}
        for number in range(options.rounds):
            for name in options.contestants:
                answer = run_contestant(name, options)
                starts[name].append(answer["start"])
                rates[name] += [tokens / seconds for tokens, seconds in answer["sets"][1:]]
                print(f"round {number + 1}: {name} {statistics.median(rates[name]):.0f} tokens/s", file=sys.stderr)
    told: dict[str, Any] = {
        "tokens_per_second": {name: round(statistics.median(one)) for name, one in rates.items()},
        "range": {name: [round(min(one)), round(max(one))] for name, one in rates.items()},
        "start_seconds": {name: round(statistics.median(one), 1) for name, one in starts.items()},
    }
    if {"ours", "vllm"} <= rates.keys():
        told["ours_over_vllm"] = round(statistics.median(rates["ours"]) / statistics.median(rates["vllm"]), 3)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
