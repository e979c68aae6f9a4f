"""The shape of a Llama model as Hugging Face's config.json states it; knows no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.models import ModelSettings
from mixlab.config.problems import DataError, Problem

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

# What our forward pass does not know; any other value would be trained as something else.
_MUST_BE = {
    "model_type": ("llama",),
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "attention_dropout": (0, None),
    "rope_scaling": (None,),
    "quantization_config": (None,),
}
_REQUIRED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


@dataclass(frozen=True)
class LlamaShape:
    """Everything a forward pass needs to know besides the weights."""

    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    tie_embeddings: bool
    max_positions: int
    rope_theta: float
    norm_eps: float
    pad_id: int | None
    end_id: int | list[int] | None
    begin_id: int | None = None


def build_shape(settings: ModelSettings, vocab_size: int, pad_id: int, end_id: int) -> LlamaShape:
    """Give a model from scratch the vocabulary and the special tokens of its tokenizer."""
    return LlamaShape(
        vocab_size=vocab_size,
        hidden_size=settings.hidden_size,
        layers=settings.layers,
        heads=settings.heads,
        kv_heads=settings.kv_heads or settings.heads,
        head_size=settings.hidden_size // settings.heads,
        feed_forward=settings.feed_forward,
        tie_embeddings=settings.tie_embeddings,
        max_positions=settings.max_positions,
        rope_theta=settings.rope_theta,
        norm_eps=settings.norm_eps,
        pad_id=pad_id,
        end_id=end_id,
    )


def read_shape(folder: Path) -> LlamaShape:
    """Read `folder`/config.json; raises DataError for all it states that is not a plain Llama model."""
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            Problem(f"no readable Hugging Face config ({error}); give a model folder", file=str(path))
        ) from None
    rope = config.get("rope_parameters") or {}
    problems = [
        Problem(f"is {config[key]!r}, but only {allowed[0]!r} can be trained", file=str(path), key=key)
        for key, allowed in _MUST_BE.items()
        if key in config and config[key] not in allowed
    ]
    problems += [Problem("is missing", file=str(path), key=key) for key in _REQUIRED if key not in config]
    if rope.get("rope_type", "default") != "default":
        problems.append(
            Problem(f"is {rope!r}, but only 'default' can be trained", file=str(path), key="rope_parameters")
        )
    if problems:
        raise DataError(problems)
    return _shape_from(config, rope)


def _shape_from(config: dict[str, Any], rope: dict[str, Any]) -> LlamaShape:
    heads = config["num_attention_heads"]
    return LlamaShape(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        feed_forward=config["intermediate_size"],
        # The absent values are transformers' own defaults for LlamaConfig (5.23, configuration_llama.py).
        tie_embeddings=bool(config.get("tie_word_embeddings", False)),
        max_positions=config.get("max_position_embeddings", 2_048),
        rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        pad_id=config.get("pad_token_id"),
        end_id=config.get("eos_token_id", 2),
        begin_id=config.get("bos_token_id", 1),
    )


def write_shape(shape: LlamaShape, folder: Path) -> None:
    """Write `folder`/config.json, read alike by transformers (4 and 5), vLLM and `read_shape`."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": shape.tie_embeddings,
        "max_position_embeddings": shape.max_positions,
        # transformers 5 reads rope_parameters, transformers 4 and vLLM's older releases rope_theta.
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"},
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.norm_eps,
        "pad_token_id": shape.pad_id,
        "bos_token_id": shape.begin_id,
        "eos_token_id": shape.end_id,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
