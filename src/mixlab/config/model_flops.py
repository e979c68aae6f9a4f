"""How many parameters a decoder has and how many floating-point operations training it takes, by formula.

A multiplication and an addition count as two operations. Counted are matrix products alone: projections, the output
head, and the two products of attention; not norms, activations, softmax, rotary positions, the loss, the optimizer or
the lookup of embeddings, nor what activation checkpointing computes again (model FLOPs, not hardware FLOPs).

Where it comes from. 2 N operations a token forward and twice that backward, hence 6 N: Kaplan et al. 2020
(arXiv:2001.08361, section 2.1), whose N leaves out the embeddings and hence the head. On top of it for attention
12 L H Q T a token for L layers, H heads of width Q and T tokens, and utilisation (MFU) as the share of a device's peak:
Chowdhery et al. 2022 (PaLM, arXiv:2204.02311, appendix B). The head's product counted, and model apart from hardware
FLOPs: Korthikanti et al. 2022 (arXiv:2205.05198, appendix A and section 6.3). PaLM and Korthikanti count attention to
all T tokens; here, as in FlashAttention-2 (Dao 2023, arXiv:2307.08691, section 4.1), a token attends to those before
it alone: half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixlab.config.models import ModelSettings, count_rows

FORWARD = 2
"""Operations of a weight and a token: one multiplication, one addition."""


@dataclass(frozen=True)
class DecoderShape:
    """A decoder with gated feed-forward blocks (SwiGLU), in plain numbers.

    With `experts` > 1 each layer has so many feed-forward blocks of width `feed_forward` and a router; a token passes
    `active_experts` of them.
    """

    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    tie_embeddings: bool
    query_key_value_bias: bool = False
    experts: int = 1
    active_experts: int = 1

    def projections(self) -> dict[str, tuple[int, int, int]]:
        """The matrices of one layer by Hugging Face's names: inputs, outputs, how many there are."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        made = {
            "q_proj": (self.hidden_size, queries, 1),
            "k_proj": (self.hidden_size, keys, 1),
            "v_proj": (self.hidden_size, keys, 1),
            "o_proj": (queries, self.hidden_size, 1),
            "gate_proj": (self.hidden_size, self.feed_forward, self.experts),
            "up_proj": (self.hidden_size, self.feed_forward, self.experts),
            "down_proj": (self.feed_forward, self.hidden_size, self.experts),
        }
        return made | ({"router": (self.hidden_size, self.experts, 1)} if self.experts > 1 else {})

    def vectors(self) -> int:
        """Parameters of one layer that are no matrix: two norms, and biases where there are any."""
        biases = (self.heads + 2 * self.kv_heads) * self.head_size if self.query_key_value_bias else 0
        return 2 * self.hidden_size + biases


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of a model by what they do.

    `embedding`: the lookup; `head`: the output matrix, 0 where it is the embedding matrix; `projections`: the matrices
    of all layers, of which a token passes `active_projections`; `vectors`: norms and biases.
    """

    embedding: int
    head: int
    projections: int
    active_projections: int
    vectors: int

    @property
    def total(self) -> int:
        """All that is stored; a tied matrix once."""
        return self.embedding + self.head + self.projections + self.vectors

    @property
    def without_embedding_lookup(self) -> int:
        """All but the lookup: layers and head, also where the head is the embedding matrix."""
        return self.total - (self.embedding if self.head else 0)

    @property
    def without_embeddings(self) -> int:
        """Layers and norms alone: N of Kaplan et al., who leave out biases and norms too."""
        return self.projections + self.vectors

    @property
    def active(self) -> int:
        """What a token passes or looks up: `total` less the experts it does not meet."""
        return self.total - self.projections + self.active_projections


@dataclass(frozen=True)
class LoraShape:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) on the projections named; all else is frozen."""

    rank: int
    targets: tuple[str, ...]


def build_decoder_shape(settings: ModelSettings, vocab_size: int) -> DecoderShape:
    """Give the settings of a model from scratch the vocabulary of its tokenizer."""
    return DecoderShape(
        vocab_size=count_rows(vocab_size, settings.vocabulary_multiple),
        hidden_size=settings.hidden_size,
        layers=settings.layers,
        heads=settings.heads,
        kv_heads=settings.kv_heads or settings.heads,
        head_size=settings.head_width,
        feed_forward=settings.feed_forward,
        tie_embeddings=settings.tie_embeddings,
        query_key_value_bias=settings.architecture == "qwen2",
    )


DENSE = ("llama", "mistral", "qwen2")
"""Values of model_type that the formulas hold for."""
_KV_HEADS = {"mistral": 8, "qwen2": 32}
"""What transformers 5.23 takes where a config.json does not name num_key_value_heads; of llama all heads."""
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
_DERIVED = ("num_key_value_heads", "head_dim")


def parse_decoder_shape(config: Mapping[str, Any]) -> DecoderShape:
    """Read a Hugging Face `config.json` of a dense decoder with SwiGLU; raises ValueError, which says why, for others.

    Values that it leaves out are those of transformers 5.23 for the model type.
    """
    kind = config.get("model_type")
    if kind not in DENSE or any(config.get(name) for name in _EXPERTS):
        raise ValueError(f"the formula is for models of type {', '.join(DENSE)} without experts, got {kind!r}")
    wanted = [*_SIZES, *(name for name in _DERIVED if config.get(name) is not None)]
    if missing := [name for name in wanted if type(config.get(name)) is not int or config[name] < 1]:
        raise ValueError(f"has no whole number above 0 for {', '.join(missing)}")
    heads, bias = config["num_attention_heads"], config.get("attention_bias")
    return DecoderShape(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads", _KV_HEADS.get(kind)) or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        feed_forward=config["intermediate_size"],
        tie_embeddings=bool(config.get("tie_word_embeddings", False)),
        query_key_value_bias=kind == "qwen2" if bias is None else bool(bias),
    )


def count_parameters(shape: DecoderShape) -> ParameterCount:
    """Count the parameters of a decoder."""
    embedding = shape.vocab_size * shape.hidden_size
    return ParameterCount(
        embedding=embedding,
        head=0 if shape.tie_embeddings else embedding,
        projections=shape.layers * sum(rows * columns * of for rows, columns, of in shape.projections().values()),
        active_projections=shape.layers * _count_active(shape, tuple(shape.projections())),
        vectors=shape.layers * shape.vectors() + shape.hidden_size,
    )


def _count_active(shape: DecoderShape, names: Sequence[str]) -> int:
    """Weights of the named projections of one layer that a token passes."""
    chosen = (shape.projections()[name] for name in names)
    return sum(rows * columns * min(of, shape.active_experts) for rows, columns, of in chosen)


def count_adapter_parameters(shape: DecoderShape, lora: LoraShape) -> int:
    """Count the trained parameters of LoRA; raises KeyError for a target that is no projection."""
    chosen = (shape.projections()[name] for name in lora.targets)
    return shape.layers * sum(lora.rank * (rows + columns) * of for rows, columns, of in chosen)


def count_training_flops(
    shape: DecoderShape,
    tokens: int,
    squared_tokens: int,
    *,
    head_tokens: int | None = None,
    lora: LoraShape | None = None,
) -> int:
    """Count the operations of one forward and one backward pass over `tokens`.

    6 x active projections x tokens + 6 x vocabulary x hidden_size x head_tokens
    + 6 x layers x heads x head_size x squared_tokens.

    `squared_tokens`: the sum over documents (windows, where documents see each other) of tokens squared; a token is
    counted as seeing half of its document (exactly: one half token more, which is left out). `head_tokens`: those
    that pass the output head; absent: all. With `lora` frozen matrices cost 4 in place of 6, as they need no gradient
    of their own but hand on that of their inputs, and the adapters 6 each. Not taken off for LoRA: the input gradient
    of the first layer, which nobody needs.
    """
    per_layer = shape.projections()
    matrices = shape.layers * _count_active(shape, tuple(per_layer)) * tokens
    matrices += shape.vocab_size * shape.hidden_size * (tokens if head_tokens is None else head_tokens)
    attention = shape.layers * shape.heads * shape.head_size * squared_tokens
    if lora is None:
        return 3 * FORWARD * (matrices + attention)
    adapters = sum(
        lora.rank * (rows + columns) * min(of, shape.active_experts)
        for rows, columns, of in (per_layer[name] for name in lora.targets)
    )
    return 2 * FORWARD * matrices + 3 * FORWARD * (attention + shape.layers * adapters * tokens)


def count_generation_flops(shape: DecoderShape, prompt_tokens: float, new_tokens: float) -> float:
    """Count the operations of answering one prompt, each token computed once and kept in the cache of keys and values.

    2 x active projections x tokens + 2 x vocabulary x hidden_size x new tokens + 2 x layers x heads x head_size x
    tokens squared, where tokens are those of the prompt and the new ones; each attends to those before it alone.
    """
    tokens = prompt_tokens + new_tokens
    matrices = shape.layers * _count_active(shape, tuple(shape.projections())) * tokens
    matrices += shape.vocab_size * shape.hidden_size * new_tokens
    return FORWARD * (matrices + shape.layers * shape.heads * shape.head_size * tokens**2)
