"""A Llama or Qwen2 decoder in plain torch whose weights carry Hugging Face's names.

Why not transformers' own class: docs/decisions/0003-training-model.md. A test holds the logits equal to it.

Shape letters: B windows, T tokens, D hidden width, H query heads, K key heads, S head width, V vocabulary,
N target tokens of the batch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mixlab.config.kernels import KernelSettings
from mixlab.training.models.attention import DocumentAttention
from mixlab.training.models.in_turn import InTurn
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.shape import LlamaShape, write_shape
from mixlab.training.models.storage import write_weights


@dataclass(frozen=True)
class AttentionPlan:
    """What every layer shares: rotary tables and who may look at whom."""

    cos_B1TS: Tensor
    sin_B1TS: Tensor
    attend: DocumentAttention


class Projection(nn.Linear):
    """A matrix, with a bias on demand; its values are drawn or read later, never from the global generator."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, bias)

    def reset_parameters(self) -> None:
        """Draw nothing: torch's own Linear would take its first weights from the global generator."""


class Embedding(nn.Module):
    """One row per token of the vocabulary."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape.vocab_size, shape.hidden_size))

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Look each token up."""
        return F.embedding(tokens_BT, self.weight)


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden_size))
        self.eps = shape.norm_eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Divide by the root mean square, times the weight."""
        return F.rms_norm(x_BTD, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Causal attention within each document."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.head_size = shape.head_size
        queries, keys, biased = shape.heads * shape.head_size, shape.kv_heads * shape.head_size, shape.has_biases
        self.q_proj = Projection(shape.hidden_size, queries, biased)
        self.k_proj = Projection(shape.hidden_size, keys, biased)
        self.v_proj = Projection(shape.hidden_size, keys, biased)
        self.o_proj = Projection(queries, shape.hidden_size)
        # queries, keys and values of the heads; an attribute, so that it can be compiled
        self.heads: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]] = self._project

    def forward(self, x_BTD: Tensor, plan: AttentionPlan) -> Tensor:
        """Mix the tokens of each document."""
        mixed_BHTS = plan.attend(*self.heads(x_BTD, plan.cos_B1TS, plan.sin_B1TS))
        out: Tensor = self.o_proj(mixed_BHTS.transpose(1, 2).flatten(2))
        return out

    def _project(self, x_BTD: Tensor, cos_B1TS: Tensor, sin_B1TS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, _ = x_BTD.shape
        q_BHTS, k_BKTS, v_BKTS = (
            project(x_BTD).view(batch, length, -1, self.head_size).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        return _rotate(q_BHTS, cos_B1TS, sin_B1TS), _rotate(k_BKTS, cos_B1TS, sin_B1TS), v_BKTS


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.gate_proj = Projection(shape.hidden_size, shape.feed_forward)
        self.up_proj = Projection(shape.hidden_size, shape.feed_forward)
        self.down_proj = Projection(shape.feed_forward, shape.hidden_size)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform each token by itself."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))
        return out


class Layer(nn.Module):
    """One decoder layer: attention, then feed-forward, each on a normed copy of the residual stream."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = Norm(shape)
        self.post_attention_layernorm = Norm(shape)
        self.residual_dropout = nn.Dropout(0.0)

    def forward(self, x_BTD: Tensor, plan: AttentionPlan) -> Tensor:
        """Add both blocks to the stream."""
        x_BTD = x_BTD + self.residual_dropout(self.self_attn(self.input_layernorm(x_BTD), plan))
        out: Tensor = x_BTD + self.residual_dropout(self.mlp(self.post_attention_layernorm(x_BTD)))
        return out


class Decoder(nn.Module):
    """Everything but the head; it exists so that the weights' names begin with `model.`."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.embed_tokens = Embedding(shape)
        self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
        self.norm = Norm(shape)


class Llama(CausalModel):
    """Embeddings, decoder layers, and a head that may be the embeddings."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape: LlamaShape = shape
        # no buffer: a model cast to bfloat16 would turn by other angles
        self._frequencies: Tensor | None = None
        self.model = Decoder(shape)
        self.lm_head = Projection(shape.hidden_size, shape.vocab_size)
        if shape.tie_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        self._kernels = KernelSettings()

    def use_kernels(self, kernels: KernelSettings) -> None:
        """Compute as the machine settings say from now on; what is compiled stays so.

        Attention itself is left out: its documents are others in every batch, and each would be compiled anew.
        """
        if kernels.compile and not self._kernels.compile:
            for module in self.modules():
                if isinstance(module, Attention):
                    module.heads = torch.compile(module.heads)
                elif isinstance(module, FeedForward):
                    module.compile()
        self._kernels = kernels

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor, positions_BT: Tensor, rows_N: Tensor) -> Tensor:
        """Logits [N, V] of the tokens after the flat places `rows_N`; see CausalModel."""
        plan = self._plan(documents_BT, positions_BT)
        again = self._kernels.activation_checkpointing and torch.is_grad_enabled()
        x_BTD = self.model.embed_tokens(tokens_BT)
        for layer in self.model.layers:
            x_BTD = checkpoint(layer, x_BTD, plan, use_reentrant=False) if again else layer(x_BTD, plan)
        x_ND = x_BTD.flatten(0, 1).index_select(0, rows_N)
        logits_NV: Tensor = self.lm_head(self.model.norm(x_ND))
        return logits_NV

    def write(self, folder: Path, weights: InTurn) -> None:
        """Write config.json and safetensors (float32) of these weights into an existing folder."""
        write_shape(self.shape, folder)
        write_weights(weights, folder)

    def _plan(self, documents_BT: Tensor, positions_BT: Tensor) -> AttentionPlan:
        if self._frequencies is None or self._frequencies.device != positions_BT.device:
            self._frequencies = find_frequencies(self.shape).to(positions_BT.device)
        angles_B1TS = (positions_BT[:, None, :, None].float() * self._frequencies).repeat(1, 1, 1, 2)
        attend = DocumentAttention(documents_BT, self._kernels.attention)
        return AttentionPlan(angles_B1TS.cos(), angles_B1TS.sin(), attend)


def find_frequencies(shape: LlamaShape) -> Tensor:
    """Rotary frequencies of the pairs of a head, in radians a token."""
    steps = torch.arange(0, shape.head_size, 2, dtype=torch.float32)
    frequencies = 1.0 / shape.rope_theta ** (steps / shape.head_size)
    scaling = shape.rope_scaling
    if scaling is None:
        return frequencies
    # how often a wave comes round in the positions first trained on decides how far it is stretched
    rounds = scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    share = (rounds - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    kept = share.clamp(0.0, 1.0)
    return kept * frequencies + (1.0 - kept) * frequencies / scaling.factor


def _rotate(x_BHTS: Tensor, cos_B1TS: Tensor, sin_B1TS: Tensor) -> Tensor:
    first, second = x_BHTS.chunk(2, dim=-1)
    turned_BHTS = torch.cat((-second, first), dim=-1)
    return (x_BHTS * cos_B1TS + turned_BHTS * sin_B1TS).to(x_BHTS.dtype)
