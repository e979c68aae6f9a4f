"""Models before IPT: trained from scratch, or read from a Hugging Face folder or the hub."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mixlab.config.base import Settings, require_one
from mixlab.config.held_out import ValidationConfig
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.models import ModelSettings, count_rows
from mixlab.config.origins import Commit, Digest, PathBelow
from mixlab.config.pools import Label
from mixlab.config.training import TrainSettings

Layout = Literal["packed", "concatenated"]
LAYOUT = "packed: whole documents share a window; concatenated: text is cut where a window is full"


class Overrides(Settings):
    """What is different for one base model: keys of the study's sections, laid over them as an extending file would.

    Mappings merge, lists and scalars replace, null removes, or stays where it is a value of its own (`gradient_clip`);
    the whole is checked as if it had been written there.
    """

    variant_defaults: dict[str, Any] | None = Field(default=None, description="keys of variants, for those without")
    variants: dict[Label, dict[str, Any]] | None = Field(default=None, description="keys of single variants, by label")
    ipt: dict[str, Any] | None = Field(default=None, description="keys of ipt")
    average: dict[str, Any] | None = Field(default=None, description="keys of average")
    sft: dict[str, Any] | None = Field(default=None, description="keys of sft")


class _BaseModel(Settings):
    tokenizer: str = Field(description="name of its tokenizer")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="strings before which responses of its descendants are cut, beside each benchmark's"
    )
    end_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="special tokens that end their responses as the tokenizer's end token does"
    )
    overrides: Overrides | None = Field(
        default=None, description="what of ipt, average, sft and the variants is different for this base model"
    )


class ScratchModelConfig(_BaseModel):
    """A base model trained from scratch on a mixture."""

    type: Literal["scratch"] = "scratch"
    model: ModelSettings | None = Field(default=None, description="architecture and initial weights")
    architecture: str | None = Field(default=None, description="name of one of the study's architectures, for `model`")
    mixture: MixtureConfig = Field(description="what it is trained on")
    sequence_tokens: int = Field(gt=1, description="tokens in a window")
    training: TrainSettings = Field(description="optimizer, schedule, batch")
    layout: Layout = Field(default="packed", description=LAYOUT)
    pretrain_seed: int = Field(default=1, ge=0, description="seed of the first weights and of the order")
    validation: ValidationConfig | None = Field(
        default=None, description="loss on held-out sources during training; absent: none"
    )

    @model_validator(mode="after")
    def _has_one_architecture(self) -> Self:
        require_one(self, "a model from scratch needs", "model", "architecture")
        return self


class VocabularyResize(Settings):
    """Rows added to embeddings and head where the tokenizer has more entries than they have rows.

    A new row is the mean of the old ones: what a model says of other tokens then stays as it was but for a small and
    bounded share (Hewitt 2021, https://nlp.stanford.edu/~johnhew/vocab-expansion.html). Rows are never taken away.
    """

    new_rows: Literal["mean"] = Field(default="mean", description="the mean of all rows that were there")
    multiple: int = Field(default=1, ge=1, le=65_536, description="rows are added up to a multiple of it")

    def count(self, entries: int, rows: int) -> int:
        """Rows for a tokenizer with so many entries, of a model that had `rows`."""
        return count_rows(max(entries, rows), self.multiple)


class _ReadModel(_BaseModel):
    resize_vocabulary: VocabularyResize | None = Field(
        default=None, description="add rows for a tokenizer with more entries; absent: that is an error"
    )


class FilesModelConfig(_ReadModel):
    """A base model in a Hugging Face folder: config.json and safetensors; no code beside them is run."""

    type: Literal["files"]
    root: str = Field("data", description="name of a data root of the machine settings")
    path: PathBelow = Field(min_length=1, description="the model's folder, below the data root")


class HubModelConfig(_ReadModel):
    """A base model of the hub; `mixlab lock` finds the commit. Its safetensors are read, no code is run."""

    type: Literal["hub"]
    id: str = Field(pattern=r"^[\w\-]+(\.[\w\-]+)*/[\w\-]+(\.[\w\-]+)*$", description="model on the hub, as owner/name")
    revision: str = Field("main", min_length=1, description="branch, tag or commit")


def _is_scratch_unless_said(value: Any) -> Any:
    return {"type": "scratch", **value} if isinstance(value, Mapping) and "type" not in value else value


BaseModelConfig = Annotated[
    ScratchModelConfig | FilesModelConfig | HubModelConfig,
    Field(discriminator="type"),
    BeforeValidator(_is_scratch_unless_said),
]
"""A base model as a user declares it; without `type` it is trained from scratch."""


class ModelFile(Settings):
    """One file of a model folder."""

    name: str = Field(min_length=1, description="its name in the folder")
    digest: Digest


class ModelFiles(Settings):
    """A model folder, by the bytes of its files."""

    type: Literal["files"] = "files"
    files: tuple[ModelFile, ...] = Field(min_length=1, description="config.json and safetensors, by name")


class HubModel(Settings):
    """A model of the hub at one commit."""

    type: Literal["hub"] = "hub"
    id: str
    revision: Commit


class BaseModelSettings(Settings):
    """What decides a base model that is read; its tokenizer is its parent."""

    origin: Annotated[ModelFiles | HubModel, Field(discriminator="type")] = Field(description="where it comes from")
    resize_vocabulary: VocabularyResize | None = Field(default=None, description="rows added for the tokenizer")
