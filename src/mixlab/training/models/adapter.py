"""What a model that trains an adapter says of it; knows no torch."""

from dataclasses import dataclass
from pathlib import Path

from mixlab.config.training import LoraSettings


@dataclass(frozen=True)
class Adapter:
    """An adapter, and the folder of the model that it stands on."""

    settings: LoraSettings
    base: Path
