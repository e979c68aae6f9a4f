"""Host of stage tokenizer."""

from pathlib import Path

from mixlab.config.tokenizers import ExternalTokenizerSettings, HubTokenizerSettings
from mixlab.data.files.readers import check_digest
from mixlab.data.sources.hub import fetch_file
from mixlab.data.tokens.tokenizer import import_tokenizer, train_tokenizer
from mixlab.plan.specs import TokenizerSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import read_source


def run(spec: TokenizerSpec, inputs: Inputs, out: Path) -> None:
    """Train a tokenizer on the records of its sources, or take that of somebody else."""
    if isinstance(spec.tokenizer, ExternalTokenizerSettings):
        ((_, path),) = inputs.located([spec.tokenizer.digest])
        check_digest(path, spec.tokenizer.digest)
        import_tokenizer(spec.tokenizer.end_token, path, out)
        return
    if isinstance(spec.tokenizer, HubTokenizerSettings):
        path = fetch_file(spec.tokenizer.id, spec.tokenizer.revision, spec.tokenizer.file)
        import_tokenizer(spec.tokenizer.end_token, path, out)
        return
    pairs = zip(inputs.specs["sources"], inputs.all("sources"), strict=True)
    train_tokenizer(spec.tokenizer, [read_source(source, artifact, inputs) for source, artifact in pairs], out)
