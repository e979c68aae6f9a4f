"""Host of stage mixture."""

from pathlib import Path

from mixlab.data.mixtures.mixing import build_mixture
from mixlab.plan.specs import MixtureSpec
from mixlab.stages.job import Inputs


def run(spec: MixtureSpec, inputs: Inputs, out: Path) -> None:
    """Write which windows of which source are seen, in which order, and the certificate of their shares."""
    labels = [inputs.plan.nodes[key].label for key in inputs.node.parents["packs"]]
    build_mixture(spec.mixture, inputs.all("packs"), out, labels)
