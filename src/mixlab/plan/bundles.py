"""Which artifacts one process makes: one, those of one model in a grouped stage, or those of several small models."""

from collections.abc import Iterable
from functools import cached_property

from mixlab.artifacts.keys import split_reference
from mixlab.config.resources import BUNDLED
from mixlab.plan.engines import is_served
from mixlab.plan.graph import Node
from mixlab.plan.model_resources import ModelResources
from mixlab.plan.stages import STAGES


class Bundles:
    """The jobs of what a run makes: `keys`, in order of planning, as `resources` says what they ask for.

    A bundle holds models of one start: that which is fine-tuned, and what SFT makes of it with one seed and another.
    What else is asked for is made alone.
    """

    def __init__(self, resources: ModelResources, keys: Iterable[str]) -> None:
        self._resources = resources
        self._plan = resources.plan
        self._keys = list(keys)

    @cached_property
    def jobs(self) -> list[list[Node]]:
        """What each process makes, in the order of the first artifact of each."""
        groups: dict[tuple[str, str], list[Node]] = {}
        for key in self._keys:
            node = self._plan.nodes[key]
            groups.setdefault((node.stage, node.group if STAGES[node.stage].grouped else key), []).append(node)
        jobs: list[list[Node]] = []
        last: dict[str, tuple[object, int]] = {}
        places: dict[str, int] = {}
        for (stage, _), members in groups.items():
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

    def count_models(self, node: Node) -> int:
        """Count the models that the process serves that makes `node`."""
        return len({member.group for member in self.of(node)})

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
