"""A `sources.lock` with made-up digests, so that studies whose data nobody has here can be planned."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from mixlab.config.base_models import FilesModelConfig, HubModelConfig
from mixlab.config.origins import FilesConfig, HubConfig
from mixlab.config.studies import load_study
from mixlab.config.tokenizers import HubTokenizerConfig
from mixlab.plan.sources_lock import LockedFile, LockedHub, LockedSource, joined_paths, write_lock

REPOSITORY = Path(__file__).resolve().parents[3]


def copy_studies(root: Path, names: Iterable[str]) -> Path:
    """Copy every study file to `root`, and lock what the named studies read."""
    shutil.copytree(REPOSITORY / "studies", root / "studies")
    (root / "config.yaml").write_text("study: none\nmachine:\n  endpoints: {openai: {url: http://127.0.0.1:9/v1}}\n")
    lock: dict[str, LockedSource] = {}
    for name in names:
        study, _ = load_study(root, name)
        for label, source in study.sources.items():
            origin = source.origin
            if isinstance(origin, HubConfig):
                lock[label] = _hub(origin.id, origin.revision)
            elif isinstance(origin, FilesConfig):
                files = [_file(path, joined) for joined, paths in ((False, origin.paths), (True, joined_paths(origin)))
                         for path in paths]  # fmt: skip
                lock[label] = LockedSource(origin.root, origin.paths, joined_paths(origin), tuple(files))
        for label, tokenizer in study.tokenizers.items():
            if isinstance(tokenizer, HubTokenizerConfig):
                lock[f"tokenizer/{label}"] = _hub(tokenizer.id, tokenizer.revision)
        for label, model in study.base_models.items():
            if isinstance(model, HubModelConfig):
                lock[f"base_model/{label}"] = _hub(model.id, model.revision)
            elif isinstance(model, FilesModelConfig):
                names_of_files = (f"{model.path}/{one}" for one in ("config.json", "model.safetensors"))
                files = [_file(one, False) for one in names_of_files]
                lock[f"base_model/{label}"] = LockedSource(model.root, (model.path,), (), tuple(files))
    write_lock(root, lock)
    return root


def _hub(name: str, asked: str) -> LockedSource:
    commit = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return LockedSource("", (), (), (), LockedHub(name, asked, commit))


def _file(path: str, joined: bool) -> LockedFile:
    return LockedFile(path.replace("*", "x"), 1000, hashlib.sha256(path.encode()).hexdigest(), joined)
