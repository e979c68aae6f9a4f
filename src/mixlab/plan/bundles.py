"""Which artifacts one process makes: one, those of one model in a grouped stage, or those of several small models."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property

from mixlab.artifacts.attempts import list_attempts
from mixlab.artifacts.keys import split_reference
from mixlab.artifacts.records import parse_moment
from mixlab.artifacts.store import Store
from mixlab.config.resources import BUNDLED
from mixlab.plan.engines import is_served
from mixlab.plan.graph import Node
from mixlab.plan.model_resources import ModelResources
from mixlab.plan.stages import STAGES

SERVING = tuple(name for name, stage in STAGES.items() if stage.grouped or name in BUNDLED)
"""Stages of which one process may make several artifacts."""


def find_failed(store: Store, before: datetime | None = None) -> frozenset[str]:
    """Return the keys whose last try ended by an error, up to a moment; what was made since is not known any more."""
    failed = (one for one in list_attempts(store, SERVING) if one.error)
    return frozenset(one.key for one in failed if before is None or (one.ended and parse_moment(one.ended) < before))


class Bundles:
    """The jobs of what a run makes: `keys`, in order of planning, as `resources` says what they ask for.

    A bundle holds models of one start: that which is fine-tuned, and what SFT makes of it with one seed and another.
    `failed` are keys whose last try ended by an error: that model has a process of its own, and so has all that comes
    of it, for the others would wait for it. What else is asked for is made alone.
    """

    def __init__(self, resources: ModelResources, keys: Iterable[str], failed: Iterable[str] = ()) -> None:
        self._resources = resources
        self._plan = resources.plan
        self._keys = list(keys)
        self._failed = set(failed)

    @cached_property
    def jobs(self) -> list[list[Node]]:
        """What each process makes, in the order of the first artifact of each."""
        groups: dict[tuple[str, str], list[Node]] = {}
        for key in self._keys:
            node = self._plan.nodes[key]
            groups.setdefault((node.stage, node.group if STAGES[node.stage].grouped else key), []).append(node)
        hindered = self._find_hindered()
        jobs: list[list[Node]] = []
        last: dict[str, tuple[object, int]] = {}
        places: dict[str, int] = {}
        for (stage, _), members in groups.items():
            if not hindered.isdisjoint(node.key for node in members):
                jobs.append(members)
                continue
            models, asked = self._describe(members[0])
            alike, count = last.get(stage, (None, 0))
            if models > 1 and alike == asked and count < models:
                jobs[places[stage]] += members
                last[stage] = asked, count + 1
            else:
                last[stage], places[stage] = (asked, 1), len(jobs)
                jobs.append(members)
        return jobs

    @cached_property
    def _job_of(self) -> dict[str, list[Node]]:
        return {node.key: job for job in self.jobs for node in job}

    def of(self, node: Node) -> list[Node]:
        """List what the process that makes `node` makes, `node` among it."""
        return self._job_of.get(node.key, [node])

    def _find_hindered(self) -> set[str]:
        """List what failed and all of this run that is made of it."""
        hindered = self._failed.intersection(self._keys)
        if hindered:
            for key in self._keys:
                if not hindered.isdisjoint(self._plan.nodes[key].inputs()):
                    hindered.add(key)
        return hindered

    def _describe(self, node: Node) -> tuple[int, object]:
        """Say how many models a job may serve that makes `node`, and what models in one job have to have in common."""
        said = node if node.stage in BUNDLED else self._generate.get(node.group)
        if said is None or is_served(said.spec):
            return 1, None
        models = self._resources.count_bundled(said)
        alike = (self._find_start(said), self._resources.find(said), self._resources.find(node)) if models > 1 else None
        return models, alike

    def _find_start(self, node: Node) -> str:
        """Return the model that SFT starts from: that of `node`, or of the model that `node` is the answers of."""
        (model,) = node.parents["model"]
        above = self._plan.nodes[split_reference(model)[0]]
        return above.parents["model"][0] if node.stage != "sft" and above.stage == "sft" else model

    @cached_property
    def _generate(self) -> dict[str, Node]:
        """One set of responses of each model, by the name of its group."""
        return {node.group: node for node in self._plan.by_stage("generate")}
