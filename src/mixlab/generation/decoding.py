"""The parts of decoding that are ours: seeded choice per row, and the end of a row at a stop string.

Shape letters: B rows of a batch, V vocabulary, T tokens.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria


class SeededChoice(LogitsProcessor):
    """Turns scores into ones whose maximum is a sample (Gumbel-max), so that greedy search samples.

    Each row draws from a generator of its own. Scores are divided by the temperature; tokens outside the smallest set
    with probability `top_p` are excluded.
    """

    def __init__(self, temperature: float, top_p: float, seeds: Sequence[int]) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores_BV plus noise."""
        scores_BV = scores.float() / self._temperature
        if self._top_p < 1:
            ordered_BV, order_BV = scores_BV.sort(dim=-1, descending=True)
            before_BV = ordered_BV.softmax(-1).cumsum(-1) - ordered_BV.softmax(-1)
            outside_BV = (before_BV >= self._top_p).scatter(1, order_BV, before_BV >= self._top_p)
            scores_BV = scores_BV.masked_fill(outside_BV, -torch.inf)
        uniform = torch.stack([torch.rand(scores.shape[1], generator=row) for row in self._generators])
        noise_BV = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return scores_BV + noise_BV.to(scores.device)


class StopStrings(StoppingCriteria):
    """Ends a row once its new text holds a stop string."""

    def __init__(self, stop: Sequence[str], prompt_tokens: int, decode: Callable[[list[int]], str]) -> None:
        self._stop = tuple(stop)
        self._prompt_tokens = prompt_tokens
        self._decode = decode
        # a token of a byte-level vocabulary holds at least one byte; one more for a string begun inside a token
        self._tail_tokens = max(len(string.encode()) for string in stop) + 1

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: object) -> Tensor:
        """Return for each row of input_ids_BT whether it is done."""
        new = input_ids[:, self._prompt_tokens :][:, -self._tail_tokens :].tolist()
        texts = [self._decode(row) for row in new]
        done = [any(string in text for string in self._stop) for text in texts]
        return torch.tensor(done, device=input_ids.device)
