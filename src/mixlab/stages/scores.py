"""Host of stage scores."""

from pathlib import Path

from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.plan.graph import Node, Plan
from mixlab.plan.lineage import find_ancestors
from mixlab.plan.specs import ScoresSpec
from mixlab.stages.job import Inputs


def run(spec: ScoresSpec, inputs: Inputs, out: Path) -> None:
    """Write all scores of one model as tidy rows."""
    plan = inputs.plan
    parts = []
    answers = dict(zip(inputs.node.parents.get("responses", ()), inputs.folders.get("responses", ()), strict=True))
    model = ""
    for key, folder in zip(inputs.node.parents["results"], inputs.all("results"), strict=True):
        (responses,) = plan.nodes[key].parents["responses"]
        # a served model has no artifact: what is known of it stands for it
        (model,) = plan.nodes[responses].parents.get("model", (spec.scores.model.variant_key,))
        parts.append(PartFolder(folder, score_key=key, generate_key=responses, responses=answers.get(responses)))
    mixture = None if spec.scores.model.stage == "served" else find_mixture(plan, model)
    write_model_scores(spec.scores, ModelKeys(model, mixture), parts, out)


def find_mixture(plan: Plan, model: str) -> str | None:
    """Return the key of the mixture of the IPT behind a model, None when there was none."""
    runs: list[Node] = [node for node in find_ancestors(plan, [model]) if node.stage == "ipt"]
    return runs[0].parents["mixture"][0] if runs else None
