"""Host of stage tokenize_shard."""

from pathlib import Path

from mixlab.config.tokenizers import TokenizeSettings
from mixlab.data.sources.source import count_records
from mixlab.data.tokens.fast_bpe import choose_backend
from mixlab.data.tokens.tokenize import write_numbered_store
from mixlab.plan.specs import TokenizeShardSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import open_dataset


def run(spec: TokenizeShardSpec, inputs: Inputs, out: Path) -> None:
    """Write the tokens of one stretch of a source: as many of its records as every other shard has."""
    data, shard = open_dataset(inputs), spec.tokenize
    total = count_records(data.root)
    first, last = (total * place // shard.of for place in (shard.number, shard.number + 1))
    settings, tokenizer = TokenizeSettings(chat=shard.chat), inputs.one("tokenizer")
    write_numbered_store(
        settings,
        data.numbered(first, last),
        tokenizer,
        out,
        workers=inputs.threads,
        may_be_empty=True,
        backend=choose_backend(tokenizer, inputs.machine.fast_tokenizers),
    )
