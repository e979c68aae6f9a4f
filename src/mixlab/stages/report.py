"""Host of stage report."""

from pathlib import Path

from mixlab.evaluation.sandbox import LABEL_FALLBACK
from mixlab.plan.lineage import find_ancestors
from mixlab.plan.specs import ReportSpec
from mixlab.report.page import write_report
from mixlab.stages.job import Inputs


def run(spec: ReportSpec, inputs: Inputs, out: Path) -> None:
    """Write tables, figures and the page of a study."""
    parents = inputs.node.parents
    # every parent beside the aggregate belongs to the data that the settings name by key
    folders = {key: folder for role in parents for key, folder in zip(parents[role], inputs.all(role), strict=True)}
    write_report(spec.report, inputs.one("aggregate"), out, cautions=find_cautions(inputs), folders=folders)


def find_cautions(inputs: Inputs) -> list[str]:
    """Say what provenance here tells of the runs behind the numbers that a reader must know."""
    scores = [node for node in find_ancestors(inputs.plan, inputs.node.parents["aggregate"]) if node.stage == "score"]
    bare = sum(any(facts.get("sandbox") == LABEL_FALLBACK for facts in inputs.facts_of(node)) for node in scores)
    if not bare:
        return []
    return [f"{bare} of {len(scores)} scores come from a run in which models' code was tested {LABEL_FALLBACK}."]
