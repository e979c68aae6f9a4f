"""The host of stage base_model: from files and from the hub to a folder that training goes on from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models
from training_fakes import FakeWindows, settings, small_model

from mixlab.config.kernels import KernelSettings
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import DataError
from mixlab.plan.graph import Plan
from mixlab.plan.specs import BaseModelSpec
from mixlab.stages import base_model
from mixlab.stages.job import Inputs, Session
from mixlab.training.models.weights import build_model, read_model, write_model
from mixlab.training.run import train

COMMIT = "c" * 40


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A model folder of 53 rows, with a pickle beside it."""
    folder = tmp_path / "given"
    folder.mkdir()
    write_model(build_model(small_model(architecture="qwen2"), seed=4), folder)
    (folder / "pytorch_model.bin").write_text("pickle")
    return folder


def make_inputs(tmp_path: Path, spec: BaseModelSpec, files: Mapping[str, str], entries: int) -> Inputs:
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    made = Tokenizer(models.BPE({f"t{number}": number for number in range(entries - 2)}, []))
    made.add_special_tokens([AddedToken(token, special=True) for token in ("<|pad|>", "<|end|>")])
    made.save(str(tokenizer / "tokenizer.json"))
    plan = Plan()
    node = plan.add(spec, {}, "a base model")
    folders = {"tokenizer": (tokenizer,)}
    return Inputs(plan, node, folders, {}, tmp_path / "resume", files, MachineSettings(), 1, Session())


def describe_files(folder: Path) -> tuple[BaseModelSpec, dict[str, str]]:
    names = ("config.json", "model.safetensors")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    origin = {"type": "files", "files": [{"name": name, "digest": digest} for name, digest in digests.items()]}
    spec = build_spec(origin)
    return spec, {digest: str(folder / name) for name, digest in digests.items()}


def build_spec(origin: Mapping[str, Any], **more: Any) -> BaseModelSpec:
    return BaseModelSpec.model_validate({"base_model": {"origin": origin, **more}})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_model_of_files_is_what_training_goes_on_from(tmp_path: Path, given: Path, out: Path) -> None:
    spec, files = describe_files(given)
    base_model.run(spec, make_inputs(tmp_path, spec, files, entries=53), out)
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    kernels = KernelSettings(attention="documents", activation_checkpointing=True)
    run = settings(passes="1/6")
    options = {"seed": 1, "start": out, "micro_batch": 2, "threads": 1, "kernels": kernels}
    train(run, FakeWindows(), tmp_path / "trained", resume=tmp_path / "resume", **options)
    assert read_model(tmp_path / "trained").shape == read_model(given).shape


def test_a_file_that_is_not_the_locked_one_is_refused(tmp_path: Path, given: Path, out: Path) -> None:
    spec, files = describe_files(given)
    (given / "model.safetensors").write_bytes(b"other")
    with pytest.raises(DataError, match=r"model\.safetensors"):
        base_model.run(spec, make_inputs(tmp_path, spec, files, entries=53), out)


def test_a_model_of_the_hub_is_fetched_at_its_commit_and_gets_rows(
    tmp_path: Path, given: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(*arguments: Any) -> Path:
        asked.append(arguments[:2])
        return given

    monkeypatch.setattr(base_model, "fetch_model", fetch)
    spec = build_spec({"type": "hub", "id": "acme/model", "revision": COMMIT}, resize_vocabulary={"multiple": 8})
    base_model.run(spec, make_inputs(tmp_path, spec, {}, entries=60), out)
    assert asked == [("acme/model", COMMIT)]
    assert not (out / "pytorch_model.bin").exists()
    assert read_model(out).shape.vocab_size == 64
