"""What the `config.json` of a model that is read says of its sizes: known to a plan before the model is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from mixlab.config.model_flops import DecoderShape, parse_decoder_shape
from mixlab.config.training import LoraTarget

PROJECTIONS: tuple[str, ...] = get_args(LoraTarget)
"""What an adapter may stand beside, by Hugging Face's names."""
_KEPT = (
    "attention_bias",
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "model_type",
    "n_positions",
    "n_routed_experts",
    "num_attention_heads",
    "num_experts",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_local_experts",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
    "vocab_size",
)
_POSITIONS = {"llama": 2_048, "qwen2": 32_768}
"""What transformers 5.23 takes where config.json does not say it (configuration_llama.py, configuration_qwen2.py)."""
_WITHOUT_WINDOW = ("llama", "qwen")
"""Begin of families whose sliding window is used where `use_sliding_window` says so, and else is not."""


@dataclass(frozen=True)
class ModelFacts:
    """The keys of a `config.json` that say sizes, with their values there.

    `projections`: of a family that no formula here describes, each projection that an adapter may stand beside and its
    narrowest side, as transformers has them; None where that is not known, and where the formulas say it.
    """

    config: Mapping[str, Any]
    projections: Mapping[str, int] | None = None

    def shape(self) -> DecoderShape:
        """Return its shape; raises ValueError, which says why, for a family that no formula here describes."""
        return parse_decoder_shape(self.config)

    def widths(self) -> Mapping[str, int] | None:
        """The narrowest side of each projection an adapter may stand beside; None where that is not known."""
        if self.projections is not None:
            return self.projections
        try:
            return list_widths(self.shape())
        except ValueError:
            return None

    def to_card(self) -> dict[str, Any]:
        """What the lock notes."""
        card: dict[str, Any] = {"config": dict(self.config)}
        return card if self.projections is None else {**card, "projections": dict(self.projections)}


def take_facts(config: Mapping[str, Any], projections: Mapping[str, int] | None = None) -> ModelFacts:
    """Take of a `config.json` what says sizes; one without `model_type` is a Llama, as it is where it is read."""
    stated = {"model_type": "llama", **config}
    return ModelFacts({name: stated[name] for name in _KEPT if stated.get(name) is not None}, projections)


def parse_facts(card: Any) -> ModelFacts:
    """Read what `to_card` made; raises ValueError for anything else."""
    config = card.get("config") if isinstance(card, dict) else None
    projections = card.get("projections") if isinstance(card, dict) else None
    if not isinstance(config, dict):
        raise ValueError(f"its model is {card!r}, not what config.json says of it")
    if projections is not None and (
        not isinstance(projections, dict) or any(type(width) is not int for width in projections.values())
    ):
        raise ValueError(f"its model has projections {projections!r}, not names with widths")
    return ModelFacts(config, projections)


def list_widths(shape: DecoderShape) -> dict[str, int]:
    """Return the narrowest side of each projection that an adapter may stand beside."""
    return {name: min(rows, columns) for name, (rows, columns, _) in shape.projections().items() if name in PROJECTIONS}


def find_positions(config: Mapping[str, Any]) -> int | None:
    """Longest sequence in tokens by `config.json`, None where it does not say: positions, or a shorter sliding window.

    Within its window attention is plain, and none that slides is trained here.
    """
    family = str(config.get("model_type"))
    stated = config.get("max_position_embeddings", config.get("n_positions", _POSITIONS.get(family)))
    if type(stated) is not int or stated < 1:
        return None
    window = config.get("sliding_window")
    slides = config.get("use_sliding_window", not family.startswith(_WITHOUT_WINDOW))
    return min(stated, window) if slides and type(window) is int else stated
