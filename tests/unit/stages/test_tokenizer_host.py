"""The host of stage tokenizer: from files and from the hub to the tokenizer that all below it read."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models

from mixlab.config.machine import MachineSettings
from mixlab.config.problems import DataError
from mixlab.plan.graph import Plan
from mixlab.plan.specs import TokenizerSpec
from mixlab.stages import tokenizer
from mixlab.stages.job import Inputs, Session

COMMIT = "c" * 40


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "given.json"
    made = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    made.add_special_tokens([AddedToken("</s>", special=True)])
    made.save(str(path))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def run(settings: Mapping[str, Any], files: Mapping[str, str], out: Path) -> None:
    spec, plan = TokenizerSpec.model_validate({"tokenizer": {"end_token": "</s>", **settings}}), Plan()
    node = plan.add(spec, {}, "a tokenizer")
    inputs = Inputs(plan, node, {}, {}, out.parent / "resume", files, MachineSettings(), 1, Session())
    tokenizer.run(spec, inputs, out)


def test_a_file_is_taken_by_its_digest_and_another_is_refused(given: Path, out: Path) -> None:
    digest = hashlib.sha256(given.read_bytes()).hexdigest()
    run({"type": "file", "digest": digest}, {digest: str(given)}, out)
    assert (out / "tokenizer.json").read_bytes() == given.read_bytes()
    with pytest.raises(DataError, match=r"given\.json"):
        run({"type": "file", "digest": "0" * 64}, {"0" * 64: str(given)}, out)


def test_a_tokenizer_of_the_hub_is_fetched_at_its_commit(
    given: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(*arguments: str) -> Path:
        asked.append(arguments)
        return given

    monkeypatch.setattr(tokenizer, "fetch_file", fetch)
    run({"type": "hub", "id": "acme/model", "revision": COMMIT, "file": "sub/tokenizer.json"}, {}, out)
    assert asked == [("acme/model", COMMIT, "sub/tokenizer.json")]
    assert (out / "tokenizer.json").read_bytes() == given.read_bytes()
