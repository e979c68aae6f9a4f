"""A beginning that prompts share, such as few-shot examples, computed once.

Measured on one core with 16 prompts that share 600 tokens, 40 of their own and 32 new ones: 2.5 times as fast with a
model of hidden size 64, 1.8 times with 256. The last bits of float32 logits change (5e-6 of them), as they do with
another batch size, so that a response can change only where two tokens are as good as equal. It is off by default.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

FEWEST_TOKENS = 32
"""A shorter beginning is not worth a pass of its own."""


@dataclass(frozen=True)
class Prefix:
    """The keys and values of the first `tokens` of a prompt, for a batch of one."""

    tokens: int
    cache: DynamicCache

    def repeat(self, rows: int) -> DynamicCache:
        """Return them for a batch; a batch writes into its own copy."""
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(rows)
        return cache


def count_shared(rows: Sequence[list[int]]) -> int:
    """Return how many tokens all rows begin with; at least one token of each row is left to it."""
    if not rows:
        return 0
    first, last = min(rows), max(rows)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return min(same, min(len(row) for row in rows) - 1)


@torch.inference_mode()
def compute_prefix(model: PreTrainedModel, rows: Sequence[list[int]]) -> Prefix | None:
    """Compute what `rows` share; None where that is little, or where padding behind it would not be harmless.

    Layers with a sliding window count the padding, and layers with a state remember it.
    """
    shared = count_shared(rows)
    if len(rows) < 2 or shared < FEWEST_TOKENS:
        return None
    cache = DynamicCache(config=model.config)
    if any(cache.is_sliding) or any(cache.is_linear):
        return None
    ids_BT: Tensor = torch.tensor([rows[0][:shared]], device=next(model.parameters()).device)
    model(ids_BT, past_key_values=cache, use_cache=True)
    return Prefix(shared, cache)
