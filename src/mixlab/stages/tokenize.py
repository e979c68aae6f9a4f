"""Host of stage tokenize."""

from pathlib import Path

from mixlab.data.tokenize import write_token_store
from mixlab.plan.specs import TokenizeSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source


def run(spec: TokenizeSpec, inputs: Inputs, out: Path) -> None:
    """Write the token store of one source."""
    records = read_source(inputs.spec("source"), inputs.one("source"), inputs)
    write_token_store(spec.tokenize, records, inputs.one("tokenizer"), out)
