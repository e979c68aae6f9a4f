"""One optimizer step: read its windows, add up the gradients of its micro-batches, move the weights."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from mixlab.config.training import TrainSettings
from mixlab.training.checkpoints.state import Trainee
from mixlab.training.engines.memory import explain_exhaustion
from mixlab.training.loading.batches import GlobalBatch, MicroBatch, Stream, Windows, load_batch, split_evenly
from mixlab.training.models.dropout import seed_dropout, set_dropout
from mixlab.training.optimization.schedule import rate_ratio
from mixlab.training.steps import StepReport
from mixlab.training.watching.faults import check_finite
from mixlab.training.watching.validation import CellLoss, Validation


class Loop:
    """One optimizer step after another, on this rank's share of its windows."""

    def __init__(
        self,
        settings: TrainSettings,
        windows: Windows,
        stream: Stream,
        trainee: Trainee,
        micro_batch: int,
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.trainee = trainee
        self._windows = windows
        self._micro_batch = micro_batch
        set_dropout(trainee.model, settings.dropout)

    def step(self, step: int) -> StepReport:
        """Run step 1, 2, ...; its loss is None when it had no target token (nothing moves then).

        Raises NotFiniteError for a loss or gradient norm that is not finite; the step is then not in the log.
        """
        began = time.perf_counter()
        indices = self.stream.batch(step)
        own = self._load(indices)
        # Read before anything is computed: what one rank lacks, all of them hear of.
        counted = self.trainee.engine.sum([own.tokens, own.targets, own.squared_tokens])
        tokens, targets, squared_tokens = (int(count) for count in counted)
        data_seconds = time.perf_counter() - began
        ratio = rate_ratio(self.settings.schedule, step, self.stream.steps)
        report = StepReport(
            step=step,
            steps=self.stream.steps,
            loss=None,
            gradient_norm=None,
            learning_rate=self.trainee.engine.rate * ratio,
            tokens=tokens,
            targets=targets,
            windows=tuple(indices),
            squared_tokens=squared_tokens,
            seconds=0.0,
            data_seconds=data_seconds,
        )
        if targets:
            report = self._learn(own, report, ratio)
        self.trainee.log.add(step, tokens, report.loss, report.learning_rate)
        return replace(report, seconds=time.perf_counter() - began)

    def skip(self, step: int) -> None:
        """Let `step` pass without its windows: nothing is read, nothing moves."""
        ratio = rate_ratio(self.settings.schedule, step, self.stream.steps)
        self.trainee.log.add_skipped(step, self.trainee.engine.rate * ratio)

    def validate(self, validation: Validation, step: int) -> list[CellLoss]:
        """Compute the losses on held-out windows as training would, each rank some; nothing is drawn, nothing moves."""
        engine = self.trainee.engine

        def load(windows: Windows, indices: Sequence[int]) -> Sequence[MicroBatch]:
            return self._load(indices, windows).micro

        return validation.measure(step, load, engine.evaluate, engine.sum)

    def _load(self, indices: Sequence[int], windows: Windows | None = None) -> GlobalBatch:
        engine = self.trainee.engine
        # Every rank takes part in as many exchanges as the one with most windows.
        most = math.ceil(math.ceil(len(indices) / engine.ranks) / self._micro_batch)
        return load_batch(
            self._windows if windows is None else windows,
            split_evenly(indices, engine.rank, engine.ranks),
            self._micro_batch,
            self.settings.loss,
            self.trainee.model.shape.vocab_size,
            self.settings.document_attention,
            at_least=most if engine.ranks > 1 else 0,
        )

    def _learn(self, own: GlobalBatch, report: StepReport, ratio: float) -> StepReport:
        with explain_exhaustion(self._micro_batch):
            loss = self.trainee.engine.sum([self._accumulate(own, report.targets, report.step)])[0]
            check_finite(replace(report, loss=loss))
            norm = self.trainee.engine.step(ratio)
        report = replace(report, loss=loss, gradient_norm=norm)
        check_finite(report)
        return report

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
