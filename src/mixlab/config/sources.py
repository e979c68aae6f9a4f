"""What a user may write about a source, and what of it enters a key."""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.categories import CATEGORIES, LANGUAGES, RAW_LANGUAGES, Category, Language, RawLanguage
from mixlab.config.filters import FilterConfig
from mixlab.config.origins import (
    Digest,
    FileLayout,
    FilesConfig,
    FilesOrigin,
    Format,
    GeneratorOrigin,
    HubConfig,
    HubOrigin,
    InventedWorld,
    JoinedConfig,
    JoinedFiles,
    Kind,
    Origin,
    OriginConfig,
    check_origin,
)
from mixlab.config.published import Published

__all__ = [
    "CATEGORIES",
    "LANGUAGES",
    "TO_BE_LABELLED",
    "Category",
    "Digest",
    "FileLayout",
    "FilesConfig",
    "FilesOrigin",
    "Format",
    "GeneratorOrigin",
    "HubConfig",
    "HubOrigin",
    "InventedWorld",
    "JoinedConfig",
    "JoinedFiles",
    "Kind",
    "Language",
    "OnBadRecord",
    "SourceConfig",
    "SourceSettings",
    "find_repeated",
]

OnBadRecord = Literal["fail", "exclude"]
ToBeLabelled = Literal["to_be_labelled"]
TO_BE_LABELLED: ToBeLabelled = "to_be_labelled"


class _Source(Settings):
    kind: Kind = Field(description="raw text, instruction dialogues, or benchmark items")
    on_bad_record: OnBadRecord = Field(
        "fail", description="fail: a malformed record stops the stage; exclude: it is listed and left out"
    )


class SourceSettings(_Source):
    """Everything that decides the records of a source."""

    origin: Origin = Field(discriminator="type", description="where records come from")

    @model_validator(mode="after")
    def _origin_fits_kind(self) -> Self:
        check_origin(self.kind, self.origin)
        return self


class SourceConfig(_Source):
    """One source as a user declares it; labels, licence and published figures never enter the source's key."""

    language: RawLanguage | None = Field(
        None, description="language of the text; zh, ko and code for raw text alone; optional for a benchmark"
    )
    category: Category | ToBeLabelled | None = Field(
        None, description="skill that an instruction source teaches; to_be_labelled: a labeller says it of each record"
    )
    labeller: str | None = Field(None, description="name of the labeller, for category to_be_labelled")
    licence: str = Field(
        min_length=1, description="SPDX id or expression such as CC-BY-SA-4.0, or the name of a tier of licences"
    )
    filters: tuple[FilterConfig, ...] | None = Field(
        None, description="what leaves records out, in this order; absent: as the study says"
    )
    published: Published | None = Field(None, description="what a publication says of it, for comparison")
    origin: OriginConfig = Field(discriminator="type", description="where records come from")

    @model_validator(mode="after")
    def _labels_fit_kind(self) -> Self:
        check_origin(self.kind, self.origin)
        languages = RAW_LANGUAGES if self.kind == "raw" else LANGUAGES
        if self.kind != "benchmark" and self.language is None:
            raise ValueError(f"a source of kind {self.kind} needs `language` ({' or '.join(languages)})")
        if self.language is not None and self.language not in languages:
            raise ValueError(f"`language: {self.language}` is for raw text; {self.kind}: {' or '.join(languages)}")
        if self.kind == "instruction" and self.category is None:
            known = ", ".join((*CATEGORIES, TO_BE_LABELLED))
            raise ValueError(f"an instruction source needs `category` (one of {known})")
        if self.kind == "raw" and self.category is not None:
            raise ValueError("a raw source has no category: remove `category`")
        self._check_labeller()
        if isinstance(self.origin, GeneratorOrigin):
            for label in ("language", "category"):
                made = getattr(self.origin.options, label)
                if getattr(self, label) not in (None, made, TO_BE_LABELLED):
                    raise ValueError(
                        f"`{label}` is {getattr(self, label)!r} but the generator makes {made!r}: make them equal"
                    )
        return self

    def _check_labeller(self) -> None:
        is_open = self.category == TO_BE_LABELLED
        if is_open and self.kind != "instruction":
            raise ValueError(f"`category: {TO_BE_LABELLED}` belongs to kind instruction, not {self.kind}: remove it")
        if is_open and self.labeller is None:
            raise ValueError(f"`category: {TO_BE_LABELLED}` needs `labeller: NAME`, one of the study's labellers")
        if not is_open and self.labeller is not None:
            raise ValueError(f"`labeller` belongs to `category: {TO_BE_LABELLED}`: remove one of them")

    def to_settings(
        self, digests: Sequence[str] = (), joined_digests: Sequence[str] = (), revision: str | None = None
    ) -> SourceSettings:
        """Replace paths by the digests of the files they name, a revision by its commit; a generator has neither."""
        origin: Origin
        if isinstance(self.origin, FilesConfig):
            origin = self.origin.to_origin(digests, joined_digests)
        elif isinstance(self.origin, HubConfig):
            origin = self.origin.to_origin(revision or "")
        else:
            origin = self.origin
        return SourceSettings(kind=self.kind, on_bad_record=self.on_bad_record, origin=origin)


def find_repeated(sources: Mapping[str, SourceSettings]) -> list[tuple[str, str]]:
    """Pair each source with every earlier one that has some of its records: a mixture of both counts them twice.

    Records are the same when they are made alike of the same file, split of the hub, or seed; how many are taken
    makes no difference, since all begin at the first. Selections by one template overlap where they share a value;
    of selections by different templates nothing is known, so that they pass.
    """
    alike: dict[str, list[str]] = {}
    pairs = []
    for name, source in sources.items():
        earlier = alike.setdefault(_making(source.origin), [])
        pairs += [(name, other) for other in earlier if _overlap(source.origin, sources[other].origin)]
        earlier.append(name)
    return pairs


def _making(origin: Origin) -> str:
    """How records are made, and of which split or seed; without which files, and how many of the records."""
    return origin.model_dump_json(exclude={"digests", "select", "limit", "size", "max_record_mib"})


def _overlap(one: Origin, other: Origin) -> bool:
    """Whether two origins that make records alike share some."""
    if isinstance(one, GeneratorOrigin) or isinstance(other, GeneratorOrigin):
        return True
    if isinstance(one, FilesOrigin) and isinstance(other, FilesOrigin) and not {*one.digests} & {*other.digests}:
        return False
    if one.select is None or other.select is None:
        return True
    return one.select.by == other.select.by and bool({*one.select.values} & {*other.select.values})
