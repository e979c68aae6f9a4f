"""What the training loop costs beside forward, backward and optimizer, and how fast windows are read.

    python performance/training.py [--quick]

A model of 20 million weights takes the same steps in a bare loop (batches ready in memory) and in ours (windows read
from token stores, counts, log, reports), in turn; the figure is the median over the rounds of how much more CPU time
ours takes, at most 3 %. Beside it what our loop spends outside the engine's calls by its own clock, and transformers'
Trainer against a bare loop over transformers' own class on the same windows. The loader alone reads windows of 2,048
tokens into batches: at least 3 million tokens per CPU-second. One thread; everything in the page cache.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
import torch.nn.functional as F

from mixlab.config.mixtures import MixtureSettings
from mixlab.config.models import ModelSettings
from mixlab.config.tokenizers import PackSettings
from mixlab.config.training import TrainSettings
from mixlab.data.mixtures.mixing import build_mixture
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.data.packs.packing import write_pack
from mixlab.data.tokens.store import TokenStore
from mixlab.training.checkpoints.state import Trainee
from mixlab.training.engines.plain import PlainEngine
from mixlab.training.loading.batches import Stream, load_batch
from mixlab.training.loop import Loop
from mixlab.training.models.weights import NewModel, build_model
from mixlab.training.watching.log import TrainingLog

LIMIT, LEAST_TOKENS = 0.03, 3e6
VOCABULARY, BATCH, MICRO = 8_192, 4, 2
WHOLE = {"hidden_size": 384, "layers": 10, "heads": 6, "feed_forward": 1_024, "max_positions": 2_048}
SMALL = WHOLE | {"hidden_size": 192, "layers": 2, "heads": 3, "feed_forward": 512}
TRAINING = TrainSettings.model_validate(
    {
        "optimizer": {"name": "adamw", "learning_rate": 3e-4},
        "schedule": {"name": "constant"},
        "global_batch_windows": BATCH,
        "passes": 1_000,
    }
)


def build_windows(folder: Path, tokens: int, sequence_tokens: int, layout: str) -> MixtureWindows:
    """A mixture of random tokens in documents of about 600."""
    random, store = np.random.default_rng(0), folder / "store"
    for name in ("store", "pack", "mixture"):
        (folder / name).mkdir(parents=True)
    lengths = random.integers(200, 1_000, tokens // 600)
    random.integers(0, VOCABULARY, int(lengths.sum()), dtype=np.uint16).tofile(store / "tokens.bin")
    np.save(store / "document_offsets.npy", np.cumsum([0, *lengths]).astype("<i8"))
    np.save(store / "response_spans.npy", np.zeros((0, 2), "<i8"))
    counts = {"documents": len(lengths), "tokens": int(lengths.sum()), "response_tokens": 0, "excluded": 0}
    (store / "index.json").write_text(json.dumps({"dtype": "uint16", "vocab_size": VOCABULARY, **counts}))
    assert TokenStore(store).tokens_total == counts["tokens"]
    write_pack(PackSettings(sequence_tokens=sequence_tokens, layout=layout), store, "raw", folder / "pack")
    sources = [{"kind": "raw", "language": "en"}]
    mixture = MixtureSettings.model_validate({"sources": sources, "budget": {"epochs": 1}})
    build_mixture(mixture, [folder / "pack"], folder / "mixture")
    return MixtureWindows(folder / "mixture", [folder / "pack"], [store])


def clock(act: Callable[[], object]) -> float:
    """CPU-seconds of this process."""
    began = time.process_time()
    act()
    return time.process_time() - began


class Bare:
    """Forward, backward, clipping and optimizer on batches that are ready, and nothing else."""

    def __init__(self, windows: MixtureWindows, model: NewModel) -> None:
        self.engine = PlainEngine(build_model(model, 1), TRAINING, torch.device("cpu"))
        stream = Stream(len(windows), BATCH, TRAINING.passes, "shuffled", 1)
        self.batches = [load_batch(windows, stream.batch(step), MICRO, "all", VOCABULARY) for step in range(1, 17)]
        self.steps = 0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            batch = self.batches[self.steps % len(self.batches)]
            self.steps += 1
            for micro in batch.micro:
                model = self.engine.model
                logits = model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
                (F.cross_entropy(logits.float(), micro.targets_N, reduction="sum") / batch.targets).backward()
            self.engine.step(1.0)


class Ours:
    """Our loop, with a clock around what the engine does."""

    def __init__(self, windows: MixtureWindows, model: NewModel) -> None:
        self.inside, built = 0.0, build_model(model, 1)
        engine = PlainEngine(built, TRAINING, torch.device("cpu"))
        stream = Stream(len(windows), BATCH, TRAINING.passes, "shuffled", 1)
        self.loop = Loop(TRAINING, windows, stream, Trainee(built, engine, TrainingLog()), MICRO)
        for name in ("accumulate", "step"):
            setattr(engine, name, self._clocked(getattr(engine, name)))
        self.steps = 0

    def _clocked(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.process_time()
            done = act(*arguments)
            self.inside += time.process_time() - began
            return done

        return call

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.steps += 1
            self.loop.step(self.steps)


def measure_loop(windows: MixtureWindows, model: NewModel, steps: int, rounds: int) -> tuple[float, float, float]:
    """How much more CPU time our loop takes, what it spends outside the engine, and seconds of a bare step."""
    bare, ours = Bare(windows, model), Ours(windows, model)
    bare.run(2)
    ours.run(2)
    more, outside, seconds = [], [], []
    for turn in range(rounds):
        ours.inside, spent = 0.0, {}
        for name, one in (("bare", bare), ("ours", ours))[:: 1 if turn % 2 else -1]:
            spent[name] = clock(lambda one=one: one.run(steps))
        more.append(spent["ours"] / spent["bare"] - 1)
        outside.append(1 - ours.inside / spent["ours"])
        seconds.append(spent["bare"] / steps)
    return statistics.median(more), statistics.median(outside), statistics.median(seconds)


def measure_trainer(windows: MixtureWindows, model: NewModel, steps: int, rounds: int) -> tuple[float, float]:
    """transformers' Trainer against a bare loop over transformers' class: how much more, and seconds of a bare step."""
    import transformers

    size = model.settings
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=size.hidden_size, intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers, num_attention_heads=size.heads, max_position_embeddings=2_048,
        tie_word_embeddings=size.tie_embeddings,
    )  # fmt: skip
    tokens_BT, _ = windows.read_windows(0, min(len(windows), 64))
    rows = [{"input_ids": torch.from_numpy(row), "labels": torch.from_numpy(row)} for row in tokens_BT]
    torch.use_deterministic_algorithms(True)

    times: list[float] = []

    class Watch(transformers.TrainerCallback):  # type: ignore[misc]
        """Reads the clock when the first step begins and when each has ended: setting up is not counted."""

        def on_step_begin(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 0:
                times[:] = [time.process_time()]

        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            times.append(time.process_time())

    def run_trainer(network: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                folder, per_device_train_batch_size=MICRO, gradient_accumulation_steps=BATCH // MICRO,
                max_steps=steps, learning_rate=3e-4, max_grad_norm=1.0, use_cpu=True, report_to=[], seed=1,
                save_strategy="no", logging_steps=1, disable_tqdm=True, lr_scheduler_type="constant",
            )  # fmt: skip
            trainer = transformers.Trainer(network, arguments, train_dataset=rows, callbacks=[Watch()])
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()
            spent.append(times[-1] - times[0])

    def run_bare(network: Any) -> None:
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, fused=True)
        for step in range(steps):
            for first in range(0, BATCH, MICRO):
                part = [rows[(step * BATCH + first + place) % len(rows)] for place in range(MICRO)]
                tokens = torch.stack([row["input_ids"] for row in part])
                (network(input_ids=tokens, labels=tokens).loss / (BATCH // MICRO)).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    network = transformers.LlamaForCausalLM(config)
    run_bare(network)
    more, bare = [], []
    for _ in range(rounds):
        spent: list[float] = []
        run_trainer(network)
        bare.append(clock(lambda: run_bare(network)) / steps)
        more.append(spent[0] / steps / bare[-1] - 1)
    return statistics.median(more), statistics.median(bare)


def measure_loader(windows: MixtureWindows, rounds: int) -> float:
    """Tokens per CPU-second of reading all windows, in training's shuffled order, into micro-batches."""
    speeds = []
    for turn in range(rounds):
        stream, tokens = Stream(len(windows), 64, TRAINING.passes, "shuffled", turn), 0

        def read(stream: Stream = stream) -> None:
            nonlocal tokens
            for step in range(1, len(windows) // 64 + 1):
                tokens += load_batch(windows, stream.batch(step), 8, "all", VOCABULARY).tokens

        spent = clock(read)
        speeds.append(tokens / spent)
    return statistics.median(speeds)


def main() -> int:
    """Measure and print; returns 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small model, three rounds, no limit on the loop")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    model = NewModel(ModelSettings.model_validate(SMALL if quick else WHOLE), VOCABULARY)
    weights = sum(weight.numel() for weight in build_model(model, 1).parameters())
    steps, rounds = (4, 3) if quick else (6, 9)
    with tempfile.TemporaryDirectory() as name:
        short = build_windows(Path(name, "short"), 60_000, 128, "concatenated")
        more, outside, seconds = measure_loop(short, model, steps, rounds)
        theirs, their_seconds = measure_trainer(short, model, steps, 1 if quick else 3)
        speed = measure_loader(build_windows(Path(name, "long"), 10**6 if quick else 10**7, 2_048, "packed"), rounds)
    print(
        f"{weights / 1e6:.1f} M weights, {BATCH} windows of 128 tokens a step, CPU time, one thread, median of {rounds}"
    )
    print(f"  our loop             {more:+.2%} of a bare loop ({seconds:.3f} s a step); limit {LIMIT:.0%}")
    print(f"                       {outside:.2%} of it outside forward, backward and optimizer, by its own clock")
    print(f"  transformers Trainer {theirs:+.2%} of a bare loop over its own class ({their_seconds:.3f} s a step)")
    print(f"  loader alone         {speed / 1e6:.1f} M tokens per CPU-second; at least {LEAST_TOKENS / 1e6:.0f} M")
    return int(speed < LEAST_TOKENS or (not quick and max(more, outside) > LIMIT))


if __name__ == "__main__":
    sys.exit(main())
