"""What decides the tables of samples and tokens: the names and labels of the token stores that are counted."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.categories import Category, RawLanguage

Name = Annotated[str, Field(min_length=1)]
IPT_POOL, SFT_POOL = "ipt", "sft"
"""What the mixtures of IPT and of SFT draw from; Table 1 is of the one, Table 2 of the other."""


class CountedStore(Settings):
    """One token store as people know it."""

    source: Name = Field(description="name of the source, or of the part of it that a label names")
    kind: Literal["raw", "instruction"] = Field(description="as declared for the source")
    language: RawLanguage = Field(description="as declared for the source")
    category: Category | None = Field(default=None, description="instruction sources only")
    tokenizer: Name = Field(description="name of the tokenizer")
    pools: tuple[Name, ...] = Field(default=(), description="what draws from it: pretrain, ipt, sft, a pool's name")


class BalancedTable(Settings):
    """Which pool Table 13 shows, with which tokenizer."""

    pool: Name = Field(description="name of the pool")
    tokenizer: Name = Field(description="name of the tokenizer")


class CountsSettings(Settings):
    """The stores of a study, in the order of the parents; names are for people, so they are in this key alone."""

    stores: tuple[CountedStore, ...] = Field(min_length=1, description="in the order of the folders handed over")
    balanced: BalancedTable | None = Field(default=None, description="what Table 13 shows; absent: there is none")

    @model_validator(mode="after")
    def _stores_are_distinct(self) -> "CountsSettings":
        named = [(store.source, store.tokenizer) for store in self.stores]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            source, tokenizer = twice[0]
            raise ValueError(f"source '{source}' with tokenizer '{tokenizer}' is counted twice; name each once")
        return self
