"""One optimizer step: read its windows, add up the gradients of its micro-batches, move the weights.

Shape letters: N target tokens of a micro-batch, V vocabulary.
"""

import hashlib
import math

import torch
import torch.nn.functional as F

from mixlab.config.problems import DataError
from mixlab.config.training import TrainSettings
from mixlab.training.checkpoints.state import Trainee
from mixlab.training.loading.batches import GlobalBatch, MicroBatch, Stream, Windows, load_batch
from mixlab.training.models.weights import trained_weights
from mixlab.training.optimization.schedule import rate_ratio


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
        self._weights = list(trained_weights(trainee.model).values())

    def step(self, step: int) -> float | None:
        """Run step 1, 2, ... and return its loss, None when it had no target token (nothing moves then)."""
        trainee, settings = self.trainee, self.settings
        torch.manual_seed(_mix(self.stream.seed, step))  # dropout of lora; a function of seed and step alone
        batch = load_batch(
            self._windows,
            self.stream.batch(step),
            self._micro_batch,
            settings.loss,
            trainee.model.shape.vocab_size,
            settings.document_attention,
        )
        ratio = rate_ratio(settings.schedule, step, self.stream.steps)
        loss = self._learn(batch, step, ratio) if batch.targets else None
        trainee.log.add(step, batch.tokens, loss, trainee.optimizers.rate * ratio)
        return loss

    def _learn(self, batch: GlobalBatch, step: int, ratio: float) -> float:
        loss = sum(self._accumulate(micro, batch.targets) for micro in batch.micro)
        norm = 0.0
        if self.settings.gradient_clip is not None:
            norm = float(torch.nn.utils.clip_grad_norm_(self._weights, self.settings.gradient_clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise DataError(
                f"training: step {step} of {self.stream.steps}: loss {loss}, gradient norm {norm}: not finite; "
                f"lower the learning rate (peak {self.trainee.optimizers.rate}), warm up longer, or set gradient_clip"
            )
        self.trainee.optimizers.step(ratio)
        return loss

    def _accumulate(self, micro: MicroBatch, targets: int) -> float:
        """Add the gradient of one micro-batch's share of the mean over all `targets` of the global batch."""
        if not len(micro.rows_N):
            return 0.0
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.dtype == "bfloat16"):
            logits_NV = self.trainee.model(micro.tokens_BT, micro.documents_BT, micro.positions_BT, micro.rows_N)
        loss = F.cross_entropy(logits_NV.float(), micro.targets_N, reduction="sum") / targets
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())


def _mix(seed: int, step: int) -> int:
    """A seed for one step of a run; neighbouring steps and seeds share no stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}".encode()).digest()[:8], "little")
