"""Dropout on what each block adds to the residual stream, drawn anew from a seed for every micro-batch."""

import hashlib

import torch
from torch import nn

from mixlab.config.problems import DataError


def set_dropout(model: nn.Module, chance: float) -> None:
    """Set the chance of every `residual_dropout` of a model; raises DataError for a model without one."""
    found = [part for name, part in model.named_modules() if name.rpartition(".")[2] == "residual_dropout"]
    members = [part for part in found if isinstance(part, nn.Dropout)]
    if chance and not members:
        raise DataError(f"dropout: {chance}, but this model's architecture has no residual dropout; set dropout: 0")
    for part in members:
        part.p = chance


def seed_dropout(seed: int, step: int, place: int) -> None:
    """Seed torch's generators for the micro-batch that begins with the window at `place` of step `step`.

    A function of nothing else: no random state has to be kept, and ranks whose micro-batches fall alike draw alike.
    """
    digest = hashlib.sha256(f"dropout {seed} {step} {place}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8]) >> 1)
