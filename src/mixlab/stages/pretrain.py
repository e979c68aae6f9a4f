"""Host of stage pretrain."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.data.tokens.tokenizer import read_vocabulary
from mixlab.plan.specs import PretrainSpec
from mixlab.stages.job import Inputs
from mixlab.stages.training import train_on_mixture
from mixlab.training.models.weights import NewModel


def run(spec: PretrainSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Train a model from scratch; its vocabulary is its tokenizer's."""
    vocab_size = read_vocabulary(inputs.one("tokenizer")).size
    return train_on_mixture(
        spec.training, spec.validation, spec.pretrain_seed, NewModel(spec.model, vocab_size), inputs, out
    )
