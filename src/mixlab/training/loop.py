"""One optimizer step: read its windows, add up the gradients of its micro-batches, move the weights.

Shape letters: N target tokens of a micro-batch, V vocabulary.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mixlab.config.training import TrainSettings
from mixlab.training.checkpoints.state import Trainee
from mixlab.training.loading.batches import GlobalBatch, MicroBatch, Stream, Windows, load_batch
from mixlab.training.models.weights import named_weights
from mixlab.training.optimization.schedule import rate_ratio
from mixlab.training.steps import StepReport
from mixlab.training.watching.faults import check_finite
from mixlab.training.watching.validation import CellLoss, Validation


class Loop:
    """One optimizer step after another."""

    def __init__(
        self, settings: TrainSettings, windows: Windows, stream: Stream, trainee: Trainee, micro_batch: int
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.trainee = trainee
        self._windows = windows
        self._micro_batch = micro_batch
        self._weights = list(named_weights(trainee.model).values())

    def step(self, step: int) -> StepReport:
        """Run step 1, 2, ...; its loss is None when it had no target token (nothing moves then).

        Raises NotFiniteError, before any weight moves, for a loss or gradient norm that is not finite.
        """
        trainee, settings = self.trainee, self.settings
        began = time.perf_counter()
        indices = self.stream.batch(step)
        batch = load_batch(
            self._windows,
            indices,
            self._micro_batch,
            settings.loss,
            trainee.model.shape.vocab_size,
            settings.document_attention,
        )
        loaded = time.perf_counter()
        ratio = rate_ratio(settings.schedule, step, self.stream.steps)
        loss, norm = self._backward(batch) if batch.targets else (None, None)
        report = StepReport(
            step=step,
            steps=self.stream.steps,
            loss=loss,
            gradient_norm=norm,
            learning_rate=trainee.optimizers.rate * ratio,
            tokens=batch.tokens,
            targets=batch.targets,
            windows=tuple(indices),
            squared_tokens=batch.squared_tokens,
            seconds=time.perf_counter() - began,
            data_seconds=loaded - began,
        )
        check_finite(report)
        if loss is not None:
            trainee.optimizers.step(ratio)
        trainee.log.add(step, batch.tokens, loss, report.learning_rate)
        return replace(report, seconds=time.perf_counter() - began)

    def skip(self, step: int) -> None:
        """Let `step` pass without its windows: nothing is read, nothing moves."""
        ratio = rate_ratio(self.settings.schedule, step, self.stream.steps)
        self.trainee.log.add_skipped(step, self.trainee.optimizers.rate * ratio)

    def validate(self, validation: Validation, step: int) -> list[CellLoss]:
        """Compute the losses on held-out windows as training would; nothing is drawn, and nothing moves."""
        settings, vocab_size = self.settings, self.trainee.model.shape.vocab_size

        def load(windows: Windows, indices: Sequence[int]) -> Sequence[MicroBatch]:
            batch = load_batch(
                windows, indices, self._micro_batch, settings.loss, vocab_size, settings.document_attention
            )
            return batch.micro

        was_training = self.trainee.model.training
        self.trainee.model.eval()
        try:
            with torch.no_grad():
                return validation.measure(step, load, lambda micro: float(self._sum_loss(micro)))
        finally:
            self.trainee.model.train(was_training)

    def _backward(self, batch: GlobalBatch) -> tuple[float, float]:
        """Add up the gradient, and clip it where asked; return loss and gradient norm before clipping."""
        loss = sum(self._accumulate(micro, batch.targets) for micro in batch.micro)
        if self.settings.gradient_clip is None:
            gradients = [weight.grad for weight in self._weights if weight.grad is not None]
            return loss, float(torch.nn.utils.get_total_norm(gradients))
        return loss, float(torch.nn.utils.clip_grad_norm_(self._weights, self.settings.gradient_clip))

    def _accumulate(self, micro: MicroBatch, targets: int) -> float:
        """Add the gradient of one micro-batch's share of the mean over all `targets` of the global batch."""
        if not len(micro.rows_N):
            return 0.0
        loss = self._sum_loss(micro) / targets
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _sum_loss(self, micro: MicroBatch) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.dtype == "bfloat16"):
            logits_NV = self.trainee.model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
        return F.cross_entropy(logits_NV.float(), micro.targets_N, reduction="sum")
