"""What decides a tokenizer and a token store."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.chat import ChatTemplate, default_chat
from mixlab.config.origins import Commit, Digest, PathBelow

HubName = Annotated[str, Field(pattern=r"^[\w\-]+(\.[\w\-]+)*/[\w\-]+(\.[\w\-]+)*$")]
RepositoryPath = Annotated[str, Field(pattern=r"^([\w\-][\w\-.]*/)*[\w\-][\w\-.]*\.json$")]
"""A file in a repository of the hub; no pattern, nothing that leads out of it."""
PAD_TOKEN = "<|pad|>"
END_TOKEN = "<|end|>"
USER_TOKEN = "<|user|>"
ASSISTANT_TOKEN = "<|assistant|>"
SYSTEM_TOKEN = "<|system|>"
SPECIAL_TOKENS = (PAD_TOKEN, END_TOKEN, USER_TOKEN, ASSISTANT_TOKEN, SYSTEM_TOKEN)
"""In the order of their ids, 0 to 4."""
SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)
"""All bytes and the special tokens: no merge at all."""


class TokenizerSettings(Settings):
    """How a tokenizer is trained; its sources are its parents."""

    algorithm: Literal["byte_bpe"] = Field("byte_bpe", description="byte-level byte-pair encoding")
    vocab_size: int = Field(
        ge=SMALLEST_VOCABULARY,
        le=1_000_000,
        description="entries wanted, special tokens included; scarce text yields fewer",
    )
    individual_digits: bool = Field(True, description="every digit is a token of its own")
    split_scripts: bool = Field(True, description="no token crosses from kanji to hiragana or katakana")
    records_per_source: int | None = Field(
        None, gt=0, description="read at most this many records of each source; all when absent"
    )
    bytes_per_source: int | None = Field(
        None, gt=0, description="stop reading a source after this many bytes of text; never when absent"
    )
    different_words: int = added(
        250_000,
        gt=0,
        description="read a source no further when it has brought its even part of so many different words: they are "
        "counted in memory, about 1.5 kB each, so that the default stays below 500 MB",
    )


class ExternalTokenizerSettings(Settings):
    """A tokenizer that somebody else trained: its `tokenizer.json`, by its bytes."""

    type: Literal["file"] = "file"
    digest: Digest
    end_token: str = Field(min_length=1, description="special token that ends every document")


class HubTokenizerSettings(Settings):
    """A tokenizer that somebody else trained: a file of a model on the hub, at one commit."""

    type: Literal["hub"] = "hub"
    id: str
    revision: Commit
    file: str = Field(min_length=1, description="its path in the repository")
    end_token: str = Field(min_length=1, description="special token that ends every document")


class TrainedTokenizerConfig(TokenizerSettings):
    """A tokenizer and the sources it is trained on."""

    type: Literal["trained"] = "trained"
    sources: tuple[str, ...] = Field(
        min_length=1, description="names of the sources it is trained on; their order means nothing"
    )
    chat: ChatTemplate | None = Field(None, description="chat template of its models; absent: the study's")

    def source_names(self) -> tuple[str, ...]:
        """Names of the sources it is trained on."""
        return self.sources

    def chat_template(self, of_study: ChatTemplate) -> ChatTemplate:
        """Return the template by which its models read dialogues: its own, or else the study's."""
        return self.chat or of_study

    def to_settings(self, digest: str | None = None, revision: str | None = None) -> TokenizerSettings:
        """Return what decides the tokenizer beside its parents; no file is behind it."""
        return TokenizerSettings(**self.model_dump(exclude={"type", "sources", "chat"}))


class _ReadTokenizer(Settings):
    end_token: str = Field(min_length=1, description="its special token that ends every document, such as </s>")
    chat: ChatTemplate | None = Field(
        None, description="chat template of its models; absent: headings in plain words, and the end token"
    )

    @model_validator(mode="after")
    def _answers_end(self) -> Self:
        if self.chat is not None and self.end_token not in self.chat.assistant_suffix:
            raise ValueError(
                f"`chat.assistant_suffix` is {self.chat.assistant_suffix!r} but the end token {self.end_token!r} is "
                "not in it, so that models would not learn to stop: add it"
            )
        return self

    def source_names(self) -> tuple[str, ...]:
        """None: its training data is not known here."""
        return ()

    def chat_template(self, of_study: ChatTemplate) -> ChatTemplate:
        """Return the template by which its models read dialogues; the study's names tokens that it does not have."""
        return self.chat or default_chat(self.end_token)


class ExternalTokenizerConfig(_ReadTokenizer):
    """A tokenizer that comes as a file in the format of Hugging Face's `tokenizers`."""

    type: Literal["file"]
    root: str = Field("data", description="name of a data root of the machine settings")
    path: PathBelow = Field(min_length=1, description="its `tokenizer.json`, below the data root")

    def to_settings(self, digest: str | None = None, revision: str | None = None) -> ExternalTokenizerSettings:
        """Return what decides the tokenizer: the digest of its file, and which of its tokens do what.

        Raises ValueError without a digest.
        """
        if digest is None:
            raise ValueError(f"the digest of {self.path} is not known; run `mixlab lock`")
        return ExternalTokenizerSettings(digest=digest, end_token=self.end_token)


class HubTokenizerConfig(_ReadTokenizer):
    """The tokenizer of a model on the hub; `mixlab lock` finds the commit. One file is read, no code is run."""

    type: Literal["hub"]
    id: HubName = Field(description="model on the hub, as owner/name")
    revision: str = Field("main", min_length=1, description="branch, tag or commit")
    file: RepositoryPath = Field(
        "tokenizer.json", description="its file in the repository, in the format of Hugging Face's `tokenizers`"
    )

    def to_settings(self, digest: str | None = None, revision: str | None = None) -> HubTokenizerSettings:
        """Return what decides the tokenizer: commit and file, and which of its tokens do what.

        Raises ValueError without a commit.
        """
        if revision is None:
            raise ValueError(f"the commit of {self.id} is not known; run `mixlab lock`")
        return HubTokenizerSettings(id=self.id, revision=revision, file=self.file, end_token=self.end_token)


def _is_trained_unless_said(value: Any) -> Any:
    return {"type": "trained", **value} if isinstance(value, Mapping) and "type" not in value else value


TokenizerConfig = Annotated[
    TrainedTokenizerConfig | ExternalTokenizerConfig | HubTokenizerConfig,
    Field(discriminator="type"),
    BeforeValidator(_is_trained_unless_said),
]
"""A tokenizer as a user declares it; without `type` it is trained."""


TokenizerChosen = TokenizerSettings | ExternalTokenizerSettings | HubTokenizerSettings
"""What decides a tokenizer."""


class TokenizeSettings(Settings):
    """How the records of one source become tokens."""

    chat: ChatTemplate | None = Field(None, description="chat template of an instruction source; absent for raw text")


class TokenizeShardSettings(Settings):
    """One of several stretches of a source that become token stores of their own, to be joined."""

    chat: ChatTemplate | None = Field(None, description="chat template of an instruction source; absent for raw text")
    number: int = Field(ge=0, description="which of them, from 0")
    of: int = Field(ge=1, le=100_000, description="how many there are")

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.number >= self.of:
            raise ValueError(f"shard {self.number} of {self.of}: the last is {self.of - 1}")
        return self


class PackSettings(Settings):
    """How the documents of a token store become windows.

    packed: documents are kept whole where they fit and share windows; a raw document longer than a window is cut
    into pieces, an instruction document truncated. concatenated: documents in a row, cut where a window is full, so
    that all windows but the last are. one_per_window: one document each, truncated.
    """

    sequence_tokens: int = Field(gt=1, le=1_048_576, description="tokens in a window at most")
    layout: Literal["packed", "concatenated", "one_per_window"] = Field(
        "packed", description="whole documents share a window, are cut where it is full, or have one each"
    )
