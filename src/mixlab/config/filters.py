"""What leaves records out of a source: filters as a user writes them and as they enter a key."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.categories import Category
from mixlab.config.exact import Exact, Ratio

PersonalKind = Literal["credit_card", "email", "ip_address", "my_number", "phone", "postal_address"]
PERSONAL_KINDS: tuple[PersonalKind, ...] = (
    "credit_card",
    "email",
    "ip_address",
    "my_number",
    "phone",
    "postal_address",
)


def _check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a source is named twice; name each once")
    return names


Against = Annotated[
    tuple[str, ...],
    AfterValidator(_check_names),
    Field(
        description="further sources; a record that is also in one of them is left out here. Of sources that the "
        "study's `filters` name, the one named first keeps what they share: each is compared with those before it"
    ),
]


class ExactDuplicates(Settings):
    """Records whose text came before: compared after NFKC, each run of white space one space, ends trimmed.

    Characters that nobody sees (zero-width, soft hyphens, byte order marks) do not count. Roles of a dialogue's turns
    are compared too.
    """

    type: Literal["exact_duplicates"] = "exact_duplicates"
    ignore_case: bool = Field(False, description="whether upper and lower case are the same")


class NearDuplicates(Settings):
    """Records nearly equal to an earlier one, by the Jaccard similarity of their shingles (found by MinHash).

    A word is a run of letters and digits; text of Chinese characters and kana is shingled by characters.
    """

    type: Literal["near_duplicates"] = "near_duplicates"
    threshold: Exact = Field(
        Fraction(4, 5), ge=Fraction(1, 2), le=1, description="similarity from which two records are duplicates"
    )
    shingle_words: int = Field(5, ge=1, le=50, description="words of a shingle where words are written apart")
    shingle_characters: int = Field(5, ge=1, le=100, description="characters of a shingle in Japanese")
    permutations: int = Field(128, ge=32, le=512, description="values of a MinHash signature")
    seed: int = Field(0, ge=0, lt=2**63, description="fixes the hash functions")


def _in_order(kinds: tuple[PersonalKind, ...]) -> tuple[PersonalKind, ...]:
    return tuple(sorted(set(kinds)))


class PersonalData(Settings):
    """Records that hold what looks like personal data, found by patterns and check digits."""

    type: Literal["personal_data"] = "personal_data"
    kinds: Annotated[tuple[PersonalKind, ...], AfterValidator(_in_order)] = Field(
        PERSONAL_KINDS, min_length=1, description="what is looked for"
    )
    on_found: Literal["flag", "drop"] = Field("flag", description="flag: counted and listed; drop: left out")
    at_least: int = Field(1, ge=1, le=1_000_000, description="so many finds make a record one that is flagged")


class Length(Settings):
    """Records outside of limits, in tokens of their texts, without a chat template."""

    type: Literal["length"] = "length"
    min_tokens: int | None = Field(None, ge=1, description="fewest tokens of a record that stays")
    max_tokens: int | None = Field(None, ge=1, description="most tokens of a record that stays")

    @model_validator(mode="after")
    def _limits_leave_something(self) -> "Length":
        if self.min_tokens is None and self.max_tokens is None:
            raise ValueError("`length` needs `min_tokens`, `max_tokens` or both")
        if self.min_tokens is not None and self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"`min_tokens` {self.min_tokens} is above `max_tokens` {self.max_tokens}: no record fits")
        return self


OnContamination = Literal["drop", "fail"]


class ContaminationFilter(Settings):
    """Records in which the contamination search found benchmark items."""

    type: Literal["contamination"] = "contamination"
    on_found: OnContamination = Field(description="drop: such records are left out; fail: the stage stops")


class LabelFilter(Settings):
    """Records of all categories but one, as the label stage saw them; unlabelled ones are left out."""

    type: Literal["label"] = "label"
    category: Category = Field(description="category that stays")


FilterSettings = Annotated[
    ExactDuplicates | NearDuplicates | PersonalData | Length | ContaminationFilter | LabelFilter,
    Field(discriminator="type"),
]


class ExactDuplicatesConfig(ExactDuplicates):
    """`ExactDuplicates` as a user writes it: with other sources by name."""

    against: Against = ()

    def to_settings(self) -> ExactDuplicates:
        """Leave out the names; they are parents."""
        return ExactDuplicates(**_own(self, "against"))


class NearDuplicatesConfig(NearDuplicates):
    """`NearDuplicates` as a user writes it: with other sources by name."""

    against: Against = ()

    def to_settings(self) -> NearDuplicates:
        """Leave out the names; they are parents."""
        return NearDuplicates(**_own(self, "against"))


class PersonalDataConfig(PersonalData):
    """`PersonalData` as a user writes it."""

    def to_settings(self) -> PersonalData:
        """Return what decides the result: all of it."""
        return PersonalData(**_own(self))


class LengthConfig(Length):
    """`Length` as a user writes it: with a tokenizer by name."""

    tokenizer: str = Field(min_length=1, description="name of the tokenizer that counts")

    def to_settings(self) -> Length:
        """Leave out the tokenizer's name; it is a parent."""
        return Length(**_own(self, "tokenizer"))


FilterConfig = Annotated[
    ExactDuplicatesConfig | NearDuplicatesConfig | PersonalDataConfig | LengthConfig, Field(discriminator="type")
]


def settle_against(filters: Sequence[FilterConfig], source: str) -> tuple[FilterConfig, ...]:
    """Return a study's filters as they are for one source: never compared with itself or those named after it.

    The order is that of the names in all lists together; so no two sources lose what they share to each other.
    """
    order = list(dict.fromkeys(name for one in filters for name in getattr(one, "against", ())))
    if source not in order:
        return tuple(filters)
    before = order[: order.index(source)]
    return tuple(
        one.model_copy(update={"against": tuple(name for name in one.against if name in before)})
        if isinstance(one, ExactDuplicatesConfig | NearDuplicatesConfig)
        else one
        for one in filters
    )


class ContaminationSettings(Settings):
    """How the items of a benchmark are looked for in a training source: by n-grams of normalised text.

    Normalised: invisible characters dropped, NFKC, lower case, punctuation and symbols dropped, digits kept. Where an
    item's text is mostly kana and Chinese characters it is compared by characters (a Latin word or a number there
    counts as one), elsewhere by words (a Chinese character there counts as one). One word or character of an n-gram
    may differ. Defaults were measured by `performance/contamination.py`.
    """

    words: int = Field(13, ge=4, le=100, description="words of an n-gram")
    characters: int = Field(15, ge=4, le=400, description="characters of an n-gram in Japanese")
    shortest_words: int = Field(
        8, ge=1, description="a shorter text of an item is not compared; one below n as a whole"
    )
    shortest_characters: int = Field(10, ge=1, description="the same in Japanese")
    least_share: Ratio = Field(
        Fraction(3, 20), description="share of the n-grams of a field of an item that makes a record contaminated"
    )
    common_items: int = Field(
        3, ge=1, description="an n-gram found in more items of a benchmark than this is boilerplate and does not count"
    )


class ContaminationConfig(ContaminationSettings):
    """What a study says about benchmark items in its training sources."""

    on_found: Literal["warn", "drop", "fail"] = Field(
        "warn", description="warn: told in report and certificates; drop: records left out; fail: the study stops"
    )

    def to_settings(self) -> ContaminationSettings:
        """Leave out what is done about it; that is another stage's."""
        return ContaminationSettings(**_own(self, "on_found"))


def _own(config: Settings, *names: str) -> dict[str, object]:
    return {name: getattr(config, name) for name in type(config).model_fields if name not in names}
