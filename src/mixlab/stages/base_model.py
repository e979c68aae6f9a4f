"""Host of stage base_model."""

import shutil
from pathlib import Path

from mixlab.config.base_models import ModelFiles
from mixlab.data.files.readers import check_digest
from mixlab.data.sources.hub import fetch_model
from mixlab.data.tokens.tokenizer import read_vocabulary
from mixlab.plan.base_model_lock import WANTED
from mixlab.plan.specs import BaseModelSpec
from mixlab.stages.job import Inputs
from mixlab.training.models.imported import fit_model


def run(spec: BaseModelSpec, inputs: Inputs, out: Path) -> None:
    """Take a model that somebody else trained, check that it can be trained on, and give every token a row."""
    origin = spec.base_model.origin
    if isinstance(origin, ModelFiles):
        located = inputs.located([file.digest for file in origin.files])
        for file, (digest, path) in zip(origin.files, located, strict=True):
            check_digest(path, digest)
            shutil.copyfile(path, out / file.name)
    else:
        folder = fetch_model(origin.id, origin.revision, WANTED)
        for path in sorted({path for pattern in WANTED for path in folder.glob(pattern)}):
            shutil.copyfile(path, out / path.name)
    fit_model(out, read_vocabulary(inputs.one("tokenizer")).size, spec.base_model.resize_vocabulary)
