"""Windows in their order, and a global batch of them as tensors.

Shape letters: B windows of a micro-batch, T tokens of the longest of them, N target tokens of the micro-batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixlab.config.problems import DataError

Integers = NDArray[np.int64]
Loss = Literal["all", "response"]
DocumentAttention = Literal["isolated", "across"]


class Window(Protocol):
    """Tokens of one or more whole or cut documents, in a row."""

    @property
    def tokens_T(self) -> NDArray[np.integer]:
        """Token ids; no padding."""

    @property
    def segment_lengths(self) -> Sequence[int]:
        """Tokens of each document; they sum to T."""

    @property
    def response_mask_T(self) -> NDArray[np.bool_]:
        """True where the token belongs to an answer (its closing end token too)."""


class Windows(Protocol):
    """What training asks of a mixture; mixlab.data.mixtures.windows.MixtureWindows is one."""

    @property
    def sequence_tokens(self) -> int:
        """Tokens of the longest window there can be."""

    def __len__(self) -> int: ...

    def window(self, index: int, /) -> Window:
        """The window at `index` of the mixture's order."""


class Stream:
    """Which windows each step sees: the mixture's order repeated, or shuffled anew in each pass."""

    def __init__(
        self, windows: int, global_batch: int, passes: Fraction, order: Literal["mixture", "shuffled"], seed: int
    ) -> None:
        self.windows = windows
        self.global_batch = global_batch
        self.places = math.ceil(windows * passes)
        self.steps = math.ceil(self.places / global_batch)
        self.shuffled = order == "shuffled"
        self.seed = seed
        self._current = (-1, np.zeros(0, np.int64))

    def batch(self, step: int) -> list[int]:
        """Indices of the windows of step 1, 2, ... `steps`; the last step may have fewer of them."""
        first = (step - 1) * self.global_batch
        places = range(first, min(first + self.global_batch, self.places))
        if not self.shuffled:
            return [place % self.windows for place in places]
        return [int(self._order(place // self.windows)[place % self.windows]) for place in places]

    def _order(self, number: int) -> Integers:
        if self._current[0] != number:
            self._current = (number, self._draw(number))
        return self._current[1]

    def _draw(self, number: int) -> Integers:
        # Sorted raw Philox output: unlike Generator.permutation, numpy promises that this stream never changes.
        random = np.random.Philox(counter=[0, 0, 0, number], key=self.seed).random_raw(self.windows)
        return np.argsort(random, kind="stable").astype(np.int64)


@dataclass(frozen=True)
class MicroBatch:
    """Windows padded to the longest of them, and which tokens are to be predicted."""

    tokens_BT: Tensor
    documents_BT: Tensor
    positions_BT: Tensor
    rows_N: Tensor
    targets_N: Tensor


@dataclass(frozen=True)
class GlobalBatch:
    """All windows of one optimizer step; `squared_tokens` is the sum over what attention sees as one document."""

    micro: list[MicroBatch]
    tokens: int
    targets: int
    squared_tokens: int


def load_batch(
    windows: Windows,
    indices: Sequence[int],
    micro_batch: int,
    loss: Loss,
    vocab_size: int,
    document_attention: DocumentAttention = "isolated",
) -> GlobalBatch:
    """Read the windows `indices` and cut them into micro-batches of `micro_batch` windows.

    A token is a target when its predecessor lies in the same document, and for `response` when it belongs to an
    answer. With `document_attention: across` a window is one document: positions run through it, every token sees all
    before it, and the first token of the next document is a target too. Raises DataError for a token id the model has
    no row for.
    """
    read = [windows.window(index) for index in indices]
    for index, window in zip(indices, read, strict=True):
        if len(window.tokens_T) and int(window.tokens_T.max()) >= vocab_size:
            raise DataError(
                f"mixture: window {index} has token id {int(window.tokens_T.max())}, but the model's vocabulary "
                f"has {vocab_size} entries; train model and mixture with one tokenizer"
            )
    parts = [read[first : first + micro_batch] for first in range(0, len(read), micro_batch)]
    micro = [_pad(part, loss, document_attention) for part in parts]
    tokens = sum(len(window.tokens_T) for window in read)
    squared_tokens = sum(_squared_tokens(window, document_attention) for window in read)
    return GlobalBatch(micro, tokens, sum(len(part.targets_N) for part in micro), squared_tokens)


def _squared_tokens(window: Window, attention: DocumentAttention) -> int:
    lengths = window.segment_lengths if attention == "isolated" else [len(window.tokens_T)]
    return sum(length * length for length in lengths)


def _pad(windows: Sequence[Window], loss: Loss, attention: DocumentAttention) -> MicroBatch:
    shape = (len(windows), max(1, *(len(window.tokens_T) for window in windows)))
    tokens_BT, positions_BT = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    # Padding is a document of its own: it sees itself alone, and no row of the attention is empty (NaN).
    documents_BT = np.full(shape, -1, np.int64)
    answers_BT = np.zeros(shape, np.bool_)
    for row, window in enumerate(windows):
        length = len(window.tokens_T)
        lengths = np.asarray(window.segment_lengths if attention == "isolated" else [length], np.int64)
        starts = np.cumsum(lengths) - lengths
        tokens_BT[row, :length] = window.tokens_T
        documents_BT[row, :length] = np.repeat(np.arange(len(lengths)), lengths)
        positions_BT[row, :length] = np.arange(length) - np.repeat(starts, lengths)
        if loss == "response":
            answers_BT[row, :length] = window.response_mask_T
    # Position t is a row of the loss when token t + 1 continues its document; position 0 begins another one.
    wanted_BT = np.zeros(shape, np.bool_)
    wanted_BT[:, :-1] = (documents_BT[:, 1:] >= 0) & (positions_BT[:, 1:] > 0)
    if loss == "response":
        wanted_BT[:, :-1] &= answers_BT[:, 1:]
    rows_N = np.flatnonzero(wanted_BT)
    arrays = (tokens_BT, documents_BT, positions_BT, rows_N, tokens_BT.reshape(-1)[rows_N + 1])
    return MicroBatch(*(torch.from_numpy(array) for array in arrays))
