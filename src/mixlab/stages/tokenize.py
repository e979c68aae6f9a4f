"""Host of stage tokenize."""

from pathlib import Path

from mixlab.data.tokens.fast_bpe import choose_backend
from mixlab.data.tokens.tokenize import join_token_stores, write_numbered_store
from mixlab.plan.specs import TokenizeSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import open_dataset


def run(spec: TokenizeSpec, inputs: Inputs, out: Path) -> None:
    """Write the token store of one source, or join it from its shards."""
    data = open_dataset(inputs)
    if "shards" in inputs.folders:
        join_token_stores(inputs.all("shards"), out, may_be_empty=data.is_part)
        return
    tokenizer = inputs.one("tokenizer")
    write_numbered_store(
        spec.tokenize,
        data.numbered(),
        tokenizer,
        out,
        workers=inputs.threads,
        may_be_empty=data.is_part,
        backend=choose_backend(tokenizer, inputs.machine.fast_tokenizers),
    )
