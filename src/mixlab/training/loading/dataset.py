"""A mixture as a torch Dataset with a sampler by step and rank, for a team that keeps its own trainer.

Shape letters: T tokens of a window, or `sequence_tokens` when padded; B windows of a list.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.training.loading.batches import DocumentAttention, Loss, Stream, Windows, split_evenly

NO_DOCUMENT = -1
"""Document number of padding."""
Item = dict[str, Tensor]


class MixtureDataset(Dataset[Item]):
    """The windows of a mixture in training order; item k is the window at place k.

    An item holds `tokens` int64 [T], `loss_mask` bool [T], `position_ids` int64 [T] and `document_ids` int64 [T].
    `loss_mask` is True where the token is to be predicted from the one before it: never for the first token of a
    document, with loss `response` only in answers. Positions and documents count from 0 in each window; with
    `document_attention` across, a window is one document. `padded`: every item has `sequence_tokens` tokens, filled up
    with `pad_token`, position 0 and document -1, without loss.

    `packs` and `stores` stand in the order of the mixture's sources. Files are mapped anew in each process, so that
    workers may be forked or spawned. Raises DataError when the folders do not fit each other.
    """

    def __init__(
        self,
        mixture: Path,
        packs: Sequence[Path],
        stores: Sequence[Path],
        *,
        loss: Loss = "all",
        document_attention: DocumentAttention = "isolated",
        padded: bool = True,
        pad_token: int = 0,
    ) -> None:
        self._folders = (Path(mixture), tuple(map(Path, packs)), tuple(map(Path, stores)))
        self.loss = loss
        self.document_attention = document_attention
        self.padded = padded
        self.pad_token = pad_token
        self._opened: tuple[int, Windows] | None = None
        self.sequence_tokens = self._windows().sequence_tokens

    def _windows(self) -> Windows:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), cast(Windows, MixtureWindows(*self._folders)))
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __len__(self) -> int:
        return len(self._windows())

    def __getitem__(self, place: int) -> Item:
        if not 0 <= place < len(self):
            raise IndexError(f"window {place} of {len(self)}")
        window = self._windows().window(place)
        tokens = len(window.tokens_T)
        segments = window.segment_lengths if self.document_attention == "isolated" else [tokens]
        lengths = np.asarray(segments, np.int64)
        size = self.sequence_tokens if self.padded else tokens
        documents_T = np.full(size, NO_DOCUMENT, np.int64)
        documents_T[:tokens] = np.repeat(np.arange(len(lengths)), lengths)
        positions_T, mask_T = np.zeros(size, np.int64), np.zeros(size, np.bool_)
        positions_T[:tokens] = np.arange(tokens) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        mask_T[:tokens] = positions_T[:tokens] > 0
        if self.loss == "response":
            mask_T[:tokens] &= window.response_mask_T
        tokens_T = np.full(size, self.pad_token, np.int64)
        tokens_T[:tokens] = window.tokens_T
        arrays = {"tokens": tokens_T, "loss_mask": mask_T, "position_ids": positions_T, "document_ids": documents_T}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def collate_windows(items: Sequence[Mapping[str, Tensor]], pad_token: int = 0) -> Item:
    """Stack items of any length as [B, T], filled up to the longest of them as `MixtureDataset` pads."""
    fill = {"tokens": pad_token, "loss_mask": False, "position_ids": 0, "document_ids": NO_DOCUMENT}
    return {
        name: torch.nn.utils.rnn.pad_sequence([item[name] for item in items], batch_first=True, padding_value=value)
        for name, value in fill.items()
    }


class MixtureSampler(Sampler[list[int]]):
    """The windows of one rank, step by step: a `batch_sampler` of torch's DataLoader.

    Each list is what this rank computes in one step, or a part of it of at most `micro_batch` windows. The lists of
    all ranks in order of rank are the step's windows in the mixture's order, so that the number of ranks and the step
    begun with change nothing. Steps count from 1; to resume after step k, begin with `start_step` k + 1.

    `passes`, `order` and `seed` are those of mixlab's own training: the mixture once, in its order, by default.
    `drop_last` leaves out a last step with fewer windows than `global_batch`. Raises ValueError for a batch that the
    ranks cannot share evenly, for a start beyond the last step, and when a short last step leaves a rank without work.
    """

    def __init__(
        self,
        windows: int,
        global_batch: int,
        rank: int = 0,
        ranks: int = 1,
        start_step: int = 1,
        *,
        micro_batch: int | None = None,
        drop_last: bool = False,
        passes: Fraction = Fraction(1),
        order: Literal["mixture", "shuffled"] = "mixture",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= rank < ranks:
            raise ValueError(f"rank {rank} of {ranks}: ranks count from 0")
        if global_batch < 1 or global_batch % ranks:
            raise ValueError(f"global_batch {global_batch}: {ranks} ranks cannot share it evenly")
        self._stream = Stream(windows, global_batch, passes, order, seed)
        whole, rest = divmod(self._stream.places, global_batch)
        if 0 < rest < ranks and not drop_last:
            raise ValueError(f"the last step has {rest} windows for {ranks} ranks; set drop_last")
        self.steps = whole if drop_last else self._stream.steps
        if not 1 <= start_step <= self.steps + 1:
            raise ValueError(f"start_step {start_step}: the mixture has steps 1 to {self.steps}")
        self.rank, self.ranks, self.start_step = rank, ranks, start_step
        self._micro_batch = micro_batch or global_batch // ranks

    def step(self, number: int) -> list[int]:
        """Windows of this rank in step `number`."""
        return list(split_evenly(self._stream.batch(number), self.rank, self.ranks))

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self.start_step, self.steps + 1):
            own = self.step(number)
            for first in range(0, len(own), self._micro_batch):
                yield own[first : first + self._micro_batch]

    def __len__(self) -> int:
        """Lists still to come from `start_step` on."""
        left = self.steps - self.start_step + 1
        if left <= 0:
            return 0
        full = -(-(self._stream.global_batch // self.ranks) // self._micro_batch)
        return full * (left - 1) + -(-len(self.step(self.steps)) // self._micro_batch)
