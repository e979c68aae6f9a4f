"""The shape of a Llama or Qwen2 model as Hugging Face's config.json states it; knows no torch."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mixlab.config.model_facts import find_positions
from mixlab.config.model_flops import DecoderShape, build_decoder_shape, parse_decoder_shape
from mixlab.config.models import ModelSettings
from mixlab.config.problems import DataError, Problem

CONFIG_FILE = "config.json"

OUR_FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
"""model_type of config.json -> the class of transformers; what our own forward pass computes."""

# What our forward pass does not know; any other value would be trained as something else.
_MUST_BE: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "mlp_bias": (False,),
    "attention_dropout": (0, None),
    "quantization_config": (None,),
    "use_sliding_window": (False,),
}
_SCALING = {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}
_REQUIRED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


@dataclass(frozen=True)
class RopeScaling:
    """Rope type `llama3`: see Llama3RopeScaling of the settings."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclass(frozen=True)
class ModelShape:
    """What training must know of any model: rows of its embeddings, and its longest sequence in tokens."""

    vocab_size: int
    max_positions: int

    def describe(self) -> dict[str, Any]:
        """The model's config.json."""
        raise NotImplementedError


@dataclass(frozen=True)
class LlamaShape(ModelShape):
    """Everything a forward pass needs to know besides the weights."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    tie_embeddings: bool
    rope_theta: float
    norm_eps: float
    pad_id: int | None
    end_id: int | list[int] | None
    begin_id: int | None = None
    family: str = "llama"
    rope_scaling: RopeScaling | None = None

    @property
    def has_biases(self) -> bool:
        """Whether the query, key and value projections have biases."""
        return self.family == "qwen2"

    def describe(self) -> dict[str, Any]:
        """The model's config.json."""
        return _describe(self)


def build_shape(settings: ModelSettings, vocab_size: int, pad_id: int, end_id: int) -> LlamaShape:
    """Give a model from scratch the vocabulary and the special tokens of its tokenizer."""
    return LlamaShape(
        **_take_sizes(build_decoder_shape(settings, vocab_size)),
        max_positions=settings.max_positions,
        rope_theta=settings.rope_theta,
        norm_eps=settings.norm_eps,
        pad_id=pad_id,
        end_id=end_id,
        family=settings.architecture,
        rope_scaling=_build_scaling(settings),
    )


def _take_sizes(shape: DecoderShape) -> dict[str, Any]:
    """Sizes by the names that both descriptions of a decoder have for them."""
    shared = {one.name for one in fields(LlamaShape)}
    return {name: value for name, value in asdict(shape).items() if name in shared}


def _build_scaling(settings: ModelSettings) -> RopeScaling | None:
    scaling = settings.rope_scaling
    if scaling is None:
        return None
    return RopeScaling(
        scaling.factor, scaling.low_frequency_factor, scaling.high_frequency_factor, scaling.original_positions
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Read `folder`/config.json; raises DataError when it is not there or is no mapping."""
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            Problem(f"no readable Hugging Face config ({error}); give a model folder", file=str(path))
        ) from None
    if not isinstance(config, dict):
        raise DataError(Problem("no Hugging Face config: it is no mapping; give a model folder", file=str(path)))
    return config


def read_shape(folder: Path) -> LlamaShape:
    """Read `folder`/config.json; raises DataError for all it states that our own forward pass does not know."""
    path, config = folder / CONFIG_FILE, read_config(folder)
    problems = [Problem(message, file=str(path), key=key) for key, message in find_unknown(config)]
    if problems:
        raise DataError(problems)
    try:
        return _shape_from(config, _read_rope(config))
    except ValueError as error:
        raise DataError(Problem(f"no config of a model that can be trained ({error})", file=str(path))) from None


def find_unknown(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every key of a config that our own forward pass does not know, or misses, with what is wrong."""
    family = config.get("model_type", "llama")
    if family not in OUR_FAMILIES:
        yield "model_type", f"is {family!r}, but only {' and '.join(map(repr, OUR_FAMILIES))} are computed here"
    rules = {**_MUST_BE, "attention_bias": (True, None) if family == "qwen2" else (False,)}
    for key, allowed in rules.items():
        if key in config and config[key] not in allowed:
            yield key, f"is {config[key]!r}, but only {allowed[0]!r} can be trained"
    for key in _REQUIRED:
        if key not in config:
            yield key, "is missing"
    if any(kind != "full_attention" for kind in config.get("layer_types") or ()):
        yield "layer_types", "has others than 'full_attention', which alone can be trained"
    rope = _read_rope(config)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "llama3"):
        yield "rope_parameters", f"is {rope!r}, but only rope types 'default' and 'llama3' can be trained"
    elif rope.get("partial_rotary_factor", 1.0) != 1.0:
        yield "rope_parameters", f"is {rope!r}, but only a partial_rotary_factor of 1 can be trained"
    elif kind == "llama3" and (lacking := sorted(_SCALING - rope.keys())):
        yield "rope_parameters", f"has rope type 'llama3' but lacks {', '.join(lacking)}"


def _read_rope(config: dict[str, Any]) -> dict[str, Any]:
    """Join what transformers 5 (rope_parameters) and 4 (rope_scaling, rope_theta) call rotary positions."""
    return {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}


def _shape_from(config: dict[str, Any], rope: dict[str, Any]) -> LlamaShape:
    family = config.get("model_type", "llama")
    is_scaled = rope.get("rope_type", rope.get("type")) == "llama3"
    if (positions := find_positions({"model_type": family, **config})) is None:
        raise ValueError("has no whole number above 0 for max_position_embeddings")
    return LlamaShape(
        **_take_sizes(parse_decoder_shape({"model_type": family, **config})),
        # The absent values are transformers' own defaults (5.23, configuration_llama.py, configuration_qwen2.py).
        max_positions=positions,
        rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        pad_id=config.get("pad_token_id"),
        end_id=config.get("eos_token_id", None if family == "qwen2" else 2),
        begin_id=config.get("bos_token_id", None if family == "qwen2" else 1),
        family=family,
        rope_scaling=RopeScaling(**{name: rope[name] for name in _SCALING}) if is_scaled else None,
    )


_LLAMA_ALONE: dict[str, Any] = {"attention_bias": False, "mlp_bias": False}
_QWEN2_ALONE: dict[str, Any] = {"use_sliding_window": False}


def write_shape(shape: LlamaShape, folder: Path) -> None:
    """Write `folder`/config.json, read alike by transformers (4 and 5), vLLM and `read_shape`."""
    text = json.dumps(shape.describe(), indent=2, sort_keys=True, ensure_ascii=False)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def _describe(shape: LlamaShape) -> dict[str, Any]:
    scaling = {"rope_type": "llama3", **asdict(shape.rope_scaling)} if shape.rope_scaling is not None else None
    config = {
        "architectures": [OUR_FAMILIES[shape.family]],
        "model_type": shape.family,
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        **(_LLAMA_ALONE if shape.family == "llama" else _QWEN2_ALONE),
        "attention_dropout": 0.0,
        "tie_word_embeddings": shape.tie_embeddings,
        "max_position_embeddings": shape.max_positions,
        # transformers 5 reads rope_parameters, transformers 4 and vLLM's older releases rope_theta.
        "rope_parameters": {"rope_theta": shape.rope_theta, **(scaling or {"rope_type": "default"})},
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.norm_eps,
        "pad_token_id": shape.pad_id,
        "bos_token_id": shape.begin_id,
        "eos_token_id": shape.end_id,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    if scaling is not None:
        # what transformers 4 reads
        config["rope_scaling"] = scaling
    return config
