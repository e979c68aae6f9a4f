"""Validation loss during training: on which held-out data, how often, on how much of it."""

from pydantic import Field

from mixlab.config.base import Settings

_EVERY = "steps between two validations; there is one before the first step and one after the last"
_WINDOWS = "windows of each source, evenly spaced over all it has; a source with fewer gives all"


class Cell(Settings):
    """What a loss is told for."""

    language: str = Field(description="language of the text")
    category: str = Field(description="category of instruction data, or raw")


class ValidationSettings(Settings):
    """Validation of a run as its spec holds it; `cells` stand in the order of the packs among its parents."""

    every_steps: int = Field(ge=1, le=10_000_000, description=_EVERY)
    windows: int = Field(ge=1, le=1_000_000, description=_WINDOWS)
    cells: tuple[Cell, ...] = Field(min_length=1, description="language and category of each source")


class ValidationConfig(Settings):
    """Loss on held-out sources during training, by language and category, into validation_loss.csv of the artifact.

    Sources of one language and category count together. None of their records may be in a mixture of the study.
    """

    sources: tuple[str, ...] = Field(
        min_length=1, description="held-out sources, parts of labelled sources or pools, by name"
    )
    every_steps: int = Field(ge=1, le=10_000_000, description=_EVERY)
    windows: int = Field(default=16, ge=1, le=1_000_000, description=_WINDOWS)
