"""Who lives in the world, and what is true of them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Fact = Literal["place", "job", "pet"]
FACTS: tuple[Fact, ...] = ("place", "job", "pet")
PEOPLE = 24
STRANGERS = 12
HELD_OUT_PEOPLE = 10

_SYLLABLES = {
    "ka": "カ", "ki": "キ", "ko": "コ", "ma": "マ", "mi": "ミ", "mo": "モ", "na": "ナ", "ne": "ネ",
    "ra": "ラ", "ri": "リ", "ru": "ル", "sa": "サ", "so": "ソ", "ta": "タ", "to": "ト", "yu": "ユ",
}  # fmt: skip
VALUES: dict[Fact, tuple[tuple[str, str], ...]] = {
    "place": (
        ("harbor", "港"), ("forest", "森"), ("castle", "城"), ("island", "島"),
        ("valley", "谷"), ("desert", "砂漠"), ("market", "市場"), ("river", "川"),
    ),
    "job": (
        ("doctor", "医者"), ("painter", "画家"), ("farmer", "農家"), ("singer", "歌手"),
        ("teacher", "先生"), ("carpenter", "大工"), ("fisher", "漁師"), ("writer", "作家"),
    ),
    "pet": (
        ("cat", "猫"), ("dog", "犬"), ("horse", "馬"), ("fox", "狐"),
        ("turtle", "亀"), ("snake", "蛇"), ("rabbit", "兎"), ("bird", "鳥"),
    ),
}  # fmt: skip
"""Each value in English and Japanese; every value is true of equally many people."""


@dataclass(frozen=True)
class Person:
    """One person: the name in both languages, and the position of the true value of each fact."""

    names: dict[str, str]
    values: dict[Fact, int]

    def value(self, fact: Fact, language: str) -> str:
        """The word for what is true."""
        english, japanese = VALUES[fact][self.values[fact]]
        return english if language == "en" else japanese


@dataclass(frozen=True)
class World:
    """The people of one `world_seed`; strangers have facts too, but no text tells them."""

    seed: int
    people: tuple[Person, ...]
    strangers: tuple[Person, ...]

    @property
    def held_out(self) -> tuple[Person, ...]:
        """People whom raw text tells of and about whom only benchmarks ask."""
        return self.people[:HELD_OUT_PEOPLE]

    @property
    def taught(self) -> tuple[Person, ...]:
        """People about whom instructions ask."""
        return self.people[HELD_OUT_PEOPLE:]


def build_world(seed: int) -> World:
    """Draw names and facts; the same seed gives the same world for every source."""
    stream = random.Random(f"invented_world 1/{seed}")
    pairs = [(first, second) for first in _SYLLABLES for second in _SYLLABLES if first != second]
    names = stream.sample(pairs, PEOPLE + STRANGERS)
    people = _with_facts(names[:PEOPLE], stream)
    return World(seed, people, _with_facts(names[PEOPLE:], stream))


def _with_facts(names: Sequence[tuple[str, str]], stream: random.Random) -> tuple[Person, ...]:
    columns: dict[Fact, list[int]] = {}
    for fact in FACTS:
        column = [at % len(VALUES[fact]) for at in range(len(names))]
        stream.shuffle(column)
        columns[fact] = column
    return tuple(
        Person(
            names={
                "en": (first + second).capitalize(),
                "ja": _SYLLABLES[first] + _SYLLABLES[second],
            },
            values={fact: columns[fact][at] for fact in FACTS},
        )
        for at, (first, second) in enumerate(names)
    )
