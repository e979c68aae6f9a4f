"""Host of stage pretrain."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.data.tokens.tokenizer import read_vocabulary
from mixlab.plan.specs import PretrainSpec
from mixlab.stages.job import Inputs
from mixlab.stages.training import train_on_mixture
from mixlab.training.models.weights import NewModel


def run(spec: PretrainSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Train a model from scratch."""
    start = open_start(spec, inputs.one("tokenizer"))
    return train_on_mixture(spec.training, spec.validation, spec.pretrain_seed, start, inputs, out)


def open_start(spec: PretrainSpec, tokenizer: Path) -> NewModel:
    """The model before its first step: its vocabulary, its padding and its end are its tokenizer's."""
    vocabulary = read_vocabulary(tokenizer)
    return NewModel(spec.model, vocabulary.size, vocabulary.pad_id, vocabulary.end_id)
