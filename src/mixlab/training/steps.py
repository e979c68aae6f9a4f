"""What one optimizer step was: the words in which loop, log, checkpoints and watchers speak of it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StepReport:
    """One optimizer step over the global batch of all ranks.

    `loss` is the mean over `targets`, None when there was none (nothing moved then); `gradient_norm` is taken before
    clipping, None where it was not computed; `windows` are positions in the mixture's order; `squared_tokens` is the
    sum over documents (windows, where documents see each other) of tokens squared, what causal attention costs.
    `data_seconds`, part of `seconds`, is the time spent waiting for windows.
    """

    step: int
    steps: int
    loss: float | None
    gradient_norm: float | None
    learning_rate: float
    tokens: int
    targets: int
    windows: tuple[int, ...]
    squared_tokens: int
    seconds: float
    data_seconds: float


Watcher = Callable[[StepReport], None]
"""Is told of each step."""
