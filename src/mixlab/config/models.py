"""The shape of a model trained from scratch, and how its weights begin."""

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mixlab.config.base import Settings, added


class InitSettings(Settings):
    """Normal distributions the weights are drawn from; norms begin at one, biases at zero.

    Projections are scaled by 1 / sqrt(hidden_size), so that one setting serves several widths.
    """

    embedding_std: float = Field(
        default=0.02,
        gt=0,
        le=10,
        description="standard deviation of the token embeddings, and of the head when it is not tied to them",
    )
    projection_scale: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="q, k, v, gate and up projections: standard deviation times sqrt(hidden_size)",
    )
    output_projection_scale: float = Field(
        default=0.3,
        ge=0,
        le=100,
        description="attention-output and down projections (what is added to the residual stream): "
        "standard deviation times sqrt(hidden_size)",
    )


class Llama3RopeScaling(Settings):
    """Longer positions as Llama 3.1 has them: long wavelengths stretched by `factor`, short ones left as they are.

    Wavelengths between original_positions / high_frequency_factor and original_positions / low_frequency_factor
    tokens go over from one to the other (transformers, modeling_rope_utils.py, rope type `llama3`).
    """

    factor: float = Field(ge=1, le=1e6, description="how much longer the longest wavelengths become")
    low_frequency_factor: float = Field(default=1.0, gt=0, le=1e6, description="sets from where on all is stretched")
    high_frequency_factor: float = Field(default=4.0, gt=0, le=1e6, description="sets up to where nothing is")
    original_positions: int = Field(ge=2, le=16_777_216, description="max_positions before the stretching")

    @model_validator(mode="after")
    def _factors_differ(self) -> Self:
        if self.high_frequency_factor <= self.low_frequency_factor:
            raise ValueError(
                f"high_frequency_factor {self.high_frequency_factor} must be larger than low_frequency_factor "
                f"{self.low_frequency_factor}"
            )
        return self


class ModelSettings(Settings):
    """A decoder of the Llama family; its vocabulary comes from the tokenizer, its seed from training.

    RMSNorm before each block, rotary positions, SwiGLU. Written as transformers' LlamaForCausalLM (no biases) or
    Qwen2ForCausalLM (biases on the query, key and value projections).
    """

    architecture: Literal["llama", "qwen2"] = Field(
        default="llama", description="llama: no biases; qwen2: biases on the query, key and value projections"
    )
    hidden_size: int = Field(ge=2, le=65_536, description="width of the residual stream")
    layers: int = Field(ge=1, le=1_024, description="number of decoder layers")
    heads: int = Field(ge=1, le=1_024, description="attention heads; must divide hidden_size")
    kv_heads: int | None = Field(
        default=None, ge=1, le=1_024, description="key and value heads; must divide heads; absent: as many as heads"
    )
    feed_forward: int = Field(ge=1, le=1_048_576, description="inner width of the feed-forward block")
    tie_embeddings: bool = Field(default=True, description="the output head is the embedding matrix")
    max_positions: int = Field(default=2_048, ge=2, le=16_777_216, description="longest sequence, in tokens")
    rope_theta: float = Field(default=10_000.0, gt=1, le=1e9, description="base of the rotary wavelengths")
    norm_eps: float = Field(default=1e-6, gt=0, le=1e-2, description="added to the mean square in RMSNorm")
    init: InitSettings = Field(default_factory=InitSettings, description="how the weights begin")
    head_size: int | None = added(
        None, ge=2, le=65_536, multiple_of=2, description="width of one head; absent: hidden_size over heads"
    )
    rope_scaling: Llama3RopeScaling | None = added(
        None, description="stretching of rotary wavelengths for positions beyond those first trained on; absent: none"
    )
    vocabulary_multiple: int = added(
        1,
        ge=1,
        le=65_536,
        description="the embeddings get rows up to a multiple of it, as GPUs like; no token has the rows added",
    )

    @field_validator("kv_heads")
    @classmethod
    def _as_many_as_heads_is_said_by_nothing(cls, kv_heads: int | None, info: ValidationInfo) -> int | None:
        return None if kv_heads == info.data.get("heads") else kv_heads

    @field_validator("head_size")
    @classmethod
    def _usual_size_is_said_by_nothing(cls, head_size: int | None, info: ValidationInfo) -> int | None:
        hidden, heads = info.data.get("hidden_size"), info.data.get("heads")
        usual = head_size is not None and heads and hidden is not None and head_size * heads == hidden
        return None if usual else head_size

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.head_size or self.hidden_size // self.heads

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden_size % self.heads or (self.head_size is None and (self.hidden_size // self.heads) % 2):
            raise ValueError(
                f"hidden_size {self.hidden_size} over heads {self.heads} must give an even whole number "
                "(rotary positions turn pairs); choose another heads or hidden_size"
            )
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} must divide heads {self.heads}")
        return self


def count_rows(vocab_size: int, multiple: int) -> int:
    """Rows of the embeddings for so many tokens: up to the next multiple."""
    return -(-vocab_size // multiple) * multiple
