"""Host of stage tokenizer."""

from pathlib import Path

from mixlab.data.tokenizer import train_tokenizer
from mixlab.plan.specs import TokenizerSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source


def run(spec: TokenizerSpec, inputs: Inputs, out: Path) -> None:
    """Train a tokenizer on the records of its sources."""
    pairs = zip(inputs.specs["sources"], inputs.all("sources"), strict=True)
    train_tokenizer(spec.tokenizer, [read_source(source, artifact, inputs) for source, artifact in pairs], out)
