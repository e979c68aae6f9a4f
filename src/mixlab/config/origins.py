"""Where the records of a source come from: files, the hub, or a generator of ours."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.categories import CATEGORIES, Category, Language
from mixlab.config.fields import FieldMapping, Pattern, PlacedTemplate, Preset, Select, Template, preset_mapping

Kind = Literal["raw", "instruction", "benchmark"]
KINDS: tuple[Kind, ...] = ("raw", "instruction", "benchmark")
Format = Literal["jsonl", "json", "parquet", "arrow", "tsv", "csv", "text", "python"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of a file's bytes")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", description="commit of a data set on the hub")]


def _check_digests(digests: tuple[str, ...]) -> tuple[str, ...]:
    if list(digests) != sorted(set(digests)):
        raise ValueError("digests must be sorted and without repetition: two of the files hold the same bytes")
    return digests


Digests = Annotated[
    tuple[Digest, ...], Field(min_length=1, description="digests of the files, sorted"), AfterValidator(_check_digests)
]


def check_below_root(path: str) -> str:
    """Return a path or pattern below a data root; raises ValueError for one that leads out of it.

    What it names may be a link that does.
    """
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(
            f"{path!r} leads out of the data root; write the path from there, without `..`, or add the folder "
            "that it means to machine.data_roots and name it as `root`"
        )
    return path


PathBelow = Annotated[str, AfterValidator(check_below_root)]

MAX_RECORD_MIB = 16
_DOCUMENTS = ("text", "python")
"""Formats whose records are texts and have no fields."""


class _Sized(Settings):
    max_record_mib: int = added(
        absent_means=MAX_RECORD_MIB,
        gt=0,
        le=1024,
        description="a larger record is a bad one, so that no record exhausts the memory; it takes a few times as much",
    )


class FileLayout(_Sized):
    """How records lie in a file; gzip and zstd are unpacked wherever the bytes say so."""

    format: Format = Field(
        description="jsonl (one object a line), json, parquet, arrow (what `datasets` saves; a path may name the saved "
        "folder), tsv, csv, text or python"
    )
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
    heading: Pattern | None = Field(None, description="text split by headings: regular expression of a heading line")

    @model_validator(mode="after")
    def _options_fit_format(self) -> Self:
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
    id: PlacedTemplate = Field(description="value that equals the item's id, e.g. '{question_id}'")
    item: dict[str, Template] = Field(min_length=1, description="item fields that this file adds")
    required: bool = Field(False, description="whether every item must be found here")


class JoinedFiles(_Joined):
    """A second set of files that adds fields to benchmark items with the same id."""

    digests: Digests


class JoinedConfig(_Joined):
    """`JoinedFiles` as a user writes it: by path."""

    paths: tuple[PathBelow, ...] = Field(min_length=1, description="files or patterns below the data root")


class _Mapped(Settings):
    """What is made of the records found, and which are taken."""

    fields: FieldMapping = Field(
        default_factory=FieldMapping, description="how fields of a record become text, messages or an item"
    )
    select: Select | None = added(
        absent_means=None, description="take only records with certain values, e.g. of a field with their category"
    )
    limit: int | None = Field(None, gt=0, description="take at most this many records, in reading order")


class _Preset(_Mapped):
    """`_Mapped` as a user writes it: a usual form of records may be named instead of its fields."""

    preset: Preset | None = Field(
        None, description="instead of fields: messages (OpenAI or ShareGPT), alpaca, question_answer or text"
    )

    @model_validator(mode="after")
    def _preset_or_fields(self) -> Self:
        if self.preset is not None and self.fields != FieldMapping():
            raise ValueError("`preset` and `fields` say the same thing: remove one of them")
        return self

    def mapping(self) -> FieldMapping:
        """The fields as written, or those that the preset stands for."""
        return self.fields if self.preset is None else preset_mapping(self.preset)


class _Files(FileLayout):
    type: Literal["files"] = "files"


class FilesOrigin(_Files, _Mapped):
    """Files by their bytes: names and places decide nothing, and records are read in the order of digests."""

    digests: Digests
    joined: JoinedFiles | None = Field(None, description="second files joined by id; benchmarks only")


class FilesConfig(_Files, _Preset):
    """`FilesOrigin` as a user writes it: by path below a named data root."""

    root: str = Field("data", description="name of a data root of the machine settings")
    paths: tuple[PathBelow, ...] = Field(min_length=1, description="files or patterns below the data root")
    joined: JoinedConfig | None = Field(None, description="second files joined by id; benchmarks only")

    def to_origin(self, digests: Sequence[str], joined_digests: Sequence[str]) -> FilesOrigin:
        """Replace paths by the digests of the files they name; raises ValueError when two are the same."""
        left_out = ("digests", "joined", "fields")
        given = {name: getattr(self, name) for name in FilesOrigin.model_fields if name not in left_out}
        joined = None
        if self.joined is not None:
            kept = {name: getattr(self.joined, name) for name in JoinedFiles.model_fields if name != "digests"}
            joined = JoinedFiles(digests=tuple(sorted(joined_digests)), **kept)
        return FilesOrigin(digests=tuple(sorted(digests)), joined=joined, fields=self.mapping(), **given)


class _Hub(_Sized):
    type: Literal["hub"] = "hub"
    id: str = Field(
        pattern=r"^[\w\-]+(\.[\w\-]+)*/[\w\-]+(\.[\w\-]+)*$", description="data set on the hub, as owner/name"
    )
    config: str | None = Field(None, description="configuration of the data set; absent: its only or default one")
    split: str = Field("train", pattern=r"^\w+([.\-]\w+)*$", description="split of the data set")


class HubOrigin(_Hub, _Mapped):
    """A data set of the hub at one commit, read through the library `datasets`; no code of its author's is run."""

    revision: Commit


class HubConfig(_Hub, _Preset):
    """`HubOrigin` as a user writes it: `mixlab lock` finds the commit of the revision."""

    revision: str = Field("main", min_length=1, description="branch, tag or commit")

    def to_origin(self, revision: str) -> HubOrigin:
        """Replace the name of a revision by its commit."""
        left_out = ("revision", "fields")
        given = {name: getattr(self, name) for name in HubOrigin.model_fields if name not in left_out}
        return HubOrigin(revision=revision, fields=self.mapping(), **given)


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


Origin = GeneratorOrigin | FilesOrigin | HubOrigin
OriginConfig = GeneratorOrigin | FilesConfig | HubConfig


def check_origin(kind: str, origin: Origin | OriginConfig) -> None:
    """Raise ValueError unless what an origin holds can be a source of `kind`."""
    if isinstance(origin, GeneratorOrigin):
        part, category = origin.options.part, origin.options.category
        kinds = {"tasks": KINDS, "dialogue": ("instruction", "benchmark"), "strangers": ("benchmark",)}[part]
        if kind not in kinds:
            raise ValueError(f"`part: {part}` belongs to kind {' or '.join(kinds)}, not {kind}: remove it")
        if kind == "raw" and category is not None:
            raise ValueError("raw text of the invented world has no category: remove `category`")
        if category is None and (kind == "instruction" or (kind == "benchmark" and part == "tasks")):
            raise ValueError(f"the invented world needs `category` for kind {kind}: one of {', '.join(CATEGORIES)}")
        if part == "strangers" and category != "general":
            raise ValueError("`part: strangers` asks for facts: set `category: general`")
        return
    if isinstance(origin, _Preset) and origin.preset is not None:
        wanted = "raw" if origin.preset == "text" else "instruction"
        if kind != wanted:
            raise ValueError(f"`preset: {origin.preset}` belongs to kind {wanted}, not {kind}: write `fields` instead")
    is_document = isinstance(origin, _Files) and origin.format in _DOCUMENTS
    fields = origin.mapping() if isinstance(origin, _Preset) else origin.fields
    fields.check_kind(kind, has_text=is_document)
    if is_document and origin.select is not None:
        raise ValueError("a text has no fields to select by: remove `select`")
    if isinstance(origin, _Files) and origin.joined is not None and kind != "benchmark":
        raise ValueError(f"`joined` belongs to kind benchmark, not {kind}: remove it")
