"""One optimizer step: read its windows, add up the gradients of its micro-batches, move the weights."""

import math
import time
from collections.abc import Callable, Sequence

import torch

from mixlab.config.problems import DataError
from mixlab.config.training import TrainSettings
from mixlab.training.checkpoints.state import Trainee
from mixlab.training.engines.memory import explain_exhaustion
from mixlab.training.loading.batches import GlobalBatch, Stream, Windows, load_batch, split_evenly
from mixlab.training.models.dropout import seed_dropout, set_dropout
from mixlab.training.optimization.schedule import rate_ratio
from mixlab.training.steps import StepReport

Watcher = Callable[[StepReport], None]
"""Is told of each step on every rank, with the same words but for the seconds."""


class Loop:
    """One optimizer step after another, on this rank's share of its windows."""

    def __init__(
        self,
        settings: TrainSettings,
        windows: Windows,
        stream: Stream,
        trainee: Trainee,
        micro_batch: int,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.trainee = trainee
        self._windows = windows
        self._micro_batch = micro_batch
        self._watchers = watchers
        set_dropout(trainee.model, settings.dropout)

    def step(self, step: int) -> float | None:
        """Run step 1, 2, ... and return its loss, None when it had no target token (nothing moves then)."""
        began = time.perf_counter()
        indices = self.stream.batch(step)
        own = self._load(indices)
        # Read before anything is computed: what one rank lacks, all of them hear of.
        counted = self.trainee.engine.sum([own.tokens, own.targets, own.squared_tokens])
        tokens, targets, squared_tokens = (int(count) for count in counted)
        data_seconds = time.perf_counter() - began
        ratio = rate_ratio(self.settings.schedule, step, self.stream.steps)
        loss, norm = self._learn(own, targets, step, ratio) if targets else (None, None)
        rate = self.trainee.engine.rate * ratio
        self.trainee.log.add(step, tokens, loss, rate)
        seconds = time.perf_counter() - began
        report = StepReport(
            step, self.stream.steps, loss, norm, rate, tokens, targets, tuple(indices), squared_tokens, seconds,
            data_seconds,
        )  # fmt: skip
        for watch in self._watchers:
            watch(report)
        return loss

    def _load(self, indices: Sequence[int]) -> GlobalBatch:
        engine = self.trainee.engine
        # Every rank takes part in as many exchanges as the one with most windows.
        most = math.ceil(math.ceil(len(indices) / engine.ranks) / self._micro_batch)
        return load_batch(
            self._windows,
            split_evenly(indices, engine.rank, engine.ranks),
            self._micro_batch,
            self.settings.loss,
            self.trainee.model.shape.vocab_size,
            self.settings.document_attention,
            at_least=most if engine.ranks > 1 else 0,
        )

    def _learn(self, own: GlobalBatch, targets: int, step: int, ratio: float) -> tuple[float, float | None]:
        with explain_exhaustion(self._micro_batch):
            loss = self.trainee.engine.sum([self._accumulate(own, targets, step)])[0]
            self._require_finite(step, loss, None)
            norm = self.trainee.engine.step(ratio)
        self._require_finite(step, loss, norm)
        return loss, norm

    def _accumulate(self, own: GlobalBatch, targets: int, step: int) -> float:
        """Add the gradients of this rank's micro-batches and return its part of the loss."""
        engine, settings = self.trainee.engine, self.settings
        first = self.stream.count(step) * engine.rank // engine.ranks
        parts = []
        for number, micro in enumerate(own.micro):
            if settings.draws:
                seed_dropout(self.stream.seed, step, first + number * self._micro_batch)
            parts.append(engine.accumulate(micro, targets, number == len(own.micro) - 1))
        return float(sum(torch.stack(parts).tolist())) if parts else 0.0

    def _require_finite(self, step: int, loss: float, norm: float | None) -> None:
        if math.isfinite(loss) and (norm is None or math.isfinite(norm)):
            return
        raise DataError(
            f"training: step {step} of {self.stream.steps}: loss {loss}, gradient norm {norm}: not finite; "
            f"lower the learning rate (peak {self.trainee.engine.rate}), warm up longer, or set gradient_clip"
        )
