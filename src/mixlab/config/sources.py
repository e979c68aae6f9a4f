"""What a user may write about a source, and what of it enters a key."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.fields import FieldMapping, Template

Kind = Literal["raw", "instruction", "benchmark"]
Language = Literal["en", "ja"]
Category = Literal["code", "general", "math", "reasoning"]
Format = Literal["jsonl", "json", "tsv", "csv", "text", "python"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of a file's bytes")]

LANGUAGES: tuple[Language, ...] = ("en", "ja")
CATEGORIES: tuple[Category, ...] = ("code", "general", "math", "reasoning")


class FileLayout(Settings):
    """How records lie in a file; `.gz` is unpacked wherever the bytes say so."""

    format: Format = Field(description="jsonl (one object a line), json, tsv, csv, text or python")
    columns: tuple[str, ...] | None = Field(
        None, min_length=1, description="column names of a tsv or csv without header; else the first row names them"
    )
    records_at: str = Field(
        "*",
        description="json: path to the records, `*` for each element, e.g. examples.*; "
        "fields of the objects on the way are visible in each record",
    )
    split: Literal["file", "blank_lines", "lines", "headings"] = Field(
        "file", description="text: what makes a document"
    )
    heading: str | None = Field(None, description="text split by headings: regular expression of a heading line")

    @model_validator(mode="after")
    def _options_fit_format(self) -> "FileLayout":
        checks = (
            ("columns", self.columns is not None, ("tsv", "csv")),
            ("records_at", self.records_at != "*", ("json",)),
            ("split", self.split != "file", ("text",)),
        )
        for name, is_set, formats in checks:
            if is_set and self.format not in formats:
                raise ValueError(f"`{name}` belongs to format {' or '.join(formats)}, not {self.format}: remove it")
        if (self.split == "headings") != (self.heading is not None):
            raise ValueError("`split: headings` and `heading: <regular expression>` go together: set both or none")
        return self


class _Joined(FileLayout):
    id: Template = Field(description="value that equals the item's id, e.g. '{question_id}'")
    item: dict[str, Template] = Field(min_length=1, description="item fields that this file adds")
    required: bool = Field(False, description="whether every item must be found here")


class JoinedFiles(_Joined):
    """A second set of files that adds fields to benchmark items with the same id."""

    digests: tuple[Digest, ...] = Field(min_length=1, description="digests of the files, sorted")


class JoinedConfig(_Joined):
    """`JoinedFiles` as a user writes it: by path."""

    paths: tuple[str, ...] = Field(min_length=1, description="files or patterns below the data root")


class _Files(FileLayout):
    type: Literal["files"] = "files"
    fields: FieldMapping = Field(
        default_factory=FieldMapping, description="how fields of a record become text, messages or an item"
    )
    limit: int | None = Field(None, gt=0, description="take at most this many records, in reading order")


class FilesOrigin(_Files):
    """Files by their bytes: names and places decide nothing, and records are read in the order of digests."""

    digests: tuple[Digest, ...] = Field(min_length=1, description="digests of the files, sorted")
    joined: JoinedFiles | None = Field(None, description="second files joined by id; benchmarks only")

    @model_validator(mode="after")
    def _digests_are_sorted(self) -> "FilesOrigin":
        if list(self.digests) != sorted(set(self.digests)):
            raise ValueError("digests must be sorted and without repetition: two of the files hold the same bytes")
        return self


class FilesConfig(_Files):
    """`FilesOrigin` as a user writes it: by path below a named data root."""

    root: str = Field("data", description="name of a data root of the machine settings")
    paths: tuple[str, ...] = Field(min_length=1, description="files or patterns below the data root")
    joined: JoinedConfig | None = Field(None, description="second files joined by id; benchmarks only")


class InventedWorld(Settings):
    """Options of the generator `invented_world`: bilingual text and tasks of a small world."""

    language: Language = Field(description="language of the records")
    category: Category | None = Field(
        None, description="skill; absent for raw text and for dialogues over all categories"
    )
    part: Literal["tasks", "dialogue", "strangers"] = Field(
        "tasks",
        description="tasks, two-turn dialogues of them, or (benchmark) questions about people whom no text names, "
        "a control",
    )
    world_seed: int = Field(ge=0, lt=2**63, description="fixes people, facts and what is held out")


class GeneratorOrigin(Settings):
    """Records made by a seeded generator of ours."""

    type: Literal["generator"] = "generator"
    name: Literal["invented_world"] = Field(description="name of the generator")
    version: Literal[1] = Field(1, description="raised when the generator's output changes")
    seed: int = Field(0, ge=0, lt=2**63, description="which records of the world are drawn")
    size: int = Field(gt=0, le=10_000_000, description="records; never more than there are distinct ones")
    options: InventedWorld = Field(description="options of the generator")


OnBadRecord = Literal["fail", "exclude"]


class _Source(Settings):
    kind: Kind = Field(description="raw text, instruction dialogues, or benchmark items")
    on_bad_record: OnBadRecord = Field(
        "fail", description="fail: a malformed record stops the stage; exclude: it is listed and left out"
    )


class SourceSettings(_Source):
    """Everything that decides the records of a source."""

    origin: GeneratorOrigin | FilesOrigin = Field(discriminator="type", description="where records come from")

    @model_validator(mode="after")
    def _origin_fits_kind(self) -> "SourceSettings":
        _check_origin(self.kind, self.origin)
        return self


class SourceConfig(_Source):
    """One source as a user declares it; labels and licence never enter the source's key."""

    language: Language | None = Field(None, description="language of the text; optional for a benchmark")
    category: Category | None = Field(None, description="skill that an instruction source teaches")
    licence: str = Field(min_length=1, description="licence of the data, in words")
    origin: GeneratorOrigin | FilesConfig = Field(discriminator="type", description="where records come from")

    @model_validator(mode="after")
    def _labels_fit_kind(self) -> "SourceConfig":
        _check_origin(self.kind, self.origin)
        if self.kind != "benchmark" and self.language is None:
            raise ValueError(f"a source of kind {self.kind} needs `language` ({' or '.join(LANGUAGES)})")
        if self.kind == "instruction" and self.category is None:
            raise ValueError(f"an instruction source needs `category` (one of {', '.join(CATEGORIES)})")
        if self.kind == "raw" and self.category is not None:
            raise ValueError("a raw source has no category: remove `category`")
        if isinstance(self.origin, GeneratorOrigin):
            for label in ("language", "category"):
                made = getattr(self.origin.options, label)
                if getattr(self, label) not in (None, made):
                    raise ValueError(
                        f"`{label}` is {getattr(self, label)!r} but the generator makes {made!r}: make them equal"
                    )
        return self

    def to_settings(self, digests: Sequence[str] = (), joined_digests: Sequence[str] = ()) -> SourceSettings:
        """Replace paths by the digests of the files they name; both empty for a generator."""
        if isinstance(self.origin, GeneratorOrigin):
            return SourceSettings(kind=self.kind, on_bad_record=self.on_bad_record, origin=self.origin)
        given = {name: getattr(self.origin, name) for name in FilesOrigin.model_fields if name not in _BY_PATH}
        joined = None
        if self.origin.joined is not None:
            second = self.origin.joined
            kept = {name: getattr(second, name) for name in JoinedFiles.model_fields if name != "digests"}
            joined = JoinedFiles(digests=tuple(sorted(set(joined_digests))), **kept)
        origin = FilesOrigin(digests=tuple(sorted(set(digests))), joined=joined, **given)
        return SourceSettings(kind=self.kind, on_bad_record=self.on_bad_record, origin=origin)


_BY_PATH = ("digests", "joined")
_KINDS = ("raw", "instruction", "benchmark")


def _check_origin(kind: str, origin: GeneratorOrigin | FilesOrigin | FilesConfig) -> None:
    if isinstance(origin, GeneratorOrigin):
        part, category = origin.options.part, origin.options.category
        kinds = {"tasks": _KINDS, "dialogue": ("instruction", "benchmark"), "strangers": ("benchmark",)}[part]
        if kind not in kinds:
            raise ValueError(f"`part: {part}` belongs to kind {' or '.join(kinds)}, not {kind}: remove it")
        if kind == "raw" and category is not None:
            raise ValueError("raw text of the invented world has no category: remove `category`")
        if category is None and (kind == "instruction" or (kind == "benchmark" and part == "tasks")):
            raise ValueError(f"the invented world needs `category` for kind {kind}: one of {', '.join(CATEGORIES)}")
        if part == "strangers" and category != "general":
            raise ValueError("`part: strangers` asks for facts: set `category: general`")
        return
    origin.fields.check_kind(kind, has_text=origin.format in ("text", "python"))
    if origin.joined is not None and kind != "benchmark":
        raise ValueError(f"`joined` belongs to kind benchmark, not {kind}: remove it")
