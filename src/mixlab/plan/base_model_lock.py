"""Base models in `sources.lock`: the files of a folder, or the commit of a model on the hub."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mixlab.config.base_models import (
    BaseModelSettings,
    FilesModelConfig,
    HubModel,
    HubModelConfig,
    ModelFile,
    ModelFiles,
)
from mixlab.config.model_facts import ModelFacts
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.study import Study
from mixlab.plan.sources_lock import LockedHub, LockedSource, OnHashed, lock_files

BASE_MODEL = "base_model/"
"""Before the name of a base model that is read; no source has a slash in its name."""
CONFIG_FILE = "config.json"
WANTED = (CONFIG_FILE, "generation_config.json", "model.safetensors.index.json", "*.safetensors")
"""What of a model folder is taken: no pickle, no code."""


def lock_model_folder(
    name: str, config: FilesModelConfig, base: Path, on_hashed: OnHashed | None = None
) -> LockedSource:
    """Hash the files of a model folder below the data root `base`.

    Raises ConfigError when it has no config.json or no safetensors, or a file cannot be read.
    """
    where = f"base_models.{name}.path"
    folder = base / config.path
    found = sorted({path.name for pattern in WANTED for path in folder.glob(pattern) if path.is_file()})
    if CONFIG_FILE not in found:
        message = f"no config.json in {folder}; name the folder of a Hugging Face model"
        raise ConfigError(Problem(message, key=where))
    if not any(one.endswith(".safetensors") for one in found):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        told = f"only {pickles[0]}, a pickle, which can run code and is never opened: convert it" if pickles else "none"
        message = f"no *.safetensors in {folder} ({told}); name a folder with safetensors"
        raise ConfigError(Problem(message, key=where))
    paths = [str(PurePosixPath(config.path) / one) for one in found]
    # the folder is what was declared; the files in it are what was found
    return replace(lock_files(where, base, config.root, paths, on_hashed=on_hashed), paths=(config.path,))


def lock_hub_model(config: HubModelConfig, revision: str, model: ModelFacts | None = None) -> LockedSource:
    """Note the commit that a model of the hub stands for, and its sizes."""
    return LockedSource("", (), (), (), LockedHub(config.id, config.revision, revision), model)


def list_facts(study: Study, lock: Mapping[str, LockedSource]) -> dict[ModelFiles | HubModel, ModelFacts]:
    """Return the sizes of a study's base models that are read, as far as the lock notes them, by what they are."""
    facts = {}
    for name, config in study.base_models.items():
        locked = lock.get(f"{BASE_MODEL}{name}")
        if isinstance(config, FilesModelConfig | HubModelConfig) and locked is not None and locked.model is not None:
            facts[settle_base_model(config, locked).origin] = locked.model
    return facts


def is_locked(config: FilesModelConfig | HubModelConfig, locked: LockedSource) -> bool:
    """Whether an entry of the lock is of this declaration."""
    if isinstance(config, FilesModelConfig):
        return locked.is_at(config.root, config.path)
    return locked.hub is not None and (locked.hub.id, locked.hub.asked) == (config.id, config.revision)


def settle_base_model(config: FilesModelConfig | HubModelConfig, locked: LockedSource) -> BaseModelSettings:
    """Return what decides a base model that was locked for `config`."""
    if isinstance(config, FilesModelConfig):
        named = {PurePosixPath(file.path).name: file.digest for file in locked.files}
        files = tuple(ModelFile(name=name, digest=digest) for name, digest in sorted(named.items()))
        return BaseModelSettings(origin=ModelFiles(files=files), resize_vocabulary=config.resize_vocabulary)
    if locked.hub is None:
        raise ValueError(f"base model {config.id}: its commit is not known; run `mixlab lock`")
    origin = HubModel(id=config.id, revision=locked.hub.revision)
    return BaseModelSettings(origin=origin, resize_vocabulary=config.resize_vocabulary)
