"""Causal attention within documents, by one of several kernels that give the same numbers up to rounding.

Shape letters: B windows, T tokens, H query heads, K key heads, S head width, D documents of one length, L that length,
P all B * T places in a row, C documents and one.
"""

import importlib.util
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mixlab.config.kernels import AttentionKernel
from mixlab.config.problems import DataError

DENSE_TOKENS = 128
"""Windows up to this long are computed with a table of who sees whom.

Forward and backward, ms, dense and by documents, one thread of a two-core EPYC, torch 2.13, heads of 32: 8 x 96 tokens
of 3 documents 2.7 and 3.0; 8 x 256 of 4 20 and 11; 4 x 512 of 4 34 and 12; 1 x 2,048 of 4 146 and 33.
"""
MOST_DENSE_TOKENS = 4_096
"""The table of longer windows is refused, even if it is asked for."""
_NO_DOCUMENT = -1
_HALF = (torch.bfloat16, torch.float16)


def choose_kernel(asked: AttentionKernel, device: torch.device, dtype: torch.dtype, tokens: int) -> AttentionKernel:
    """Return the kernel for windows of so many tokens; raises DataError where the one asked for cannot run."""
    is_gpu = device.type == "cuda"
    if asked == "auto":
        if not is_gpu:
            return "dense" if tokens <= DENSE_TOKENS else "documents"
        return "flash" if dtype in _HALF else "flex"
    if asked == "dense" and tokens > MOST_DENSE_TOKENS:
        raise DataError(
            f"machine.kernels.attention: dense would make a table of {tokens} x {tokens} for each window; "
            "write auto or documents"
        )
    if asked in ("flash", "flex") and not is_gpu:
        raise DataError(
            f"machine.kernels.attention: {asked} needs a GPU, and training runs on {device.type}; write auto or "
            "documents"
        )
    if asked == "flash" and dtype not in _HALF:
        raise DataError(
            f"machine.kernels.attention: flash computes in bfloat16, and training in {str(dtype).partition('.')[2]}; "
            "write auto or flex, or set dtype: bfloat16 in the study"
        )
    return asked


class DocumentAttention:
    """Who may look at whom in the windows of a micro-batch, and attention that keeps to it.

    A document is a run of equal numbers in `documents_BT`. A token sees itself and the earlier tokens of its document.
    What padding (number -1) sees is not defined; it is finite.
    """

    def __init__(self, documents_BT: Tensor, kernel: AttentionKernel = "auto") -> None:
        self.documents_BT = documents_BT
        self.asked: AttentionKernel = kernel

    def __call__(self, q_BHTS: Tensor, k_BKTS: Tensor, v_BKTS: Tensor, scale: float | None = None) -> Tensor:
        """Mix the values [B, H, T, S] of each document; `scale` multiplies the products, absent: 1 / sqrt(S)."""
        kernel = choose_kernel(self.asked, q_BHTS.device, q_BHTS.dtype, q_BHTS.shape[2])
        attend = {"dense": self._dense, "documents": self._by_documents, "flash": self._flash, "flex": self._flex}
        return attend[kernel](q_BHTS, k_BKTS, v_BKTS, scale)

    @cached_property
    def mask_B1TT(self) -> Tensor:
        """True where the token of the row sees that of the column."""
        length = self.documents_BT.shape[1]
        same_B1TT = self.documents_BT[:, None, :, None] == self.documents_BT[:, None, None, :]
        return same_B1TT & torch.ones(length, length, dtype=torch.bool, device=self.documents_BT.device).tril()

    @cached_property
    def starts(self) -> list[int]:
        """First place of every document, of all windows in a row, and the end."""
        begins_BT = torch.ones_like(self.documents_BT, dtype=torch.bool)
        begins_BT[:, 1:] = self.documents_BT[:, 1:] != self.documents_BT[:, :-1]
        return [*begins_BT.flatten().nonzero().flatten().tolist(), self.documents_BT.numel()]

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of every document, those of padding included."""
        return [end - start for start, end in zip(self.starts, self.starts[1:], strict=False)]

    @cached_property
    def _places(self) -> dict[int, list[int]]:
        """Length -> numbers of the documents that have it; padding is left out."""
        numbers = self.documents_BT.flatten().tolist()
        places: dict[int, list[int]] = {}
        for number, (start, length) in enumerate(zip(self.starts, self.lengths, strict=False)):
            if numbers[start] != _NO_DOCUMENT:
                places.setdefault(length, []).append(number)
        return places

    @cached_property
    def _cumulative(self) -> tuple[Tensor, int]:
        starts_C = torch.tensor(self.starts, dtype=torch.int32, device=self.documents_BT.device)
        return starts_C, max(self.lengths)

    @cached_property
    def _block_mask(self) -> Any:
        from torch.nn.attention.flex_attention import create_block_mask

        documents_BT = self.documents_BT
        batch, length = documents_BT.shape

        def sees(window: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (query >= key) & (documents_BT[window, query] == documents_BT[window, key])

        return create_block_mask(sees, batch, None, length, length, device=str(documents_BT.device))

    def _dense(self, q_BHTS: Tensor, k_BKTS: Tensor, v_BKTS: Tensor, scale: float | None) -> Tensor:
        grouped = q_BHTS.shape[1] != k_BKTS.shape[1]
        return F.scaled_dot_product_attention(q_BHTS, k_BKTS, v_BKTS, self.mask_B1TT, scale=scale, enable_gqa=grouped)

    def _by_documents(self, q_BHTS: Tensor, k_BKTS: Tensor, v_BKTS: Tensor, scale: float | None) -> Tensor:
        grouped = q_BHTS.shape[1] != k_BKTS.shape[1]
        parts = [torch.split(_in_a_row(x), self.lengths) for x in (q_BHTS, k_BKTS, v_BKTS)]
        mixed: list[Tensor] = [torch.zeros_like(part_LHS) for part_LHS in parts[0]]
        for numbers in self._places.values():
            q_DHLS, k_DKLS, v_DKLS = (torch.stack([part[n] for n in numbers]).transpose(1, 2) for part in parts)
            mixed_DHLS = F.scaled_dot_product_attention(
                q_DHLS, k_DKLS, v_DKLS, is_causal=True, scale=scale, enable_gqa=grouped
            )
            for number, mixed_LHS in zip(numbers, mixed_DHLS.transpose(1, 2), strict=True):
                mixed[number] = mixed_LHS
        return _in_windows(torch.cat(mixed), q_BHTS)

    def _flash(self, q_BHTS: Tensor, k_BKTS: Tensor, v_BKTS: Tensor, scale: float | None) -> Tensor:
        q_PHS, k_PKS, v_PKS = (_in_a_row(x) for x in (q_BHTS, k_BKTS, v_BKTS))
        starts_C, longest = self._cumulative
        return _in_windows(_flash_function()(q_PHS, k_PKS, v_PKS, starts_C, longest, scale), q_BHTS)

    def _flex(self, q_BHTS: Tensor, k_BKTS: Tensor, v_BKTS: Tensor, scale: float | None) -> Tensor:
        grouped = q_BHTS.shape[1] != k_BKTS.shape[1]
        mixed_BHTS: Tensor = _flex_function()(
            q_BHTS, k_BKTS, v_BKTS, block_mask=self._block_mask, scale=scale, enable_gqa=grouped
        )
        return mixed_BHTS


def _in_a_row(x_BHTS: Tensor) -> Tensor:
    return x_BHTS.transpose(1, 2).flatten(0, 1)


def _in_windows(x_PHS: Tensor, like_BHTS: Tensor) -> Tensor:
    batch, _, length, _ = like_BHTS.shape
    return x_PHS.view(batch, length, *x_PHS.shape[1:]).transpose(1, 2)


Flash = Callable[[Tensor, Tensor, Tensor, Tensor, int, float | None], Tensor]


def _flash_function() -> Flash:
    """Flash attention over documents of any length: the package flash-attn where it is installed, else torch's own."""
    if importlib.util.find_spec("flash_attn") is not None:
        from flash_attn import flash_attn_varlen_func

        def packaged(q: Tensor, k: Tensor, v: Tensor, starts_C: Tensor, longest: int, scale: float | None) -> Tensor:
            fixed = torch.are_deterministic_algorithms_enabled()
            out: Tensor = flash_attn_varlen_func(
                q, k, v, starts_C, starts_C, longest, longest, softmax_scale=scale, causal=True, deterministic=fixed
            )
            return out

        return packaged
    from torch.nn.attention.varlen import varlen_attn

    def native(q: Tensor, k: Tensor, v: Tensor, starts_C: Tensor, longest: int, scale: float | None) -> Tensor:
        out = varlen_attn(
            q,
            k,
            v,
            starts_C,
            starts_C,
            longest,
            longest,
            scale=scale,
            window_size=(-1, 0),
            enable_gqa=q.shape[1] != k.shape[1],
        )
        assert isinstance(out, Tensor)
        return out

    return native


_COMPILED: list[Any] = []


def _flex_function() -> Any:
    """torch's flex attention, compiled once a process: uncompiled it makes the table it is there to avoid."""
    if not _COMPILED:
        from torch.nn.attention.flex_attention import flex_attention

        _COMPILED.append(torch.compile(flex_attention))
    return _COMPILED[0]
