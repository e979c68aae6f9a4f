"""Base models that are read: what the lock notes, what enters the key, what is refused before any job."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden import REPOSITORY

from mixlab.config.base_models import FilesModelConfig, HubModelConfig
from mixlab.config.problems import ConfigError
from mixlab.config.tokenizers import HubTokenizerConfig
from mixlab.plan.base_model_lock import (
    BASE_MODEL,
    is_locked,
    lock_hub_model,
    lock_model_folder,
    settle_base_model,
)
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.sources_lock import lock_hub, read_lock, write_lock
from mixlab.plan.specs import BaseModelSpec

FILES = {"config.json": "{}", "model.safetensors": "weights", "modeling.py": "code", "pytorch_model.bin": "pickle"}
GIVEN = FilesModelConfig(type="files", path="models/mine", tokenizer="bpe")
FAR = HubModelConfig(type="hub", id="acme/model", tokenizer="bpe")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A data root with a model folder."""
    folder = tmp_path / "data/models/mine"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return tmp_path / "data"


def test_a_folder_is_locked_by_its_config_and_safetensors_alone(base: Path) -> None:
    locked = lock_model_folder("mine", GIVEN, base)
    assert [file.path for file in locked.files] == ["models/mine/config.json", "models/mine/model.safetensors"]
    assert is_locked(GIVEN, locked)
    assert not is_locked(GIVEN.model_copy(update={"path": "models/other"}), locked)
    assert not is_locked(FAR, locked)
    settled = settle_base_model(GIVEN, locked)
    assert [file.name for file in settled.origin.files] == ["config.json", "model.safetensors"]  # type: ignore[union-attr]


def test_an_entry_of_the_lock_is_read_as_it_was_written(base: Path, tmp_path: Path) -> None:
    far = lock_hub_model(FAR, "a" * 40)
    entries = {f"{BASE_MODEL}mine": lock_model_folder("mine", GIVEN, base), f"{BASE_MODEL}far": far}
    write_lock(tmp_path, entries)
    assert read_lock(tmp_path) == entries
    assert is_locked(FAR, far)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("config.json", "no config.json in"),
        ("model.safetensors", "only pytorch_model.bin, a pickle, which can run code and is never opened"),
    ],
)
def test_a_folder_without_what_is_needed_is_refused(base: Path, lost: str, words: str) -> None:
    (base / "models/mine" / lost).unlink()
    with pytest.raises(ConfigError, match=words):
        lock_model_folder("mine", GIVEN, base)


@pytest.fixture
def plan(tmp_path: Path, base: Path) -> Callable[..., Planned]:
    """Plans the micro study with base models instead of its own."""
    for name in ("config.yaml", "sources.lock"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "studies").mkdir()
    shutil.copy(REPOSITORY / "studies/micro.yaml", tmp_path / "studies/micro.yaml")

    def build(base_models: dict[str, Any], **sections: Any) -> Planned:
        study = {"extends": "micro.yaml", "base_models": {"tiny": None, **base_models}, **sections}
        (tmp_path / "studies/mine.yaml").write_text(json.dumps(study))
        return build_plan(tmp_path, ["mine"], check_files=False)

    return build


def lock(root: Path, **entries: Any) -> None:
    write_lock(root, {**read_lock(root), **{f"{BASE_MODEL}{name}": entry for name, entry in entries.items()}})


def test_ipt_goes_on_from_a_model_that_is_read_and_knows_it_by_its_bytes(
    plan: Callable[..., Planned], tmp_path: Path, base: Path
) -> None:
    lock(tmp_path, mine=lock_model_folder("mine", GIVEN, base))
    planned = plan({"mine": GIVEN.model_dump()}).plan
    (node,) = planned.by_stage("base_model")
    assert isinstance(node.spec, BaseModelSpec)
    assert list(node.parents) == ["tokenizer"]
    assert {one.parents["base_model"] for one in planned.by_stage("ipt")} == {(node.key,)}
    assert planned.by_stage("ipt")
    assert not planned.by_stage("pretrain")
    (base / "models/mine/model.safetensors").write_text("other weights")
    lock(tmp_path, mine=lock_model_folder("mine", GIVEN, base))
    (changed,) = plan({"mine": GIVEN.model_dump()}).plan.by_stage("base_model")
    assert changed.key != node.key


def test_where_a_model_lies_and_what_it_is_called_enters_no_key(
    plan: Callable[..., Planned], tmp_path: Path, base: Path
) -> None:
    lock(tmp_path, mine=lock_model_folder("mine", GIVEN, base))
    (first,) = plan({"mine": GIVEN.model_dump()}).plan.by_stage("base_model")
    (base / "models/mine").rename(base / "models/moved")
    moved = GIVEN.model_copy(update={"path": "models/moved"})
    lock(tmp_path, another=lock_model_folder("another", moved, base))
    (second,) = plan({"another": moved.model_dump()}).plan.by_stage("base_model")
    assert first.key == second.key


def test_a_model_of_the_hub_is_known_by_its_commit(plan: Callable[..., Planned], tmp_path: Path) -> None:
    keys = []
    for commit in ("a" * 40, "b" * 40):
        lock(tmp_path, far=lock_hub_model(FAR, commit))
        (node,) = plan({"far": FAR.model_dump()}).plan.by_stage("base_model")
        keys.append(node.key)
    assert keys[0] != keys[1]
    resized = {**FAR.model_dump(), "resize_vocabulary": {"multiple": 64}}
    (node,) = plan({"far": resized}).plan.by_stage("base_model")
    assert node.key not in keys


@pytest.mark.parametrize(
    ("base_models", "words"),
    [
        ({"mine": GIVEN.model_dump()}, "base_models.mine: not in sources.lock; run `mixlab lock base_model/mine`"),
        ({"mine": {**GIVEN.model_dump(), "path": "../out"}}, "leads out of the data root"),
        ({"mine": {**GIVEN.model_dump(), "trust_remote_code": True}}, "trust_remote_code"),
    ],
)
def test_what_a_base_model_that_is_read_cannot_mean_is_told(
    plan: Callable[..., Planned], base_models: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(base_models)
    assert words in str(caught.value)


SCRATCH = {
    "tokenizer": "bpe",
    "mixture": {"sources": ["raw_file"], "budget": {"tokens": 12_000}, "max_epochs": 8},
    "sequence_tokens": 64,
    "training": {
        "optimizer": {"name": "adamw", "learning_rate": 0.004},
        "schedule": {"name": "constant"},
        "global_batch_windows": 8,
    },
}
SIZES = {"hidden_size": 32, "layers": 1, "heads": 2, "feed_forward": 64, "max_positions": 256}


def test_a_named_architecture_is_the_one_written_out(plan: Callable[..., Planned]) -> None:
    named = plan({"one": {**SCRATCH, "architecture": "small"}}, architectures={"small": SIZES, "other": SIZES})
    written = plan({"one": {**SCRATCH, "model": SIZES}})
    keys = [[node.key for node in one.plan.by_stage("pretrain")] for one in (named, written)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 1


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"architecture": "smol"}, "no architecture is named 'smol'; did you mean 'small'?"),
        ({}, "a model from scratch needs one of model or architecture, got none"),
        ({"architecture": "small", "model": SIZES}, "got model and architecture"),
    ],
)
def test_a_model_from_scratch_has_one_architecture(
    plan: Callable[..., Planned], model: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan({"one": {**SCRATCH, **model}}, architectures={"small": SIZES})
    assert words in str(caught.value)


def test_windows_longer_than_a_named_architecture_are_refused(plan: Callable[..., Planned]) -> None:
    with pytest.raises(ConfigError, match="64 tokens are more than max_positions 32 of 'one'"):
        plan({"one": {**SCRATCH, "architecture": "small"}}, architectures={"small": {**SIZES, "max_positions": 32}})


def test_the_architectures_of_the_paper_are_taken_by_a_study(plan: Callable[..., Planned], tmp_path: Path) -> None:
    folder = tmp_path / "studies/kodama_oda"
    folder.mkdir()
    shutil.copy(REPOSITORY / "studies/kodama_oda/architectures.yaml", folder)
    base = {"one": {**SCRATCH, "architecture": "llama3.2-1b"}}
    planned = plan(base, extends=["micro.yaml", "kodama_oda/architectures.yaml"])
    (node,) = planned.plan.by_stage("pretrain")
    assert node.spec.model.rope_scaling.factor == 32  # type: ignore[attr-defined]


def test_a_tokenizer_of_the_hub_is_known_by_its_commit_and_file(plan: Callable[..., Planned], tmp_path: Path) -> None:
    far = {"type": "hub", "id": "acme/model", "end_token": "</s>"}
    config = HubTokenizerConfig.model_validate(far)
    one = {"one": {**SCRATCH, "tokenizer": "far", "model": SIZES}}
    with pytest.raises(ConfigError, match=r"tokenizers.far: not in sources.lock; run `mixlab lock tokenizer/far`"):
        plan(one, tokenizers={"far": far})
    keys = []
    for commit, more in (("a" * 40, {}), ("b" * 40, {}), ("b" * 40, {"file": "other/tokenizer.json"})):
        write_lock(tmp_path, {**read_lock(tmp_path), "tokenizer/far": lock_hub(config, commit)})
        planned = plan(one, tokenizers={"far": {**far, **more}}).plan
        keys += [node.key for node in planned.by_stage("tokenizer") if node.spec.tokenizer.type == "hub"]  # type: ignore[attr-defined]
    assert len(set(keys)) == len(keys) == 3
    with pytest.raises(ConfigError, match=r"tokenizers.far: another one in sources.lock"):
        plan(one, tokenizers={"far": {**far, "revision": "v2"}})
    with pytest.raises(ConfigError, match=r"tokenizers\.far.*file"):
        plan(one, tokenizers={"far": {**far, "file": "../tokenizer.json"}})
