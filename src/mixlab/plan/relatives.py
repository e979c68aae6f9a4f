"""Why an artifact would run: how it differs from the finished one most like it, and what above it began that."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from mixlab.artifacts.keys import split_reference
from mixlab.plan.compare import ORDERED_BY_KEY, Change, find_plain_changes, find_role_changes
from mixlab.plan.graph import Roles

ABSENT = "absent"
"""State of an artifact that is neither here nor tracked nor discarded."""
_UNLIKE = 10
"""What an artifact without a counterpart counts, in differences of fields."""
_MOST_PAIRS = 64
"""Pairs of parents of one role that are measured to find which are alike."""
_SEED = re.compile(r"/(?:\w+_seed|judge_run) \d+(?=/|$)")


@dataclass(frozen=True)
class Card:
    """What is known of an artifact: its spec as plain data, its parents, what people call it, and where it is.

    `short` is its label without the study.
    """

    stage: str
    key: str
    label: str
    state: str
    spec: Mapping[str, Any]
    parents: Roles
    short: str


@dataclass(frozen=True)
class Pair:
    """A parent in some role that is not its relative's, beside the one it stands for; empty where there is none."""

    role: str
    key: str
    relative: str


@dataclass(frozen=True)
class Step:
    """One artifact beside its relative: what differs in its spec, and in which roles its parents are others.

    `relative` is None where no counterpart is known: it is new.
    """

    card: Card
    relative: Card | None
    changes: tuple[Change, ...]
    parents: tuple[Change, ...]


@dataclass
class Library:
    """Every artifact whose spec is known, by key.

    Thousands of artifacts share a few specs, so specs are compared once for each two of them.
    """

    cards: dict[str, Card] = field(default_factory=dict)
    _changes: dict[tuple[int, int], tuple[Change, ...]] = field(default_factory=dict)
    _causes: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    _costs: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, cards: Iterable[Card]) -> None:
        """Take in cards; the first of a key stays."""
        for card in cards:
            self.cards.setdefault(card.key, card)

    def find_nearest(self, card: Card, among: Sequence[Card]) -> Card | None:
        """Return the one of `among` with the fewest differences, all the way up.

        Of equals a namesake, else one of the same name in another study, else the first: in order of planning a
        variant's artifacts are told alike.
        """
        return min(
            among,
            key=lambda other: (
                self.measure(card.key, other.key),
                other.label != card.label,
                other.short != card.short,
            ),
            default=None,
        )

    def measure(self, key: str, other: str) -> int:
        """Count the differences of two artifacts and of what is above them; what merely follows counts for nothing."""
        pair = (key, other)
        if pair not in self._costs:
            card, relative = self.cards.get(key), self.cards.get(other)
            if card is None or relative is None or card.stage != relative.stage:
                self._costs[pair] = _UNLIKE
            else:
                above = (self.measure(one.key, one.relative) for one in self.pair_parents(card, relative))
                self._costs[pair] = len(self.list_changes(relative, card)) + sum(above)
        return self._costs[pair]

    def list_changes(self, old: Card, new: Card) -> tuple[Change, ...]:
        """List what differs between two specs; one that lists things by key says nothing where parents differ."""
        if new.stage in ORDERED_BY_KEY and dict(old.parents) != dict(new.parents):
            return ()
        pair = (id(old.spec), id(new.spec))
        if pair not in self._changes:
            self._changes[pair] = tuple(find_plain_changes(old.spec, new.spec))
        return self._changes[pair]

    def explain(self, card: Card, relative: Card) -> list[Step]:
        """Follow what differs from an artifact up to where it began, one step each: each cause is followed once."""
        steps: list[Step] = []
        told: set[str] = set()
        self._follow(card, relative, steps, told)
        return steps

    def _follow(self, card: Card, relative: Card | None, steps: list[Step], told: set[str]) -> None:
        if relative is None:
            told.add(card.key)
            steps.append(Step(card, None, (), ()))
            return
        changes = self.list_changes(relative, card)
        steps.append(Step(card, relative, changes, find_role_changes(relative.parents, card.parents, self._name)))
        pairs = list(self.pair_parents(card, relative))
        told.update({card.key} if changes or any(map(self._begins, pairs)) else ())
        for pair in pairs:
            if pair.key and self.list_causes(pair.key, pair.relative) - told:
                self._follow(self.cards[pair.key], self._find_counterpart(pair), steps, told)

    def list_causes(self, key: str, other: str) -> frozenset[str]:
        """List what above an artifact, or itself, differs from its counterpart by more than other parents.

        One that has fewer parents than its counterpart differs itself, and so does one with a finished parent that its
        counterpart has none for: what is finished is not new.
        """
        place = (key, other)
        if place not in self._causes:
            card, relative = self.cards.get(key), self.cards.get(other)
            if card is None:
                found: frozenset[str] = frozenset()
            elif relative is None or relative.stage != card.stage:
                found = frozenset({key} if card.state == ABSENT else ())
            else:
                pairs = list(self.pair_parents(card, relative))
                differs = self.list_changes(relative, card) or any(map(self._begins, pairs))
                found = frozenset({key} if differs else ())
                found = found.union(*(self.list_causes(one.key, one.relative) for one in pairs if one.key))
            self._causes[place] = found
        return self._causes[place]

    def _begins(self, pair: Pair) -> bool:
        """Whether a difference begins with a parent: one is gone, or a finished one came that stands for no other."""
        if not pair.key:
            return True
        above = self.cards.get(pair.key)
        return above is not None and above.state != ABSENT and self._find_counterpart(pair) is None

    def _find_counterpart(self, pair: Pair) -> Card | None:
        """Return the artifact of the same stage that a parent stands for; None where it stands for none."""
        above, other = self.cards.get(pair.key), self.cards.get(pair.relative)
        return other if above is not None and other is not None and other.stage == above.stage else None

    def pair_parents(self, card: Card, other: Card) -> Iterator[Pair]:
        """Yield the parents that are not in both, each beside its namesake, else beside the likest that is left.

        A namesake may belong to another study: people rename those.
        """
        for role in sorted({*card.parents, *other.parents}):
            mine, theirs = (_list_keys(one.parents.get(role, ())) for one in (card, other))
            came = [key for key in mine if key not in theirs]
            lost = [key for key in theirs if key not in mine]
            for name in (self._label, self._short):
                named = [name(key) for key in lost]
                left: list[str] = []
                for key in came:
                    label = name(key)
                    if label not in named:
                        left.append(key)
                        continue
                    place = named.index(label)
                    named.pop(place)
                    yield Pair(role, key, lost.pop(place))
                came = left
            for one, its in self._match(came, lost):
                yield Pair(role, one, its)

    def _match(self, came: Sequence[str], lost: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Pair artifacts that have no namesake: with other seeds of the same, then by the fewest differences.

        What has no counterpart is beside nothing. Many are not measured, but paired in order of their labels.
        """
        if len(came) * len(lost) > 1:
            pairs = self._match_seeds(came, lost)
            pairs |= self._match_measured(*_leave_out(pairs, came, lost))
            yield from pairs.items()
            came, lost = _leave_out(pairs, came, lost)
        yield from zip_longest(came, lost, fillvalue="")

    def _match_seeds(self, came: Sequence[str], lost: Sequence[str]) -> dict[str, str]:
        """Pair those whose labels differ by seeds alone, and the study: with the one that shares most of them."""
        groups: dict[str, list[str]] = {}
        for key in lost:
            groups.setdefault(_drop_seeds(self._short(key)), []).append(key)
        pairs: dict[str, str] = {}
        for key in came:
            parts = {*self._label(key).split("/")}
            if group := groups.get(_drop_seeds(self._short(key))):
                pairs[key] = max(group, key=lambda one: len(parts & {*self._label(one).split("/")}))
                group.remove(pairs[key])
        return pairs

    def _match_measured(self, came: Sequence[str], lost: Sequence[str]) -> dict[str, str]:
        """Pair the likest first, each once; of many those at the same place in order of labels."""
        if len(came) * len(lost) > _MOST_PAIRS:
            return dict(zip(sorted(came, key=self._label), sorted(lost, key=self._label), strict=False))
        crossed = [(self.measure(x, y), n, m) for n, x in enumerate(came) for m, y in enumerate(lost)]
        pairs: dict[str, str] = {}
        taken: set[int] = set()
        for _, n, m in sorted(crossed):
            if came[n] not in pairs and m not in taken:
                pairs[came[n]] = lost[m]
                taken.add(m)
        return pairs

    def _label(self, key: str) -> str:
        card = self.cards.get(key)
        return card.label if card is not None and card.label else key

    def _short(self, key: str) -> str:
        card = self.cards.get(key)
        return card.short if card is not None and card.short else key

    def _name(self, reference: str) -> str:
        key, member = split_reference(reference)
        name = f"'{self._label(key)}'"
        return f"{name}:{member}" if member else name


def _drop_seeds(label: str) -> str:
    return _SEED.sub("", label)


def _leave_out(pairs: Mapping[str, str], came: Sequence[str], lost: Sequence[str]) -> tuple[list[str], list[str]]:
    taken = {*pairs.values()}
    return [key for key in came if key not in pairs], [key for key in lost if key not in taken]


def _list_keys(references: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(split_reference(one)[0] for one in references))
