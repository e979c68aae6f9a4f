"""Host of stage aggregate."""

from pathlib import Path

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.lineage import Ancestor
from mixlab.config.engines import OpenaiEngineSettings
from mixlab.config.sources import FilesOrigin
from mixlab.plan.graph import Node
from mixlab.plan.lineage import find_ancestors
from mixlab.plan.specs import AggregateSpec, GenerateSpec, SourceSpec
from mixlab.plan.trainers import trainer_of
from mixlab.stages.job import Inputs


def run(spec: AggregateSpec, inputs: Inputs, out: Path) -> None:
    """Gather all scores of a study, with everything they were made from."""
    parents = inputs.node.parents
    mixtures = dict(zip(parents["mixtures"], inputs.all("mixtures"), strict=True))
    compared = parents.get("pairs", ())
    pairs = dict(zip(compared, inputs.all("pairs"), strict=True)) if compared else {}
    ancestors = find_ancestors(inputs.plan, (*parents["scores"], *compared))
    ancestry = {node.key: describe_ancestor(node) for node in ancestors}
    write_aggregate(spec.aggregate, inputs.all("scores"), mixtures, out, ancestry=ancestry, pairs=pairs)


def describe_ancestor(node: Node) -> Ancestor:
    """Say what an artifact was made from, and what identifies data behind it."""
    pairs = tuple((role, reference) for role, references in node.parents.items() for reference in references)
    facts: tuple[tuple[str, str], ...] = ()
    if isinstance(node.spec, SourceSpec) and isinstance(node.spec.source.origin, FilesOrigin):
        facts = tuple(("digest", digest) for digest in node.spec.source.origin.digests)
    elif isinstance(node.spec, GenerateSpec) and isinstance(node.spec.engine, OpenaiEngineSettings):
        facts = (("served model", node.spec.engine.model), ("revision", node.spec.engine.revision or "not stated"))
    elif (trainer := trainer_of(node.spec)) is not None:
        facts = (("trainer", trainer.title),)
    return Ancestor(node.stage, pairs, facts)
