"""What other studies of this checkout made: a price is measured on it too, and a failed canary may taint it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mixlab.artifacts.records import Records
from mixlab.artifacts.states import States
from mixlab.config.base_models import HubModel, ModelFiles
from mixlab.config.model_facts import ModelFacts
from mixlab.config.problems import ConfigError
from mixlab.config.studies import list_every_study
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.graph import Node, Plan, find_study

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beside:
    """Finished artifacts of studies that are not priced and what is above them, with their files and facts."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[ModelFiles | HubModel, ModelFacts] = field(default_factory=dict)

    def add(self, planned: Planned, keys: Iterable[str]) -> "Beside":
        """Return it with some artifacts of a plan, and what is above them; what is in both stays as it is."""
        kept = planned.plan.closure(keys)
        nodes = {key: node for key, node in planned.plan.nodes.items() if key in kept}
        return Beside({**nodes, **self.nodes}, {**planned.files, **self.files}, {**planned.facts, **self.facts})

    def widen(self, planned: Planned) -> Planned:
        """Return a plan with what lies beside it; it asks for nothing more."""
        return replace(
            planned,
            plan=Plan({**self.nodes, **planned.plan.nodes}, planned.plan.targets),
            files={**self.files, **planned.files},
            facts={**self.facts, **planned.facts},
        )


def find_beside(
    records: Records, planned: Planned, states: States, lost: str = "nothing is measured on what study '%s' made"
) -> Beside:
    """Plan the studies here that made what is finished and the given plan does not have.

    Provenance says which they are, so that no study is planned that made nothing. One that cannot be planned (any
    more) is passed over, with a warning that says what is `lost` by that and names its first problem.
    """
    root = records.store.root
    finished = states.complete | states.tracked | states.discarded
    unknown = finished - {node.name for node in planned.plan.nodes.values()}
    labels = {record.label for name in sorted(unknown) for record in records.read(name) if record.label}
    found = Beside()
    if not labels:
        return found
    every = list_every_study(root)
    makers = {find_study([label], every) for label in labels} & {*every} - {*planned.studies}
    for study in sorted(makers):
        try:
            other = build_plan(root, [study], check_files=False)
        except ConfigError as error:
            log.warning(f"mixlab: {lost}: %s", study, error.problems[0])
            continue
        found = found.add(other, [node.key for node in other.plan.nodes.values() if node.name in unknown])
    return found
