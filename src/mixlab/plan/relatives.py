"""Why an artifact would run: how it differs from the finished one most like it, and what above it began that."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from mixlab.artifacts.keys import split_reference
from mixlab.plan.compare import ORDERED_BY_KEY, Change, find_plain_changes, find_role_changes
from mixlab.plan.graph import Roles

_LOOKED_AT = 20
"""Relatives that are compared all the way up; those before them are told apart by themselves and their parents."""
_LONGEST = 40
"""Steps that are told; a chain of stages is shorter."""


@dataclass(frozen=True)
class Card:
    """What is known of an artifact: its spec as plain data, its parents, what people call it, and where it is."""

    stage: str
    key: str
    label: str
    state: str
    spec: Mapping[str, Any]
    parents: Roles


@dataclass(frozen=True)
class Step:
    """One artifact beside its relative: what differs in its spec, and which parents are others.

    `relative` is None where a parent has none that is known: it is new.
    """

    card: Card
    relative: Card | None
    changes: tuple[Change, ...]
    parents: tuple[Change, ...]


@dataclass
class Library:
    """Every artifact whose spec is known, by key."""

    cards: dict[str, Card] = field(default_factory=dict)
    _distances: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, cards: Iterable[Card]) -> None:
        """Take in cards; the first of a key stays."""
        for card in cards:
            self.cards.setdefault(card.key, card)

    def find_nearest(self, card: Card, among: Sequence[Card]) -> Card | None:
        """Return the one of `among` with the fewest differences, all the way up; a namesake goes before its equals."""
        near = sorted(among, key=lambda other: (self._compare(card, other), other.key))[:_LOOKED_AT]
        near += [other for other in among if other.label == card.label and other not in near][:_LOOKED_AT]
        return min(
            near,
            key=lambda other: (self.measure(card.key, other.key), other.label != card.label, other.key),
            default=None,
        )

    def measure(self, key: str, other: str) -> int:
        """Count the differences of two artifacts and of what is above them."""
        if key == other:
            return 0
        pair = (key, other)
        if pair not in self._distances:
            card, relative = self.cards.get(key), self.cards.get(other)
            if card is None or relative is None or card.stage != relative.stage:
                self._distances[pair] = 1
            else:
                self._distances[pair] = len(list_changes(relative, card)) + sum(
                    1 + (self.measure(came, lost) if came and lost else 0)
                    for _, came, lost in pair_parents(card, relative)
                )
        return self._distances[pair]

    def _compare(self, card: Card, other: Card) -> int:
        return len(list_changes(other, card)) + len(list(pair_parents(card, other)))

    def explain(self, card: Card, relative: Card) -> list[Step]:
        """Follow what differs from an artifact up to where it began: one step each, the artifact itself first."""
        steps: list[Step] = []
        waiting: list[tuple[Card, Card | None]] = [(card, relative)]
        seen: set[str] = set()
        while waiting and len(steps) < _LONGEST:
            one, other = waiting.pop(0)
            if one.key in seen:
                continue
            seen.add(one.key)
            if other is None:
                steps.append(Step(one, None, (), ()))
                continue
            parents = find_role_changes(other.parents, one.parents, self._name)
            steps.append(Step(one, other, list_changes(other, one), parents))
            waiting += self._list_parents(one, other)
        return steps

    def _list_parents(self, card: Card, relative: Card) -> Iterator[tuple[Card, Card | None]]:
        """Yield the first parent of each role that is another, beside the one it stands for."""
        told: set[str] = set()
        for role, came, lost in pair_parents(card, relative):
            above = self.cards.get(came) if came else None
            if above is not None and role not in told:
                told.add(role)
                yield above, self.cards.get(lost) if lost else None

    def _name(self, reference: str) -> str:
        key, member = split_reference(reference)
        card = self.cards.get(key)
        name = f"'{card.label}'" if card is not None and card.label else key
        return f"{name}:{member}" if member else name


def list_changes(old: Card, new: Card) -> tuple[Change, ...]:
    """List what differs between two specs; one that lists things in order of keys says nothing where those differ."""
    if new.stage in ORDERED_BY_KEY and dict(old.parents) != dict(new.parents):
        return ()
    return tuple(find_plain_changes(old.spec, new.spec))


def pair_parents(card: Card, other: Card) -> Iterator[tuple[str, str, str]]:
    """Yield role, key and the other's key of parents that are not in both; empty where one has no counterpart."""
    for role in sorted({*card.parents, *other.parents}):
        mine = [split_reference(one)[0] for one in card.parents.get(role, ())]
        theirs = [split_reference(one)[0] for one in other.parents.get(role, ())]
        came = [key for key in dict.fromkeys(mine) if key not in theirs]
        lost = [key for key in dict.fromkeys(theirs) if key not in mine]
        for mine_key, their_key in zip_longest(came, lost, fillvalue=""):
            yield role, mine_key, their_key
