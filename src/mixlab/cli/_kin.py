"""What `mixlab explain --why` compares with: artifacts whose spec a study, a commit's study or a manifest says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mixlab.artifacts.branches import read_branches
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import is_repository, list_additions, read_objects
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.states import Name, States
from mixlab.artifacts.store import Store
from mixlab.cli._common import find_state
from mixlab.cli.diff import is_changed, open_side
from mixlab.config.problems import ConfigError
from mixlab.config.studies import CONFIG, STUDIES, list_every_study, list_studies
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan, drop_study, find_study
from mixlab.plan.relatives import Card, Library
from mixlab.plan.sources_lock import LOCK

ELSEWHERE = "tracked on another branch"
MOST_COMMITS = 8
"""Commits that are planned for the specs of what they tracked, the newest first."""
_HEAD = "HEAD"


def gather_cards(store: Store, states: States, plan: Plan, node: Node) -> tuple[Library, int]:
    """Gather what is known around a node's stage, and count its artifacts that are known by pointer alone.

    A pointer says no spec. The studies of the commit that brought it do: the newest `MOST_COMMITS` are planned, with
    all their studies, by the code of today.
    """
    stage, library = node.stage, Library()
    library.add(_list_planned(plan, states, {}))
    is_there = is_repository(store.root)
    reachable = set(read_branches(store.root)) if is_there else set()
    pointers = {name for name in {*states.tracked, *reachable} if name[0] == stage}
    if is_there:
        past = _Past(store.root, states, dict.fromkeys(reachable, ELSEWHERE), find_study(node.labels, plan.targets))
        past.add_last_commit(library, plan.targets)
        past.add_commits(library, list_additions(store.root, stage, pointers - _list_names(library)))
    library.add(_list_manifests(store, states, stage, library))
    return library, len(pointers - _list_names(library))


def _list_names(library: Library) -> set[Name]:
    return {(card.stage, card.key) for card in library.cards.values()}


class _Past:
    """Plans of commits, none of them twice where its configuration is another's."""

    def __init__(self, root: Path, states: States, elsewhere: Mapping[Name, str], study: str) -> None:
        self.root, self.states, self.elsewhere, self.study = root, states, elsewhere, study
        self.seen: set[tuple[str, ...]] = set()

    def add_last_commit(self, library: Library, planned: Iterable[str]) -> None:
        """Add what the last commit's studies ask for, where they say other things than the files here."""
        if is_changed(self.root, _HEAD):
            self._add(library, _HEAD)
        elif {*list_studies(self.root)} <= {*planned}:
            self.seen.update(self._identify([_HEAD]).values())

    def add_commits(self, library: Library, additions: Mapping[str, Sequence[Name]]) -> None:
        """Add what the newest commits' studies ask for that brought pointers whose specs are not known yet."""
        left = MOST_COMMITS
        for commit, configuration in self._identify(list(additions)).items():
            unknown = any(key not in library.cards for _, key in additions[commit])
            if unknown and left and configuration not in self.seen:
                self._add(library, commit)
                left -= 1

    def _add(self, library: Library, revision: str) -> None:
        self.seen.update(self._identify([revision]).values())
        # of a study that today's code refuses nothing is known; its artifacts are told as not compared
        with suppress(ConfigError), open_side(self.root, revision) as side:
            # of studies in folders the one that is asked about: there may be many more
            asked = [self.study] if side.has(self.study) else []
            for name in dict.fromkeys([*list_studies(side.root), *asked]):
                with suppress(ConfigError):
                    library.add(_list_planned(side.plan([name]), self.states, self.elsewhere))

    def _identify(self, commits: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Map commits to the objects of git that hold their configuration."""
        places = (CONFIG, STUDIES, LOCK)
        found = read_objects(self.root, [f"{commit}:./{place}" for commit in commits for place in places])
        names = [one.oid if one is not None else "" for one in found]
        width = len(places)
        return {commit: tuple(names[n * width : (n + 1) * width]) for n, commit in enumerate(commits)}


def _list_planned(plan: Plan, states: States, elsewhere: Mapping[Name, str]) -> Iterator[Card]:
    specs: dict[int, dict[str, Any]] = {}
    for node in plan.nodes.values():
        if id(node.spec) not in specs:
            specs[id(node.spec)] = to_plain(node.spec)
        state = find_state(states, node.name)
        state = elsewhere.get(node.name, state) if state == "absent" else state
        short = drop_study(node.label, plan.targets)
        yield Card(node.stage, node.key, node.label, state, specs[id(node.spec)], node.parents, short)


def _list_manifests(store: Store, states: States, stage: str, library: Library) -> Iterator[Card]:
    """What is here and no study asks for any more: artifacts of the stage, and what is above them."""
    waiting = [name for name in sorted(states.complete) if name[0] == stage and name[1] not in library.cards]
    stages = {key: one for one, key in states.complete}
    studies = list_every_study(store.root) if waiting else []
    seen: set[Name] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            manifest = read_manifest(store.folder(*name))
        except ArtifactError:
            continue  # a damaged card says nothing of what it was; `mixlab verify` tells of it
        labels = [str(record.get("label", "")) for record in read_provenance(store, *name)]
        parents = {role: tuple(keys) for role, keys in manifest.parents.items()}
        label = labels[-1] if labels else ""
        yield Card(*name, label, "complete", manifest.spec, parents, drop_study(label, studies))
        above = (key.partition(":")[0] for keys in parents.values() for key in keys)
        waiting += [(stages[key], key) for key in above if key in stages and key not in library.cards]
