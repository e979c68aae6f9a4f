"""A mixture made up on the spot, and the smallest settings, for the tests of this room."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixlab.config.models import ModelSettings
from mixlab.config.training import TrainSettings
from mixlab.training.models.weights import NewModel
from mixlab.training.steps import StepReport

VOCAB = 53


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a child process that imports what this one does, and the helpers of these tests."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | more


@dataclass(frozen=True)
class FakeWindow:
    tokens_T: np.ndarray
    segment_lengths: list[int]
    response_mask_T: np.ndarray


class FakeWindows:
    """Windows of random tokens: a few documents each, the second half of each document an answer."""

    def __init__(self, count=24, sequence_tokens=16, seed=0, vocab=VOCAB):
        self.sequence_tokens = sequence_tokens
        random = np.random.default_rng(seed)
        self.windows = []
        for _ in range(count):
            length = int(random.integers(sequence_tokens // 2, sequence_tokens + 1))
            first = int(random.integers(1, length - 1))
            lengths = [first, length - first]
            answers = np.concatenate([np.arange(n) >= n // 2 for n in lengths])
            tokens = random.integers(0, vocab, length).astype(np.uint16)
            self.windows.append(FakeWindow(tokens, lengths, answers))

    def __len__(self):
        return len(self.windows)

    def window(self, index):
        return self.windows[index]


def small_model(**changes):
    values = {"hidden_size": 16, "layers": 2, "heads": 2, "feed_forward": 24, "max_positions": 64}
    return NewModel(ModelSettings.model_validate(values | changes), vocab_size=VOCAB)


def settings(**changes):
    values = {
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "schedule": {"name": "cosine", "warmup_steps": 3},
        "global_batch_windows": 4,
        "passes": 2,
    }
    return TrainSettings.model_validate(values | changes)


def step_report(**changes):
    values = {
        "step": 3,
        "steps": 10,
        "loss": 2.5,
        "gradient_norm": 0.5,
        "learning_rate": 1e-3,
        "tokens": 1000,
        "targets": 990,
        "windows": (4, 5),
        "squared_tokens": 500_000,
        "seconds": 0.5,
        "data_seconds": 0.05,
    }
    return StepReport(**(values | changes))
