"""Which projections of a model an adapter may stand beside, and how narrow each is."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn

from mixlab.config.model_facts import PROJECTIONS


def measure_projections(model: nn.Module, names: Iterable[str] = PROJECTIONS) -> dict[str, int]:
    """Return the narrowest side of each linear layer so named, of those that the model has."""
    widths: dict[str, int] = {}
    for name in names:
        found = [one for place, one in model.named_modules() if place.endswith(f".{name}")]
        if sides := [min(one.in_features, one.out_features) for one in found if isinstance(one, nn.Linear)]:
            widths[name] = min(sides)
    return widths


def find_projections(config: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the projections of a model by its config.json, as transformers would build it; no weight is made.

    None for a family that this transformers does not know or cannot build, which training tells of.
    """
    # transformers is imported for this alone: 2.7 s a process
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    stated = {name: value for name, value in config.items() if name != "model_type"}
    auto: Any = AutoModelForCausalLM
    try:
        settings = AutoConfig.for_model(str(config.get("model_type")), **stated)
        with torch.device("meta"):
            model = auto.from_config(settings, trust_remote_code=False)
    except (OSError, ValueError, TypeError, RuntimeError, ImportError, LookupError, AttributeError, ArithmeticError):
        return None
    except StrictDataclassError:  # a plain Exception: a value in config.json that the family does not take
        return None
    return measure_projections(model)
