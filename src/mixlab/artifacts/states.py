"""What is finished: complete here, tracked, or discarded. Read once per plan from four folder listings."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from os.path import isfile

from mixlab.artifacts.manifest import MANIFEST
from mixlab.artifacts.recompute import read_recompute
from mixlab.artifacts.store import Store

Name = tuple[str, str]


@dataclass(frozen=True)
class States:
    """Which (stage, key) are complete here, tracked by a pointer, or discarded with a tombstone."""

    complete: frozenset[Name]
    tracked: frozenset[Name]
    discarded: frozenset[Name]

    def is_finished(self, name: Name) -> bool:
        """Whether nothing has to be computed for `name`."""
        return name in self.complete or name in self.tracked or name in self.discarded

    def is_absent(self, name: Name) -> bool:
        """Whether `name` is not here but can be fetched."""
        return name not in self.complete and name in self.tracked


NO_STATES = States(frozenset(), frozenset(), frozenset())
"""Of who looks at no folder."""


def _list_names(folder: str | os.PathLike[str], suffix: str) -> list[str]:
    try:
        return [entry.removesuffix(suffix) for entry in os.listdir(folder) if entry.endswith(suffix)]
    except FileNotFoundError:
        return []


def read_states(store: Store, stages: Iterable[str]) -> States:
    """List what is complete, tracked and discarded, without opening a single artifact.

    A tracked artifact whose data is lost (`work/recompute.json`) does not count as tracked.
    """
    complete: set[Name] = set()
    tracked: set[Name] = set()
    discarded: set[Name] = set()
    for stage in stages:
        # as Store.is_complete asks, without a Path for each of tens of thousands
        folder = str(store.artifacts / stage)
        keys = _list_names(folder, "")
        complete.update((stage, key) for key in keys if isfile(f"{folder}/{key}/{MANIFEST}"))  # noqa: PTH113
        tracked.update((stage, key) for key in _list_names(store.tracked / stage, ".dvc"))
        discarded.update((stage, key) for key in _list_names(store.discarded / stage, ".json"))
    return States(frozenset(complete), frozenset(tracked - read_recompute(store)), frozenset(discarded))
