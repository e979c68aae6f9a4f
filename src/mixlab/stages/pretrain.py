"""Host of stage pretrain."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.data.tokens.tokenizer import read_vocabulary
from mixlab.plan.specs import PretrainSpec
from mixlab.stages.job import Inputs
from mixlab.stages.training import train_on_mixture
from mixlab.training.models.weights import NewModel


def run(spec: PretrainSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Train a model from scratch; its vocabulary, its padding and its end are its tokenizer's."""
    vocabulary = read_vocabulary(inputs.one("tokenizer"))
    start = NewModel(spec.model, vocabulary.size, vocabulary.pad_id, vocabulary.end_id)
    return train_on_mixture(spec.training, spec.validation, spec.pretrain_seed, start, inputs, out)
