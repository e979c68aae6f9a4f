"""What watching costs a step of training, in CPU and in wall time, by what is switched on.

    python performance/watching.py [--steps 20000]

A step of the demo's smallest model takes about 30 ms (docs/decisions/0003-training-model.md): 1 % of it is 300 us.
"""

import argparse
import logging
import random
import tempfile
import time
from pathlib import Path

from mixlab.config.model_flops import DecoderShape, count_training_flops
from mixlab.config.tracking import TrackingSettings
from mixlab.config.training import SpikeSettings
from mixlab.training.steps import StepReport
from mixlab.training.watching.measures import Devices, Meter
from mixlab.training.watching.reactions import Spikes
from mixlab.training.watching.watch import Watch, Watching

STEP_SECONDS = 0.03


def measure(folder: Path, steps: int, tensorboard: bool, spikes: bool) -> tuple[float, float]:
    """CPU and wall seconds of one step's watching."""
    tracking = TrackingSettings(tensorboard=tensorboard, peak_flops=1e12)
    shape = DecoderShape(32_000, 768, 12, 12, 12, 64, 2_048, True)
    devices = Devices("cpu", 1, 1e12)
    meter = Meter(devices, lambda tokens, squared, targets: count_training_flops(shape, tokens, squared))
    watch = Watch(Watching(folder, "ipt/key", "a run", tracking), meter, steps, 1)
    detector = Spikes(SpikeSettings() if spikes else None, folder, "run", is_first=True)
    detector.resume([])
    source = random.Random(1)
    windows = tuple(range(1024))
    reports = [
        StepReport(
            step=step,
            steps=steps,
            loss=2.0 + source.random(),
            gradient_norm=source.random(),
            learning_rate=1e-3,
            tokens=4_000_000,
            targets=4_000_000,
            windows=windows,
            squared_tokens=10**10,
            seconds=STEP_SECONDS,
            data_seconds=0.001,
        )
        for step in range(1, steps + 1)
    ]
    began, cpu = time.perf_counter(), time.process_time()
    for report in reports:
        watch.step(report)
        detector.look(report, watch, lambda step: None)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    watch.close(finished=True)
    return cpu / steps, wall / steps


def main() -> None:
    """Print one line for each way of watching."""
    logging.basicConfig(level=logging.WARNING)
    parser = argparse.ArgumentParser(description="CPU and wall time of watching a step.")
    parser.add_argument("--steps", type=int, default=20_000)
    steps = parser.parse_args().steps
    for name, tensorboard, spikes in (
        ("metrics file", False, False),
        ("with spikes", False, True),
        ("with TensorBoard", True, False),
    ):
        with tempfile.TemporaryDirectory() as folder:
            cpu, wall = measure(Path(folder), steps, tensorboard, spikes)
        share = 100 * wall / STEP_SECONDS
        print(f"{name:>17}: {1e6 * cpu:6.1f} us CPU, {1e6 * wall:6.1f} us wall, {share:.3f} % of a step of 30 ms")


if __name__ == "__main__":
    main()
