"""What the lock notes of a base model that is read: its sizes, by its `config.json`."""

import json
from pathlib import Path

from mixlab.config.model_facts import ModelFacts, take_facts
from mixlab.config.model_flops import DENSE
from mixlab.config.problems import ConfigError


def read_facts(path: Path) -> ModelFacts:
    """Read the sizes that a `config.json` states; raises ConfigError for one that cannot be read."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no readable Hugging Face config ({error}); give a model folder") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: no Hugging Face config: it is no mapping; give a model folder")
    if config.get("model_type", "llama") in DENSE or "auto_map" in config:
        return take_facts(config)
    # here, and not above: a lock of what the formulas describe never pays for torch
    from mixlab.training.models.projections import find_projections

    return take_facts(config, find_projections(config))
