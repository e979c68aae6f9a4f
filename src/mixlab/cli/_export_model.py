"""`mixlab export --format transformers`: a model that leaves, with its card."""

from collections.abc import Sequence
from pathlib import Path

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli.explain import find_node, plan_studies
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES


def export_model(store: Store, what: str, studies: Sequence[str], member: str, licence: str, part: Path) -> None:
    """Write the model that `what` names, as its study tells of it: the first that asks for it."""
    # pandas takes a moment
    from mixlab.stages.model_exports import MODELS, write_model
    from mixlab.stages.pages import Shelf

    everything, states = plan_studies(store.root, studies), read_states(store, STAGES)
    models = {key: node for key, node in everything.nodes.items() if node.stage in MODELS}
    node = find_node(Plan(models), what, None, states)
    study = next(name for name in everything.targets if node.key in everything.closure(everything.targets[name]))
    planned = build_plan(store.root, [study], check_files=False)
    shelf = Shelf(store, states, planned.plan, study, planned.files)
    write_model(shelf, planned.studies[study], planned.plan.nodes[node.key], member, licence, part)
