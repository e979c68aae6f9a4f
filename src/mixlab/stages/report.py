"""Host of stage report."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mixlab.artifacts.provenance import ADOPTED
from mixlab.evaluation.sandbox import LABEL_FALLBACK, LABEL_WEAKER
from mixlab.plan.graph import Node
from mixlab.plan.lineage import find_ancestors
from mixlab.plan.specs import ReportSpec
from mixlab.plan.trainers import trainer_of
from mixlab.report.page import write_report
from mixlab.report.target_sections import build_target_sections
from mixlab.report.targets import write_targets
from mixlab.stages.job import Inputs


def run(spec: ReportSpec, inputs: Inputs, out: Path) -> None:
    """Write tables, figures and the page of a study, and the files of its targets."""
    parents = inputs.node.parents
    # every parent beside the aggregate belongs to the data that the settings name by key
    folders = {key: folder for role in parents for key, folder in zip(parents[role], inputs.all(role), strict=True)}
    aggregate, cautions = inputs.one("aggregate"), find_cautions(inputs)
    built = write_targets(spec.targets, aggregate, out, folders=folders, shown=spec.report.data)
    sections = build_target_sections(built)
    write_report(spec.report, aggregate, out, cautions=cautions, folders=folders, targets=sections)


def find_cautions(inputs: Inputs) -> list[str]:
    """Say what provenance here tells of the runs behind the numbers that a reader must know."""
    ancestors = find_ancestors(inputs.plan, inputs.node.parents["aggregate"])
    return _find_bare_scores(inputs, ancestors) + _find_strangers(inputs, ancestors)


def _find_bare_scores(inputs: Inputs, ancestors: Sequence[Node]) -> list[str]:
    scores = [node for node in ancestors if node.stage == "score"]
    cautions = []
    for label in (LABEL_FALLBACK, LABEL_WEAKER):
        runs = sum(any(facts.get("sandbox") == label for facts in inputs.facts_of(node)) for node in scores)
        if runs:
            cautions.append(f"{runs} of {len(scores)} scores come from a run in which models' code was tested {label}.")
    return cautions


def _find_strangers(inputs: Inputs, ancestors: Sequence[Node]) -> list[str]:
    """Name the models that were adopted, and how many were trained by a trainer that is not ours."""
    told = [
        f"{node.stage} {node.key} was adopted, not made from its spec here: {facts[ADOPTED]}"
        for node in ancestors
        for facts in inputs.facts_of(node)[-1:]
        if ADOPTED in facts
    ]
    titles = Counter(trainer.title for node in ancestors if (trainer := trainer_of(node.spec)) is not None)
    return told + [f"Models trained by {title}: {count}." for title, count in sorted(titles.items())]
