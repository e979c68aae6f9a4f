"""Peak memory of each rank under ZeRO 3: while the model is made, in a step, and while state and snapshot are written.

    python performance/ranks_memory.py --quick
    python performance/ranks_memory.py --dtype bfloat16 --start folder

Memory is a process's own (RssAnon, looked up every 5 ms), less that of the same run of a tiny model: what libraries
take. It is told in MB and in models: 1.0 is the float32 weights of the whole model. A rank's share is what it must
hold of weights, Adam's two means and gradients. The limit is the share, a piece of a model that DeepSpeed keeps zeros
in, and some of the largest weight: 2 while the model is made, 8 while it is written (two are in hand then; the rest is
what a step leaves behind, which is as much for any number of ranks). The step has no limit: it holds what DeepSpeed's
buckets let it hold, and activations.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MB = 1_000_000
STEPS = 2
TINY = {"hidden_size": 16, "layers": 1, "heads": 2, "feed_forward": 32, "max_positions": 64}
SMALL = {"hidden_size": 512, "layers": 8, "heads": 8, "feed_forward": 1536, "max_positions": 64}
LARGE = {"hidden_size": 768, "layers": 10, "heads": 12, "feed_forward": 2304, "max_positions": 64}
VOCABULARY = {"tiny": 64, "small": 16_000, "large": 16_000}
MODELS: dict[str, dict[str, Any]] = {"tiny": TINY, "small": SMALL, "large": LARGE}
BYTES_A_WEIGHT = {"float32": 16, "bfloat16": 18}
"""Weights that are computed with, masters where they are others, two means, gradients in float32."""
# DeepSpeed's own sizes are meant for GPUs: one bucket of 5e8 numbers would hold the whole of these models.
BUCKETS = {
    "reduce_bucket_size": 100_000,
    "stage3_prefetch_bucket_size": 0,
    "stage3_max_live_parameters": 0,
    "stage3_max_reuse_distance": 0,
    "stage3_param_persistence_threshold": 0,
}
LARGEST = {"start": 2, "step": None, "state": 8, "snapshot": 8}
"""Phases, and how many of the largest weight a rank may hold beside its pieces."""


class Own(threading.Thread):
    """Looks up now and then how much memory of this process is of no file, and keeps the peak of each phase."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.phase, self.peaks = "start", defaultdict[str, int](int)
        self.done = threading.Event()

    def run(self) -> None:
        """Look it up until `done` is set."""
        while not self.done.wait(0.005):
            self.look()

    def look(self) -> None:
        """Look it up once."""
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        found = int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024
        self.peaks[self.phase] = max(self.peaks[self.phase], found)


@dataclass(frozen=True)
class Noise:
    """Windows of random tokens; the first that is read ends the phase before."""

    own: Own
    vocabulary: int
    sequence_tokens: int = 32

    def __len__(self) -> int:
        return 4 * STEPS

    def window(self, index: int) -> Any:
        """One document, all of it learnt."""
        import numpy as np

        self.own.phase = "step"
        tokens = np.random.default_rng(index).integers(0, self.vocabulary, self.sequence_tokens).astype(np.uint16)
        return Window(tokens, [self.sequence_tokens], np.ones(self.sequence_tokens, bool))


@dataclass(frozen=True)
class Window:
    """A window as training reads it."""

    tokens_T: Any
    segment_lengths: list[int]
    response_mask_T: Any


def describe(model: str) -> Any:
    """The model to begin."""
    from mixlab.config.models import ModelSettings
    from mixlab.training.models.weights import NewModel

    return NewModel(ModelSettings.model_validate(MODELS[model]), vocab_size=VOCABULARY[model])


def give_back() -> None:
    """Let the system have what a step freed, which is kept for the next one: else only the largest phase would show."""
    glibc = ctypes.CDLL(None)
    glibc.mallopt(-3, 2**20)  # M_MMAP_THRESHOLD of malloc.h
    glibc.malloc_trim(0)


def run_rank(folder: Path, model: str, start: str, dtype: str) -> None:
    """Train two steps as one of the ranks and write down the peaks."""
    from mixlab.config.launching import LaunchSettings
    from mixlab.config.training import TrainSettings
    from mixlab.training.engines.engine import Place
    from mixlab.training.run import train

    place = Place(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    warnings.filterwarnings("ignore", category=FutureWarning)
    own = Own()
    own.start()

    def mark(report: Any) -> None:
        give_back()
        own.phase = "state" if report.step < STEPS else "snapshot"

    settings = {
        "optimizer": {"name": "adamw", "learning_rate": 0.001},
        "schedule": {"name": "constant"},
        "global_batch_windows": 4,
        "passes": 1,
        "dtype": dtype,
        "snapshots": {"every_steps": 1, "keep": 1},
    }
    launch = {"device": "cpu", "processes_per_node": place.ranks, "parallelism": "zero3"}
    train(
        TrainSettings.model_validate(settings),
        Noise(own, VOCABULARY[model]),
        folder / "out",
        seed=7,
        start=describe(model) if start == "scratch" else folder.parent / f"model-{model}",
        resume=folder / "resume",
        micro_batch=1,
        threads=1,
        save_every_steps=1,
        launch=LaunchSettings.model_validate(launch),
        place=place,
        overlay={"zero_optimization": BUCKETS},
        watchers=[mark],
    )
    own.done.set()
    own.join()
    (folder / f"peaks-{place.rank}.json").write_text(json.dumps(own.peaks))


def run_ranks(folder: Path, ranks: int, model: str, start: str, dtype: str) -> list[dict[str, int]]:
    """Let `ranks` processes train, and return the peaks of each."""
    from mixlab.training.launching.processes import Children, build_environments, find_port

    folder.mkdir()
    command = [sys.executable, __file__, "--rank-of", str(folder), "--model", model]
    # what a CPU of a virtual machine says of bfloat16 is not always so
    base = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}
    environments = build_environments(base, 0, ranks, ranks, 1, "127.0.0.1", find_port())
    codes = Children(60).run([*command, "--start", start, "--dtype", dtype], environments)
    if any(codes):
        raise SystemExit(f"ranks ended with {codes}")
    return [json.loads((folder / f"peaks-{rank}.json").read_text()) for rank in range(ranks)]


def write_start(folder: Path, model: str) -> None:
    """Write a model to begin from, in a process of its own."""
    subprocess.run([sys.executable, __file__, "--write", str(folder), "--model", model], check=True)


def count_bytes(model: str) -> tuple[int, int]:
    """Float32 bytes of a model, and of its largest weight."""
    import torch

    from mixlab.training.models.llama import Llama
    from mixlab.training.models.shape import build_shape

    new = describe(model)
    with torch.device("meta"):
        weights = Llama(build_shape(new.settings, new.vocab_size, 0, 1)).named_weights()
    sizes = [weight.numel() * 4 for weight in weights.values()]
    return sum(sizes), max(sizes)


def measure(folder: Path, ranks: int, model: str, start: str, dtype: str) -> bool:
    """Print the peaks of one run; returns whether all were within the limit."""
    whole, largest = count_bytes(model)
    found = run_ranks(folder / f"{model}-{ranks}-{start}", ranks, model, start, dtype)
    tiny = run_ranks(folder / f"tiny-{ranks}-{start}", ranks, "tiny", start, dtype)
    share = whole // 4 * BYTES_A_WEIGHT[dtype] / ranks
    print(f"{ranks} ranks, {start}: share {share / MB:.0f} MB ({share / whole:.2f} models)")
    is_kept = True
    for name, number in LARGEST.items():
        peaks = [ours[name] - theirs[name] for ours, theirs in zip(found, tiny, strict=True)]
        limit = None if number is None else share + whole / ranks + number * largest
        is_above = limit is not None and max(peaks) > limit
        is_kept &= not is_above
        told = "".join(f"{peak / MB:8.0f}" for peak in peaks)
        limited = "" if limit is None else f", limit {limit / MB:.0f}{'  ABOVE' if is_above else ''}"
        print(f"  {name:10}{max(peaks) / whole:6.2f} models; each rank, MB:{told}{limited}", flush=True)
    return is_kept


def main() -> None:
    """Measure from scratch and from a folder, with 2 and 4 ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a model of 35 M weights instead of 101 M")
    parser.add_argument("--dtype", choices=sorted(BYTES_A_WEIGHT), default="float32", help="default float32")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4], help="how many processes (default 2 and 4)")
    parser.add_argument("--start", choices=["scratch", "folder"], nargs="+", default=["scratch", "folder"])
    parser.add_argument("--rank-of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rank_of:
        run_rank(asked.rank_of, asked.model, asked.start[0], asked.dtype)
        return
    if asked.write:
        from mixlab.training.models.weights import build_model, write_model

        asked.write.mkdir()
        write_model(build_model(describe(asked.model), 1), asked.write)
        return
    model = "small" if asked.quick else "large"
    whole, largest = count_bytes(model)
    print(f"a model of {whole / 4 / MB:.0f} M weights, {whole / MB:.0f} MB in float32, {largest / MB:.0f} the largest")
    is_kept = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "folder" in asked.start:
            for one in (model, "tiny"):
                write_start(folder / f"model-{one}", one)
        for start in asked.start:
            for ranks in asked.ranks:
                is_kept &= measure(folder, ranks, model, start, asked.dtype)
    raise SystemExit(0 if is_kept else 1)


if __name__ == "__main__":
    main()
