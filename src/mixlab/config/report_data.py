"""What a report says of a study's data: the names people use, beside the keys of what holds the figures."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.problems import did_you_mean

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._-]*$")]
Name = Annotated[str, Field(min_length=1)]
Purpose = Literal["pretrain", "ipt", "sft"]


class ShownFilter(Settings):
    """One step between a source's records and its tokens."""

    name: Name = Field(description="what it looks for: exact_duplicates, length, label math")
    key: Key = Field(description="key of the filter's artifact")


class ShownSource(Settings):
    """A training source, or the part of one that a label names, as mixtures know it."""

    name: Name = Field(description="`web`, or `web/math` for a part")
    licence: Name = Field(description="as declared for the source: an SPDX expression, a tier, unknown")
    tiers: tuple[Name, ...] = Field(default=(), description="tiers the licence falls into")
    permission: Name = Field(description="what the study's policy says of the licence")
    contamination: Key | None = Field(default=None, description="key of its check; None: not checked")
    filters: tuple[ShownFilter, ...] = Field(default=(), description="in the order in which they were applied")
    source: Key | None = added(None, description="key of the source's own artifact, which says what reading left out")
    labels: Key | None = added(None, description="part: key of the labels, which say how many could not be read")


class ShownMixture(Settings):
    """A mixture of the study; `sources` are names in the order of the positions in its certificate."""

    label: Name = Field(description="what people call it; several uses of one mixture are joined")
    key: Key = Field(description="key of the mixture's artifact")
    purposes: tuple[Purpose, ...] = Field(min_length=1, description="what is trained on it")
    tokenizer: Name = Field(description="name of its tokenizer")
    tokenizer_key: Key = Field(description="key of the tokenizer's artifact")
    sources: tuple[Name, ...] = Field(min_length=1, description="names of its sources, by position")
    variants: tuple[Name, ...] = added((), description="variants of which it is the IPT mixture")
    base_models: tuple[Name, ...] = added((), description="base models that are trained on it, or go on from there")


class ShownAssumption(Settings):
    """A value that the study takes without a source."""

    address: Name = Field(description="where it stands in the study: ipt.training.weight_decay")
    value: str = Field(description="the value, as text")
    reason: Name = Field(description="why this value")


class DataShown(Settings):
    """Everything that the report and `mixlab certificate` need to name what artifacts hold; it moves no number."""

    mixtures: tuple[ShownMixture, ...] = Field(default=(), description="in order of display")
    sources: tuple[ShownSource, ...] = Field(default=(), description="every source that a mixture names, by name")
    benchmarks: tuple[Name, ...] = Field(default=(), description="names, by position in each check for contamination")
    on_found: str = Field(default="warn", description="what is done with contaminated records: warn, drop, fail")
    counts: Key | None = Field(default=None, description="key of the tables of samples and tokens")
    assumptions: tuple[ShownAssumption, ...] = Field(default=(), description="in order of address")

    @model_validator(mode="after")
    def _names_are_known(self) -> "DataShown":
        known = {source.name for source in self.sources}
        if len(known) != len(self.sources):
            raise ValueError("two sources have one name; names must differ")
        for mixture in self.mixtures:
            for name in mixture.sources:
                if name not in known:
                    raise ValueError(f"mixture '{mixture.label}': no source '{name}'{did_you_mean(name, known)}")
        return self

    def source(self, name: str) -> ShownSource:
        """The source with a name that a mixture gives."""
        return next(source for source in self.sources if source.name == name)

    def keys(self) -> dict[str, tuple[str, ...]]:
        """Keys by stage of the artifacts that hold the figures, each once, in order: the parents of the report."""
        checks = {source.contamination for source in self.sources if source.contamination}
        return {
            "sources": tuple(sorted({source.source for source in self.sources if source.source})),
            "mixtures": tuple(sorted({mixture.key for mixture in self.mixtures})),
            "contamination": tuple(sorted(checks)),
            "labels": tuple(sorted({source.labels for source in self.sources if source.labels})),
            "filters": tuple(sorted({one.key for source in self.sources for one in source.filters})),
            "counts": (self.counts,) if self.counts else (),
        }
