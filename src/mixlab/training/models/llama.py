"""A Llama decoder in plain torch whose weights carry Hugging Face's names.

Why not transformers' own class: docs/decisions/0003-training-model.md. A test holds the logits equal to it.

Shape letters: B windows, T tokens, D hidden width, H query heads, K key heads, S head width, V vocabulary,
N target tokens of the batch.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixlab.training.models.shape import LlamaShape


@dataclass(frozen=True)
class AttentionPlan:
    """What every layer shares: rotary tables and who may look at whom."""

    cos_B1TS: Tensor
    sin_B1TS: Tensor
    mask_B1TT: Tensor


class Projection(nn.Module):
    """A matrix without bias; torch's own Linear would draw its first weights from the global generator."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the last dimension."""
        return F.linear(x, self.weight)


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
        self.grouped = shape.kv_heads != shape.heads
        self.q_proj = Projection(shape.hidden_size, shape.heads * shape.head_size)
        self.k_proj = Projection(shape.hidden_size, shape.kv_heads * shape.head_size)
        self.v_proj = Projection(shape.hidden_size, shape.kv_heads * shape.head_size)
        self.o_proj = Projection(shape.heads * shape.head_size, shape.hidden_size)

    def forward(self, x_BTD: Tensor, plan: AttentionPlan) -> Tensor:
        """Mix the tokens of each document."""
        batch, length, _ = x_BTD.shape
        q_BHTS, k_BKTS, v_BKTS = (
            project(x_BTD).view(batch, length, -1, self.head_size).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed_BHTS = F.scaled_dot_product_attention(
            _rotate(q_BHTS, plan), _rotate(k_BKTS, plan), v_BKTS, plan.mask_B1TT, enable_gqa=self.grouped
        )
        out: Tensor = self.o_proj(mixed_BHTS.transpose(1, 2).reshape(batch, length, -1))
        return out


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


class Llama(nn.Module):
    """A causal language model over documents packed into windows."""

    frequencies: Tensor

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        self.lm_head = Projection(shape.hidden_size, shape.vocab_size)
        if shape.tie_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        steps = torch.arange(0, shape.head_size, 2, dtype=torch.float32)
        self.register_buffer("frequencies", 1.0 / shape.rope_theta ** (steps / shape.head_size), persistent=False)

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor, positions_BT: Tensor, rows_N: Tensor) -> Tensor:
        """Logits [N, V] of the tokens after the flat places `rows_N` (values b * T + t).

        A token sees the earlier tokens that carry its own number in `documents_BT`; `positions_BT` counts from 0
        in each document. Only the places asked for pass the head: with short answers that is most of the cost.
        """
        plan = self._plan(documents_BT, positions_BT)
        x_BTD = self.model.embed_tokens(tokens_BT)
        for layer in self.model.layers:
            x_BTD = layer(x_BTD, plan)
        x_ND = x_BTD.flatten(0, 1).index_select(0, rows_N)
        logits_NV: Tensor = self.lm_head(self.model.norm(x_ND))
        return logits_NV

    def _plan(self, documents_BT: Tensor, positions_BT: Tensor) -> AttentionPlan:
        angles_B1TS = (positions_BT[:, None, :, None].float() * self.frequencies).repeat(1, 1, 1, 2)
        length = documents_BT.shape[1]
        same_B1TT = documents_BT[:, None, :, None] == documents_BT[:, None, None, :]
        mask_B1TT = same_B1TT & torch.ones(length, length, dtype=torch.bool, device=documents_BT.device).tril()
        return AttentionPlan(angles_B1TS.cos(), angles_B1TS.sin(), mask_B1TT)


def _rotate(x_BHTS: Tensor, plan: AttentionPlan) -> Tensor:
    first, second = x_BHTS.chunk(2, dim=-1)
    turned_BHTS = torch.cat((-second, first), dim=-1)
    return (x_BHTS * plan.cos_B1TS + turned_BHTS * plan.sin_B1TS).to(x_BHTS.dtype)
